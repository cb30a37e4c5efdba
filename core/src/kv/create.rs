//! create: a write that expects no revision, and what to do when there is one that is only a marker.
//!
//! The server compares with the last message of the key, whatever it is, so a deleted or purged key refuses expectation 0. Then
//! the marker's revision is read from the stream's leader (a direct get could miss it) and expected instead; with the same headers,
//! TTL included. Whoever else wins meanwhile makes the next round, and the rounds are counted.

use alloc::{borrow::Cow, format, string::String, vec::Vec};
use core::time::Duration;

use crate::{
    error::{Error, ErrorCode},
    event::Outcome,
    js::{
        api::{self, ApiFailure},
        direct::{DirectMeta, StoredMessage},
        puback,
        status::{Context, Meaning, meaning},
    },
    json::object,
    kv::{
        entry::Operation,
        missing::{self, Tries},
        op::{Cx, Progress},
        ttl, write,
    },
    mux::{Answer, Ask, Owner},
    proto::{encode::block_len, headers::Headers},
    shown::Quoted,
};

/// Writes that may lose against others before it is given up.
const MAX_ROUNDS: u8 = 4;

/// How long a write that is on its way to the replicas is given before the next look.
const IN_FLIGHT_WAIT: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(crate) struct Create {
    bucket: usize,
    value_len: usize,
    ttl: Option<String>,
    /// The message id that all rounds carry.
    id: Option<String>,
    step: Step,
    /// The revision that the write in hand expects.
    expected: u64,
    /// The revision that the leader refused it for; a replica that knows only an older one lags behind.
    refused_at: u64,
    /// An earlier write of this create was sent on a connection that broke: it may have been stored, whatever became of the others.
    is_in_doubt: bool,
    rounds: u8,
    tries: Tries,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Is the TTL allowed?
    Gating,
    Publishing,
    /// The key has a revision: is it a marker?
    ReadingMarker {
        by_leader: bool,
    },
    /// Nobody answered: is there a bucket?
    Checking,
    /// Cut off: does the bucket know the message id for long enough?
    Learning,
}

/// What the last message of the key is.
enum Last {
    Nothing,
    Marker(u64),
    Value(u64),
    /// The value is ours: a first attempt, cut off by a lost connection, was stored.
    Ours(u64),
}

impl Create {
    /// Which bucket it is about.
    pub(crate) fn bucket(&self) -> usize {
        self.bucket
    }

