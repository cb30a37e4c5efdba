//! put, update, delete, purge: one publish, one acknowledgement. The headers make the difference (PROTOCOL 4.7).
//!
//! A 503 is first taken for an election, not for a missing bucket: STREAM.INFO decides, and the same bytes are sent again.

use alloc::{boxed::Box, format, string::ToString};
use core::time::Duration;

use crate::{
    error::{Error, ErrorCode},
    event::Outcome,
    js::{api, direct::StoredMessage, puback},
    json::object,
    kv::{
        bucket::Bucket,
        missing::{self, Tries},
        op::{Cx, Progress},
        ttl,
    },
    mux::{Answer, Ask, OnLoss, Owner},
    proto::{encode::block_len, headers::Headers},
    shown::Quoted,
};

/// Which of the four.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Put,
    Delete,
    Purge,
}

/// What is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct What<'a> {
    pub(crate) kind: Kind,
    pub(crate) key: &'a str,
    pub(crate) value: &'a [u8],
    /// The revision that the key must be at.
    pub(crate) expected: Option<u64>,
    pub(crate) ttl: Option<Duration>,
}

#[derive(Debug)]
pub(crate) struct Write {
    bucket: usize,
    /// It is no marker.
    keeps_value: bool,
    expected: Option<u64>,
    step: Step,
    tries: Tries,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// Is the TTL allowed? Servers before 2.11 would ignore it without a word.
    Gating,
    Publishing,
    /// Nobody answered: is there a bucket?
    Checking,
    /// Cut off: does the bucket know the message id for long enough?
    Learning,
    /// Sent twice over a lost connection, and refused with this: was it the first one that made the second stale?
    Tracing {
        refusal: Box<Error>,
    },
}

impl Write {
    /// Which bucket it is about.
    pub(crate) fn bucket(&self) -> usize {
        self.bucket
    }

    pub(crate) fn start(cx: &mut Cx<'_>, bucket: usize, what: What<'_>) -> Result<Self, Error> {
        let mut digits = itoa::Buffer::new();
        let ttl_text = what.ttl.map(ttl::header).transpose()?;
        let id = cx.message_id(bucket);
        let mut headers = [("", ""); 5];
        let mut count = 0;
        let mut push = |name, value| {
            headers[count] = (name, value);
            count += 1;
        };
        match what.kind {
            Kind::Put => {}
            Kind::Delete => push("KV-Operation", "DEL"),
            Kind::Purge => {
                push("KV-Operation", "PURGE");
                push("Nats-Rollup", "sub"); // without it nothing is purged
            }
        }
        if let Some(expected) = what.expected {
            push(EXPECTED, digits.format(expected));
        }
        if let Some(ttl) = &ttl_text {
            push("Nats-TTL", ttl);
        }
        if let Some(id) = &id {
            push(MESSAGE_ID, id);
        }
        let keeps_value = what.kind == Kind::Put;
        let mut write =
            Self { bucket, keeps_value, expected: what.expected, step: Step::Publishing, tries: Tries::default() };
        let headers = &headers[..count];
        if keeps_value {
            cx.buckets[bucket].check_size(block_len(headers) + what.value.len())?;
        }
        let ask = Ask { headers, payload: what.value, on_loss: on_loss(cx, bucket, id.as_deref()), ..Ask::default() };
        cx.slots.held = cx.net.prepare(Owner::Op(cx.op), &cx.buckets[bucket].write_subject(what.key), ask)?;
        if ttl_text.is_some() && !gate(cx, bucket, keeps_value)? {
            write.step = Step::Gating;
            return Ok(write);
        }
        cx.send_held();
        Ok(write)
    }

    pub(crate) fn on_answer(&mut self, cx: &mut Cx<'_>, request: u64, answer: &Answer<'_>) -> Progress {
        let is_tracing = matches!(self.step, Step::Tracing { .. });
        let progress = self.react(cx, request, answer);
        if is_tracing { progress } else { doubting(cx, false, progress) }
    }

