//! Requests and their replies: one inbox, one subscription, a token per request.
//!
//! A request keeps its encoded frame until it is answered. That is one copy, and it buys what the peers lack: what was not
//! sent yet survives a reconnect, a read is sent again, and a write that met an election is repeated, byte for byte.

use alloc::{format, string::String, vec::Vec};

use memchr::memchr;

use crate::{
    error::{Error, ErrorCode},
    number::parse_u64,
    proto::{encode, headers::Headers, parser::Message},
    rng::Rng,
    session::Session,
    slab::Slab,
    sorted::sort,
    time::Instant,
    timers::{Timer, Timers},
};

/// The subscription of the inbox.
pub(crate) const INBOX_SID: u64 = 1;

/// The longest frame buffer worth keeping for the next request, and how many of them.
const SPARE_CAPACITY: usize = 2 << 10;
const SPARE_COUNT: usize = 1024;

/// Whose request it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Op(u64),
    Consumer(u64),
    /// Who asked is gone; see `Net::disown`.
    Nobody,
}

/// What comes back for a request.
#[derive(Clone, Debug)]
pub(crate) enum Answer<'a> {
    Reply {
        headers: Headers<'a>,
        payload: &'a [u8],
    },
    /// Status 503: nobody listens on that subject now.
    NoResponders,
    /// It cannot be answered any more: denied, or the connection broke over a write.
    Failed(Error),
}

/// What a request asks for, beside its subject.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ask<'a> {
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) payload: &'a [u8],
    pub(crate) on_loss: OnLoss,
    /// More than one answer comes; its owner knows the last one, and forgets the request.
    pub(crate) is_many: bool,
}

/// What becomes of a request that was sent when the connection broke.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OnLoss {
    /// Sent again: it changes nothing, or the same again changes nothing more.
    #[default]
    Repeat,
    /// Ended: it may have been stored.
    Fail,
    /// Ended, whether it was sent or not: on the next connection it could hit what it was not meant for. No write.
    Drop,
    /// Sent again: it carries a message id, by which its owner finds out what became of the first one.
    Trace,
}

impl OnLoss {
    const fn is_write(self) -> bool {
        matches!(self, Self::Fail | Self::Trace)
    }
}

#[derive(Debug)]
struct Request {
    owner: Owner,
    frame: Vec<u8>,
    on_loss: OnLoss,
    is_many: bool,
    /// It was sent on a connection that broke, and again on another.
    is_resent: bool,
    /// Order of submission, kept when requests that waited are written.
    order: u64,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// To be written when there is a connection.
    Waiting,
    /// Written at this position of the connection's output.
    Written(u64),
    /// Answered; gone unless someone sends it again.
    Answered,
    /// Answered; its owner keeps it to send it again, or to read its frame.
    Held,
}

/// Config's bounds on bytes that are not sent yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// While there is no connection.
    pub(crate) waiting: usize,
    /// While the transport of a connection cannot take more.
    pub(crate) unsent: usize,
}

/// Requests in flight, and all that floors above ask of the connection.
#[derive(Debug)]
pub(crate) struct Net {
    pub(crate) session: Session,
    pub(crate) timers: Timers,
    pub(crate) rng: Rng,
    /// `$JS.API` or what Config says instead.
    pub(crate) api_prefix: String,
    inbox_prefix: String,
    inbox: String,
    /// Why no reply can come on this connection.
    inbox_denied: Option<Error>,
    requests: Slab<Request>,
    /// What is to be sent to undo a disowned request.
    undo: Vec<(u64, String)>,
    submitted: u64,
    spare: Vec<Vec<u8>>,
    /// Bytes of frames that wait for a connection.
    waiting_bytes: usize,
    bounds: Bounds,
    last_sid: u64,
}

impl Net {
    pub(crate) fn new(
        session: Session,
        mut rng: Rng,
        api_prefix: String,
        inbox_prefix: String,
        bounds: Bounds,
    ) -> Self {
        let inbox = format!("{inbox_prefix}.{}.", rng.token(22));
        Self {
            session,
            timers: Timers::default(),
            rng,
            api_prefix,
            inbox_prefix,
            inbox,
            inbox_denied: None,
            requests: Slab::new(),
            undo: Vec::new(),
            submitted: 0,
            spare: Vec::new(),
            waiting_bytes: 0,
            bounds,
            last_sid: INBOX_SID,
        }
    }

    // ── requests

    /// Sends a request, or keeps it until there is a connection. The id comes back with the answer.
    pub(crate) fn request(&mut self, owner: Owner, subject: &[&str], ask: Ask<'_>) -> Result<u64, Error> {
        let id = self.prepare(owner, subject, ask)?;
        self.resend(id);
        Ok(id)
    }