    /// Whether an earlier write of it may have been stored.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.is_in_doubt
    }

    pub(crate) fn start(
        cx: &mut Cx<'_>,
        bucket: usize,
        key: &str,
        value: &[u8],
        ttl: Option<Duration>,
    ) -> Result<Self, Error> {
        let ttl = ttl.map(ttl::header).transpose()?;
        let id = cx.message_id(bucket);
        let mut create = Self {
            bucket,
            value_len: value.len(),
            ttl,
            id,
            step: Step::Publishing,
            expected: 0,
            refused_at: 0,
            is_in_doubt: false,
            rounds: 0,
            tries: Tries::default(),
        };
        create.prepare(cx, key, value, 0)?;
        if create.ttl.is_some() && !write::gate(cx, bucket, false)? {
            create.step = Step::Gating;
            return Ok(create);
        }
        cx.send_held();
        Ok(create)
    }

    fn prepare(&self, cx: &mut Cx<'_>, key: &str, value: &[u8], expected: u64) -> Result<(), Error> {
        let mut digits = itoa::Buffer::new();
        let mut headers = Vec::from([(write::EXPECTED, digits.format(expected))]);
        headers.extend(self.ttl.as_deref().map(|ttl| ("Nats-TTL", ttl)));
        headers.extend(self.id.as_deref().map(|id| (write::MESSAGE_ID, id)));
        let bucket = &cx.buckets[self.bucket];
        bucket.check_size(block_len(&headers) + value.len())?;
        let on_loss = write::on_loss(cx, self.bucket, self.id.as_deref());
        let ask = Ask { headers: &headers, payload: value, on_loss, ..Ask::default() };
        cx.slots.held = cx.net.prepare(Owner::Op(cx.op), &bucket.write_subject(key), ask)?;
        Ok(())
    }

    pub(crate) fn on_answer(&mut self, cx: &mut Cx<'_>, request: u64, answer: &Answer<'_>) -> Progress {
        let progress = self.react(cx, request, answer);
        write::doubting(cx, self.is_in_doubt, progress)
    }

    fn react(&mut self, cx: &mut Cx<'_>, request: u64, answer: &Answer<'_>) -> Progress {
        match (self.step, answer) {
            (Step::ReadingMarker { by_leader: true }, Answer::Failed(error)) if error.code == ErrorCode::Permission => {
                self.read_marker(cx, false)
            }
            (Step::Gating | Step::ReadingMarker { .. }, Answer::Failed(error)) => error.clone().into(),
            (Step::Publishing, Answer::Failed(error)) => {
                self.step = Step::Learning;
                write::on_cut(cx, self.bucket, request, error).into()
            }
            (Step::Learning, answer) => match write::on_learnt(cx, self.bucket, answer, &mut self.tries) {
                Ok(()) => self.publish(cx),
                Err(progress) => progress,
            },
            (Step::Gating, answer) => match write::on_gate(cx, self.bucket, false, answer) {
                Ok(()) => self.publish(cx),
                Err(error) => error.into(),
            },
            (Step::Publishing, Answer::Reply { payload, .. }) => self.on_ack(cx, request, payload),
            (Step::Publishing, Answer::NoResponders) => {
                cx.hold(request);
                self.step = Step::Checking;
                missing::ask(cx, self.bucket).into()
            }
            (Step::Checking, answer) => match missing::judge(cx, self.bucket, answer) {
                Err(error) => error.into(),
                Ok(is_there) => {
                    let error = missing::no_responders(cx.net.subject(cx.slots.held), is_there);
                    self.later(cx, Some(error))
                }
            },
            (Step::ReadingMarker { .. }, Answer::NoResponders) => self.later(cx, None),
            (Step::ReadingMarker { by_leader }, Answer::Reply { headers, payload }) => {
                let last = if by_leader { leader_last(cx, payload) } else { direct_last(cx, headers) };
                match last {
                    Ok(last) => self.on_last(cx, last),
                    Err(Some(error)) => error.into(),
                    Err(None) => self.later(cx, None),
                }
            }
        }
    }

    pub(crate) fn on_retry(&mut self, cx: &mut Cx<'_>) -> Progress {
        match self.step {
            Step::ReadingMarker { by_leader } => self.read_marker(cx, by_leader),
            Step::Learning => missing::ask(cx, self.bucket).into(),
            Step::Gating | Step::Publishing | Step::Checking => self.publish(cx),
        }
    }

    fn publish(&mut self, cx: &mut Cx<'_>) -> Progress {
        self.step = Step::Publishing;
        cx.send_held();
        Progress::Pending
    }

    fn later(&mut self, cx: &Cx<'_>, error: Option<Error>) -> Progress {
        let held = cx.slots.held;
        let error = || error.unwrap_or_else(|| missing::no_responders(cx.net.subject(held), false));
        self.tries.again(error).map_or_else(Progress::from, Progress::Later)
    }

    fn on_ack(&mut self, cx: &mut Cx<'_>, request: u64, payload: &[u8]) -> Progress {
        let refused = match puback::parse(payload, &cx.buckets[self.bucket].ack_stream) {
            Ok(Ok(seq)) => return write::stored(cx, self.bucket, request, seq),
            Ok(Err(refused)) => refused,
            Err(error) => return error.maybe_applied(true).into(),
        };
        cx.hold(request);
        if refused.is_retryable() {
            return self.later(cx, Some(refused.to_error()));
        }
        if !refused.is_wrong_sequence() {
            return write::about(&self.shown(cx), refused.to_error()).into();
        }
        self.refused_at = refused.actual_sequence().unwrap_or_default();
        self.read_marker(cx, true)
    }

    fn read_marker(&mut self, cx: &mut Cx<'_>, by_leader: bool) -> Progress {
        self.step = Step::ReadingMarker { by_leader };
        let body = object! { "last_by_subj" => cx.buckets[self.bucket].subject(self.key(cx)) };
        let endpoint = if by_leader { ".STREAM.MSG.GET." } else { ".DIRECT.GET." };
        cx.ask_stream(self.bucket, endpoint, format!("{body}").as_bytes()).into()
    }

    fn on_last(&mut self, cx: &mut Cx<'_>, last: Last) -> Progress {
        let expected = match last {
            Last::Ours(revision) => return Progress::Done(Ok(Outcome::Revision(revision))),
            Last::Value(revision) if revision >= self.refused_at => return self.exists(cx, Some(revision)).into(),
            Last::Marker(revision) | Last::Value(revision) => revision,
            Last::Nothing => 0, // the marker expired meanwhile
        };
        if expected == self.expected || expected < self.refused_at {
            // Somebody's write is on its way to the replicas (10164), or has not come to the one that was read: what it makes of the
            // key, a value or not, is still to be seen.
            self.step = Step::Publishing;
            let text = "create: other writes of the key are in flight all the time";
            let wait = self.tries.again(|| Error::new(ErrorCode::Unavailable, text));
            return wait.map_or_else(Progress::from, |_| Progress::Later(IN_FLIGHT_WAIT));
        }
        self.rounds += 1;
        if self.rounds == MAX_ROUNDS {
            return self.exists(cx, None).into();
        }
        let key = String::from(self.key(cx));
        let held = cx.slots.held;
        self.is_in_doubt |= cx.net.is_resent(held);
        self.expected = expected;
        let frame = cx.net.take_frame(held);
        cx.net.forget(held);
        let value_end = frame.len() - 2; // CRLF
        if let Err(error) = self.prepare(cx, &key, &frame[value_end - self.value_len..value_end], expected) {
            return error.into();
        }
        self.publish(cx)
    }

    fn exists(&self, cx: &Cx<'_>, revision: Option<u64>) -> Error {
        let text = match revision {
            Some(revision) => {
                format!(
                    "key exists: {} at revision {revision} (wrong last sequence: {revision})",
                    Quoted(&self.shown(cx))
                )
            }
            None => format!("key exists: {} (wrong last sequence)", Quoted(&self.shown(cx))),
        };
        Error::new(ErrorCode::KeyExists, text).at(revision)
    }

    fn shown<'a>(&self, cx: &'a Cx<'_>) -> Cow<'a, str> {
        cx.buckets[self.bucket].shown(self.key(cx))
    }

    /// The key stands in the subject of the kept request.
    fn key<'a>(&self, cx: &'a Cx<'_>) -> &'a str {
        cx.net.subject(cx.slots.held).get(cx.buckets[self.bucket].write_prefix.len()..).unwrap_or_default()
    }
}