    fn react(&mut self, cx: &mut Cx<'_>, request: u64, answer: &Answer<'_>) -> Progress {
        match (&self.step, answer) {
            (Step::Tracing { refusal }, answer) => self.on_trace(cx, refusal, answer),
            (Step::Gating, Answer::Failed(error)) => error.clone().into(),
            (Step::Publishing, Answer::Failed(error)) => {
                self.step = Step::Learning;
                on_cut(cx, self.bucket, request, error).into()
            }
            (Step::Learning, answer) => match on_learnt(cx, self.bucket, answer, &mut self.tries) {
                Ok(()) => {
                    self.step = Step::Publishing;
                    cx.send_held();
                    Progress::Pending
                }
                Err(progress) => progress,
            },
            (Step::Gating, answer) => {
                let opened = on_gate(cx, self.bucket, self.keeps_value, answer);
                self.step = Step::Publishing;
                match opened {
                    Ok(()) => {
                        cx.send_held();
                        Progress::Pending
                    }
                    Err(error) => error.into(),
                }
            }
            (Step::Publishing, Answer::Reply { payload, .. }) => self.on_ack(cx, request, payload),
            (Step::Publishing, Answer::NoResponders) => {
                cx.hold(request);
                self.step = Step::Checking;
                missing::ask(cx, self.bucket).into()
            }
            (Step::Checking, answer) => match missing::judge(cx, self.bucket, answer) {
                Err(error) => error.into(),
                Ok(is_there) => {
                    self.step = Step::Publishing;
                    let subject = cx.net.subject(cx.slots.held);
                    let error = || missing::no_responders(subject, is_there);
                    self.tries.again(error).map_or_else(Progress::from, Progress::Later)
                }
            },
        }
    }

    pub(crate) fn on_retry(&self, cx: &mut Cx<'_>) -> Progress {
        if self.step == Step::Learning {
            return missing::ask(cx, self.bucket).into();
        }
        cx.send_held();
        Progress::Pending
    }

    fn on_ack(&mut self, cx: &mut Cx<'_>, request: u64, payload: &[u8]) -> Progress {
        let Bucket { ack_stream, write_prefix, .. } = &cx.buckets[self.bucket];
        match puback::parse(payload, ack_stream) {
            Ok(Ok(seq)) => stored(cx, self.bucket, request, seq),
            Ok(Err(error)) if error.is_retryable() => {
                cx.hold(request);
                self.tries.again(|| error.to_error()).map_or_else(Progress::from, Progress::Later)
            }
            Ok(Err(error)) => {
                let key = cx.net.subject(request).get(write_prefix.len()..).unwrap_or_default();
                let refusal = about(&cx.buckets[self.bucket].shown(key), error.to_error());
                match self.expected.filter(|_| error.is_wrong_sequence() && cx.net.is_resent(request)) {
                    Some(expected) => self.trace(cx, request, expected, refusal),
                    None => refusal.into(),
                }
            }
            Err(error) => error.maybe_applied(true).into(),
        }
    }

    /// A repeated write without expectation is known to the server by its message id; one with an expectation is refused before
    /// the id is looked at (seen on 2.10-2.15). If the first one was stored, it is the first message behind the revision expected.
    fn trace(&mut self, cx: &mut Cx<'_>, request: u64, expected: u64, refusal: Error) -> Progress {
        cx.hold(request);
        self.step = Step::Tracing { refusal: Box::new(refusal) };
        let bucket = &cx.buckets[self.bucket];
        let key = cx.net.subject(request).get(bucket.write_prefix.len()..).unwrap_or_default();
        let body = object! { "next_by_subj" => bucket.subject(key), "seq" => expected.saturating_add(1) }.to_string();
        cx.ask_stream(self.bucket, ".STREAM.MSG.GET.", body.as_bytes()).into()
    }

    fn on_trace(&self, cx: &Cx<'_>, refusal: &Error, answer: &Answer<'_>) -> Progress {
        let stored = match answer {
            Answer::Reply { payload, .. } => api::answer(payload).ok().and_then(|fields| StoredMessage::of(&fields)),
            Answer::NoResponders | Answer::Failed(_) => None,
        };
        if let Some(stored) = &stored
            && is_ours(cx, &Headers::parse(&stored.headers))
        {
            return Progress::Done(Ok(Outcome::Revision(stored.sequence)));
        }
        // Whoever expected the same and was stored came first. Any other may have come behind ours, which is gone from the history since.
        let expected = |stored: &StoredMessage| Headers::parse(&stored.headers).last_u64(EXPECTED);
        let is_certain = stored.is_some_and(|stored| expected(&stored).is_some_and(|seq| self.expected == Some(seq)));
        refusal.clone().maybe_applied(!is_certain).into()
    }
}

/// Carries the revision that the key must be at.
pub(crate) const EXPECTED: &str = "Nats-Expected-Last-Subject-Sequence";

/// The failure of a write that was sent on a connection that broke, and again: the first one may have been stored, whatever this one
/// was refused for.
pub(crate) fn doubting(cx: &Cx<'_>, is_in_doubt: bool, progress: Progress) -> Progress {
    match progress {
        Progress::Done(Err(error)) => {
            let is_resent = [cx.slots.current, cx.slots.held].iter().any(|request| cx.net.is_exposed_write(*request));
            let is_maybe = error.maybe_applied || is_in_doubt || is_resent;
            error.maybe_applied(is_maybe).into()
        }
        other => other,
    }
}

/// Carries the id that `Config::retry_writes` gives a write.
pub(crate) const MESSAGE_ID: &str = "Nats-Msg-Id";

