//! What the status line of an answer means, by what was asked.

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// A push consumer's subscription.
    Push,
    /// A pull request.
    Pull,
    /// A direct get of one message.
    DirectGet,
    /// A direct get of the last message of many subjects.
    DirectMulti,
    /// A direct get of a run of messages.
    DirectBatch,
    /// Any other request.
    Other,
}

/// What the answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// A push consumer lives and has nothing to send.
    Heartbeat,
    /// A push consumer wants to know that all before was taken.
    FlowControl,
    /// All messages of a batch were sent.
    EndOfBatch,
    /// No such message.
    NotFound,
    /// No subject had a message.
    Empty,
    /// The server does not know this kind of request.
    NotSupported,
    /// A pull request ended with what it had.
    PullExpired,
    /// The consumer is gone.
    ConsumerDeleted,
    /// More than 1024 subjects match.
    TooManyResults,
    /// Nobody listens.
    NoResponders,
    /// The server failed, or says something unknown.
    Failed,
}

/// The meaning of a status. 100 is a heartbeat or a flow-control request, which only its reply subject tells apart.
pub fn meaning(status: u16, description: &[u8], has_reply: bool, context: Context) -> Meaning {
    match (status, context) {
        (503, _) => Meaning::NoResponders,
        (100, _) if has_reply => Meaning::FlowControl,
        (100, _) => Meaning::Heartbeat,
        (204, _) => Meaning::EndOfBatch,
        (404, Context::DirectMulti | Context::Pull) => Meaning::Empty,
        (404, _) => Meaning::NotFound,
        (408, Context::Pull) => Meaning::PullExpired,
        (408, _) => Meaning::NotSupported, // servers before 2.11 do not know batches, and say that the request is empty
        (409, _) if description.eq_ignore_ascii_case(b"Consumer Deleted") => Meaning::ConsumerDeleted,
        (412, _) => Meaning::NotSupported,
        (413, _) => Meaning::TooManyResults,
        _ => Meaning::Failed,
    }
}