/// By STREAM.MSG.GET. `Err(None)`: to be asked again.
fn leader_last(cx: &Cx<'_>, payload: &[u8]) -> Result<Last, Option<Error>> {
    let fields = match api::answer(payload) {
        Ok(fields) => fields,
        Err(ApiFailure::Refused(error)) if error.err_code == 10037 => return Ok(Last::Nothing),
        Err(ApiFailure::Refused(error)) if error.is_retryable() => return Err(None),
        Err(failure) => return Err(Some(failure.to_error())),
    };
    let stored = StoredMessage::of(&fields)
        .ok_or_else(|| Some(Error::protocol("the answer of STREAM.MSG.GET has no message")))?;
    Ok(classify(cx, &Headers::parse(&stored.headers), stored.sequence))
}

fn direct_last(cx: &Cx<'_>, headers: &Headers<'_>) -> Result<Last, Option<Error>> {
    match headers.status() {
        Some(status) => match meaning(status, headers.description(), false, Context::DirectGet) {
            Meaning::NotFound => Ok(Last::Nothing),
            _ => Err(None),
        },
        None => {
            let meta = DirectMeta::of(headers)
                .ok_or_else(|| Some(Error::protocol("the answer to a direct get has no metadata")))?;
            Ok(classify(cx, &meta.stored, meta.sequence))
        }
    }
}

fn classify(cx: &Cx<'_>, headers: &Headers<'_>, revision: u64) -> Last {
    if Operation::of(headers) != Operation::Put {
        return Last::Marker(revision);
    }
    if write::is_ours(cx, headers) { Last::Ours(revision) } else { Last::Value(revision) }
}