    /// Encodes a request that `resend` is to send.
    pub(crate) fn prepare(&mut self, owner: Owner, subject: &[&str], ask: Ask<'_>) -> Result<u64, Error> {
        if let Some(error) = self.inbox_denied.as_ref().filter(|_| self.session.is_ready()) {
            return Err(error.clone());
        }
        let mut frame = self.spare.pop().unwrap_or_default();
        self.submitted += 1;
        let (on_loss, order) = (ask.on_loss, self.submitted);
        let id = self.requests.insert(Request {
            owner,
            frame: Vec::new(),
            on_loss,
            is_many: ask.is_many,
            is_resent: false,
            order,
            place: Place::Held,
        });
        let mut digits = itoa::Buffer::new();
        let reply = [self.inbox.as_str(), digits.format(id)];
        let max_payload = self.session.max_payload();
        let mut result = encode::publish(&mut frame, subject, &reply, ask.headers, ask.payload, max_payload);
        if result.is_ok() {
            result = self.check_room(frame.len());
        }
        if let Err(error) = result {
            self.requests.remove(id);
            self.recycle(frame);
            return Err(error);
        }
        if let Some(request) = self.requests.get_mut(id) {
            request.frame = frame;
        }
        Ok(id)
    }

    /// Whether a frame of this size may be added to what is not sent yet.
    fn check_room(&self, size: usize) -> Result<(), Error> {
        let text = if self.session.is_ready() {
            let unsent = self.session.pending();
            if unsent + size <= self.bounds.unsent {
                return Ok(());
            }
            format!("{unsent} bytes already wait for the transport (unsent_limit)")
        } else {
            if self.waiting_bytes + size <= self.bounds.waiting {
                return Ok(());
            }
            format!("{} bytes of requests already wait for a connection (pending_limit)", self.waiting_bytes)
        };
        Err(Error::new(ErrorCode::BufferFull, text))
    }

    /// The JetStream API level of the connected server; 0 before 2.12.
    pub(crate) fn api_level(&self) -> u64 {
        self.session.info.as_ref().map_or(0, |info| info.api_level)
    }

    /// Keeps an answered request, to send it again or to read its frame.
    pub(crate) fn hold(&mut self, id: u64) {
        if let Some(request) = self.requests.get_mut(id) {
            request.place = Place::Held;
        }
    }

    /// A write that was cut off may be stored, and is traced when it is sent again.
    pub(crate) fn doubt(&mut self, id: u64) {
        if let Some(request) = self.requests.get_mut(id) {
            (request.on_loss, request.is_resent) = (OnLoss::Trace, true);
        }
    }

    /// Sends a prepared request, or an answered one once more.
    pub(crate) fn resend(&mut self, id: u64) {
        let Some(request) = self.requests.get_mut(id) else { return };
        if matches!(request.place, Place::Waiting | Place::Written(_)) {
            return;
        }
        request.place = Place::Waiting;
        self.waiting_bytes += request.frame.len();
        if self.session.is_ready() {
            self.write(id);
        }
    }

    /// Sends a question once more that was not answered yet. False: it is none, or has its answer.
    pub(crate) fn ask_again(&mut self, id: u64) -> bool {
        let Some(request) = self.requests.get_mut(id).filter(|request| request.on_loss == OnLoss::Repeat) else {
            return false;
        };
        match request.place {
            Place::Waiting => true, // it goes out with the next connection
            Place::Written(_) => {
                let size = request.frame.len();
                if self.check_room(size).is_ok() {
                    self.waiting_bytes += size;
                    self.write(id);
                }
                true
            }
            Place::Answered | Place::Held => false,
        }
    }

    /// The frame of a request as it was encoded; empty for one that is gone.
    pub(crate) fn frame(&self, id: u64) -> &[u8] {
        self.requests.get(id).map_or(&[], |request| &request.frame)
    }

    /// The subject a request was published to.
    pub(crate) fn subject(&self, id: u64) -> &str {
        subject_of(self.frame(id))
    }

    /// Takes the frame of a request that is held, leaving it empty.
    pub(crate) fn take_frame(&mut self, id: u64) -> Vec<u8> {
        self.requests.get_mut(id).map(|request| core::mem::take(&mut request.frame)).unwrap_or_default()
    }

    /// Whether the server may get this request, a write, or has it already: what is written goes out, also when nobody waits
    /// for its answer any more.
    pub(crate) fn is_exposed_write(&self, id: u64) -> bool {
        self.requests.get(id).is_some_and(|request| {
            let is_out = matches!(request.place, Place::Written(_)) || request.is_resent;
            request.on_loss.is_write() && is_out
        })
    }

    /// Whether it went out on a connection that broke, and again later: the first one may have been stored.
    pub(crate) fn is_resent(&self, id: u64) -> bool {
        self.requests.get(id).is_some_and(|request| request.is_resent)
    }