/// What is to become of a write that is cut off. With an id it is sent again at once only where the bucket is known to know the id for
/// long enough; else `on_cut` has a look.
pub(crate) fn on_loss(cx: &Cx<'_>, bucket: usize, id: Option<&str>) -> OnLoss {
    if id.is_some() && cx.remembers(bucket) == Some(true) { OnLoss::Trace } else { OnLoss::Fail }
}

/// A write failed. One that was cut off and carries an id is kept, and its bucket asked: nothing is sent again that may be stored twice.
pub(crate) fn on_cut(cx: &mut Cx<'_>, bucket: usize, request: u64, error: &Error) -> Result<(), Error> {
    if error.code != ErrorCode::Disconnected || cx.net.headers(request).last(MESSAGE_ID).is_none() {
        return Err(error.clone());
    }
    cx.hold(request);
    cx.net.doubt(request);
    missing::ask(cx, bucket)
}

/// The bucket's answer: whether the kept write is to be sent again, or what comes instead.
pub(crate) fn on_learnt(
    cx: &mut Cx<'_>,
    bucket: usize,
    answer: &Answer<'_>,
    tries: &mut Tries,
) -> Result<(), Progress> {
    let not_again =
        |why| Error::new(ErrorCode::Disconnected, format!("cut off by a lost connection; not sent again: {why}"));
    let is_known = missing::judge(cx, bucket, answer)?;
    if is_known && cx.remembers(bucket) == Some(true) {
        return Ok(());
    }
    if is_known || matches!(answer, Answer::Failed(_)) {
        let why =
            if is_known { "the bucket may forget its message id too soon" } else { "the bucket may not be asked" };
        return Err(not_again(why).into());
    }
    let wait = tries.again(|| not_again("the bucket does not answer"));
    Err(wait.map_or_else(Progress::from, Progress::Later))
}

/// Whether a stored message is the one that the held request wrote.
pub(crate) fn is_ours(cx: &Cx<'_>, stored: &Headers<'_>) -> bool {
    let own = cx.net.headers(cx.slots.held).last(MESSAGE_ID);
    own.is_some() && own == stored.last(MESSAGE_ID)
}

/// The error, saying which key it is about.
pub(crate) fn about(key: &str, error: Error) -> Error {
    error.about(format_args!("key {key}", key = Quoted(key)))
}

/// The end of a write that was stored: from now on no older answer is taken for the key.
pub(crate) fn stored(cx: &mut Cx<'_>, bucket: usize, request: u64, revision: u64) -> Progress {
    let bucket = &mut cx.buckets[bucket];
    let key = cx.net.subject(request).get(bucket.write_prefix.len()..).unwrap_or_default();
    bucket.seen.record(key.as_bytes(), revision, cx.limits.seen_keys);
    Progress::Done(Ok(Outcome::Revision(revision)))
}

/// Whether the bucket is known to allow a TTL. False: it was asked, `on_gate` reads the answer. `keeps_value`: the write does not
/// have to be the first one of its key, as a create has.
pub(crate) fn gate(cx: &mut Cx<'_>, bucket: usize, keeps_value: bool) -> Result<bool, Error> {
    if cx.buckets[bucket].allows_ttl.is_none() {
        return missing::ask(cx, bucket).map(|()| false);
    }
    check_ttl(&cx.buckets[bucket], keeps_value).inspect_err(|_| cx.net.forget(cx.slots.held))?;
    Ok(true)
}

pub(crate) fn on_gate(cx: &mut Cx<'_>, bucket: usize, keeps_value: bool, answer: &Answer<'_>) -> Result<(), Error> {
    missing::judge(cx, bucket, answer)?;
    check_ttl(&cx.buckets[bucket], keeps_value)
}

/// A value that expires over older revisions of its key would bring the newest of those back to life.
fn check_ttl(bucket: &Bucket, keeps_value: bool) -> Result<(), Error> {
    let Bucket { name, allows_ttl, history, .. } = bucket;
    let text = match (allows_ttl, history) {
        (None, _) => {
            let text = "ttl: the bucket could not be asked whether it allows one";
            return Err(Error::new(ErrorCode::Unavailable, text));
        }
        (Some(false), _) => {
            format!(
                "ttl: bucket {name} does not allow one; it needs limit_marker_ttl, and a server of 2.11 or later",
                name = Quoted(name)
            )
        }
        (Some(true), Some(history)) if keeps_value && *history != 1 => format!(
            "ttl: bucket {name} keeps {history} revisions a key, an older one would come back when this one expires; create \
             takes a ttl there, put, update and touch where history is 1",
            name = Quoted(name)
        ),
        _ => return Ok(()),
    };
    Err(Error::new(ErrorCode::Unsupported, text))
}