    /// The headers that a request was sent with.
    pub(crate) fn headers(&self, id: u64) -> Headers<'_> {
        let frame = self.frame(id);
        Headers::parse(memchr(b'\n', frame).map_or(&[], |line| &frame[line + 1..]))
    }

    /// Forgets a request whoever it is; a late answer finds nobody.
    pub(crate) fn forget(&mut self, id: u64) {
        let Some(request) = self.requests.remove(id) else { return };
        if request.place == Place::Waiting {
            self.waiting_bytes -= request.frame.len();
        }
        self.recycle(request.frame);
    }

    /// Who sent this request is gone. Once it is answered, an empty message to `undo` takes back what it did: sent right
    /// behind the request it could overtake it inside the server, which then finds nothing to take back (seen on 2.15.1).
    pub(crate) fn disown(&mut self, id: u64, undo: String) {
        let Some(request) = self.requests.get_mut(id) else { return };
        if !matches!(request.place, Place::Written(_)) {
            return self.forget(id);
        }
        request.owner = Owner::Nobody;
        self.undo.push((id, undo));
    }

    /// Whether a disowned request waits for its answer.
    pub(crate) fn has_disowned(&self) -> bool {
        !self.undo.is_empty()
    }

    /// A disowned request is answered, or never will be.
    pub(crate) fn on_disowned(&mut self, id: u64) {
        if let Some(at) = self.undo.iter().position(|(known, _)| *known == id) {
            let (_, subject) = self.undo.swap_remove(at);
            self.signal(&[&subject], true);
        }
    }

    /// Forgets a request that was answered and that nobody holds or sent again.
    pub(crate) fn release(&mut self, id: u64) {
        if self.requests.get(id).is_some_and(|request| request.place == Place::Answered) {
            self.forget(id);
        }
    }

    /// Whose request a message on the inbox answers, and the answer. The caller releases the id afterwards.
    pub(crate) fn on_message<'a>(&mut self, message: &Message<'a>) -> Option<(u64, Owner, Answer<'a>)> {
        let id = parse_u64(message.subject.strip_prefix(self.inbox.as_bytes())?)?;
        let request = self.requests.get_mut(id).filter(|request| matches!(request.place, Place::Written(_)))?;
        if !request.is_many {
            request.place = Place::Answered;
        }
        let answer = match message.headers.status() {
            Some(503) if message.payload.is_empty() => Answer::NoResponders,
            _ => Answer::Reply { headers: message.headers, payload: message.payload },
        };
        Some((id, request.owner, answer))
    }

    /// Whether an earlier copy of this request, a write, may have been stored whatever becomes of this one.
    pub(crate) fn may_be_stored(&self, id: u64) -> bool {
        self.requests.get(id).is_some_and(|request| request.is_resent && request.on_loss.is_write())
    }

    /// Requests that were published to a subject now known to be denied.
    pub(crate) fn denied(&mut self, subject: &str) -> Vec<(u64, Owner)> {
        self.settle(&|request| subject_of(&request.frame) == subject)
    }

    /// Everything written, since not even the inbox may be subscribed to; requests fail with `error` until the next connection.
    pub(crate) fn deny_inbox(&mut self, error: &Error) -> Vec<(u64, Owner)> {
        self.inbox_denied = Some(error.clone());
        self.settle(&|_| true)
    }

    /// Whether a request may store something.
    pub(crate) fn is_write(&self, id: u64) -> bool {
        self.requests.get(id).is_some_and(|request| request.on_loss.is_write())
    }

    /// Whether an answer may still come on this connection.
    pub(crate) fn is_awaiting(&self) -> bool {
        self.requests.iter().any(|(_, request)| matches!(request.place, Place::Written(_)))
    }

    fn settle(&mut self, is_hit: &dyn Fn(&Request) -> bool) -> Vec<(u64, Owner)> {
        let is_hit = |request: &Request| matches!(request.place, Place::Written(_)) && is_hit(request);
        let hit = self.requests.iter().filter(|(_, request)| is_hit(request));
        let mut hit: Vec<(u64, u64, Owner)> = hit.map(|(id, request)| (request.order, id, request.owner)).collect();
        sort(&mut hit, |a, b| a.0.cmp(&b.0)); // whoever sends again keeps the order
        for (_, id, _) in &hit {
            if let Some(request) = self.requests.get_mut(*id) {
                request.place = Place::Answered;
            }
        }
        hit.into_iter().map(|(_, id, owner)| (id, owner)).collect()
    }

    /// The connection is gone: what may be sent again waits for the next one; returned are the writes that may have arrived.
    /// `handed` is how far the output had been handed out.
    pub(crate) fn on_lost(&mut self, handed: u64) -> Vec<(u64, Owner)> {
        for request in self.requests.values_mut() {
            let Place::Written(at) = request.place else { continue };
            let is_kept = match request.on_loss {
                OnLoss::Repeat | OnLoss::Trace => true,
                OnLoss::Fail => at >= handed,
                OnLoss::Drop => false,
            };
            if is_kept {
                request.is_resent |= at < handed;
                request.place = Place::Waiting;
                self.waiting_bytes += request.frame.len();
            }
        }
        self.settle(&|_| true)
    }

    /// There is a connection: the inbox is subscribed to, then all that waited is written in its order. Returned is what this server
    /// would close the connection over: it takes smaller messages than the one before, or is the first to say.
    pub(crate) fn on_connected(&mut self) -> Vec<(u64, Owner, Error)> {
        self.inbox_denied = None;
        let inbox = format!("{}*", self.inbox);
        encode::subscribe(self.session.out(), &inbox, None, INBOX_SID);
        let waiting = self.requests.iter().filter(|(_, request)| request.place == Place::Waiting);
        let mut in_order: Vec<(u64, u64)> = waiting.map(|(id, request)| (request.order, id)).collect();
        sort(&mut in_order, Ord::cmp);
        let mut refused = Vec::new();
        for (_, id) in in_order {
            let Some(request) = self.requests.get_mut(id) else { continue };
            match encode::check_size(message_size(&request.frame), self.session.max_payload()) {
                Ok(()) => self.write(id),
                Err(error) => {
                    request.place = Place::Answered;
                    self.waiting_bytes -= request.frame.len();
                    refused.push((
                        id,
                        request.owner,
                        error.maybe_applied(request.is_resent && request.on_loss.is_write()),
                    ));
                }
            }
        }
        refused
    }

    fn write(&mut self, id: u64) {
        let Self { session, requests, waiting_bytes, .. } = self;
        let Some(request) = requests.get_mut(id) else { return };
        request.place = Place::Written(session.written());
        *waiting_bytes -= request.frame.len();
        session.out().extend_from_slice(&request.frame);
        session.stats.out_msgs += 1;
    }

    fn recycle(&mut self, mut frame: Vec<u8>) {
        if frame.capacity() <= SPARE_CAPACITY && self.spare.len() < SPARE_COUNT {
            frame.clear();
            self.spare.push(frame);
        }
    }

    // ── subscriptions and publishes without an answer

    /// A subscription number and an inbox of its own. A push consumer delivers only to an exact subscription; under the wildcard
    /// of the request inbox it would stay silent (seen on 2.15.1).
    pub(crate) fn new_inbox(&mut self) -> (u64, String) {
        self.last_sid += 1;
        (self.last_sid, format!("{}.{}", self.inbox_prefix, self.rng.token(22)))
    }

    pub(crate) fn subscribe(&mut self, subject: &str, sid: u64) {
        if self.session.is_ready() {
            encode::subscribe(self.session.out(), subject, None, sid);
        }
    }

    pub(crate) fn unsubscribe(&mut self, sid: u64) {
        if self.session.is_ready() {
            encode::unsubscribe(self.session.out(), sid, None);
        }
    }

    /// An empty message, if there is a connection. With `wants_reply` the answer goes to the inbox and finds nobody: JetStream's API
    /// does nothing for requests without a reply subject.
    pub(crate) fn signal(&mut self, subject: &[&str], wants_reply: bool) {
        if !self.session.is_ready() {
            return;
        }
        let max_payload = self.session.max_payload();
        let reply: &[&str] = if wants_reply { &[self.inbox.as_str(), "0"] } else { &[] };
        // Subjects of signals are the server's own or made of checked parts: too long a line cannot be repaired here.
        let sent = encode::publish(self.session.out(), subject, reply, &[], &[], max_payload);
        self.session.stats.out_msgs += u64::from(sent.is_ok());
    }

    /// Wakes the owner of `timer` at `at`.
    pub(crate) fn arm(&mut self, at: Instant, timer: Timer) {
        self.timers.arm(at, timer);
    }

    /// Whether a subject that may not be subscribed to is that of our replies.
    pub(crate) fn is_inbox(&self, subject: &str) -> bool {
        subject.strip_suffix('*') == Some(&self.inbox)
    }
}

/// The size of a PUB or HPUB of ours, headers included, as its line says.
fn message_size(frame: &[u8]) -> usize {
    let line = memchr(b'\r', frame).map_or(&[][..], |end| &frame[..end]);
    let digits = line.rsplit(|b| *b == b' ').next().unwrap_or_default();
    parse_u64(digits).map_or(0, |size| size as usize)
}

/// The second field of a PUB or HPUB line of ours.
pub(crate) fn subject_of(frame: &[u8]) -> &str {
    let Some(start) = memchr(b' ', frame) else { return "" };
    let rest = &frame[start + 1..];
    let end = memchr(b' ', rest).unwrap_or(0);
    core::str::from_utf8(&rest[..end]).unwrap_or("")
}
