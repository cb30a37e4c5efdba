//! put, update, delete, purge: one publish, one acknowledgement. The headers make the difference (PROTOCOL 4.7).
//!
//! A 503 is first taken for an election, not for a missing bucket: STREAM.INFO decides, and the same bytes are sent again.

use alloc::{format, string::String};
use core::time::Duration;

use crate::{
    error::{Error, ErrorCode},
    event::Outcome,
    js::puback,
    kv::{
        bucket::Bucket,
        missing::{self, Tries},
        op::{Cx, Progress},
        ttl,
    },
    mux::{Answer, Ask, Owner},
    proto::encode::block_len,
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
    step: Step,
    tries: Tries,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Is the TTL allowed? Servers before 2.11 would ignore it without a word.
    Gating,
    Publishing,
    /// Nobody answered: is there a bucket?
    Checking,
}

impl Write {
    /// Which bucket it is about.
    pub(crate) fn bucket(&self) -> usize {
        self.bucket
    }

    pub(crate) fn start(cx: &mut Cx<'_>, bucket: usize, what: What<'_>) -> Result<Self, Error> {
        let mut digits = itoa::Buffer::new();
        let ttl_text = what.ttl.map(ttl::header).transpose()?;
        let mut headers = [("", ""); 4];
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
            push("Nats-Expected-Last-Subject-Sequence", digits.format(expected));
        }
        if let Some(ttl) = &ttl_text {
            push("Nats-TTL", ttl);
        }
        let mut write = Self { bucket, step: Step::Publishing, tries: Tries::default() };
        let headers = &headers[..count];
        if what.kind == Kind::Put {
            cx.buckets[bucket].check_size(block_len(headers) + what.value.len())?;
        }
        let ask = Ask { headers, payload: what.value, is_repeatable: false };
        cx.slots.held = cx.net.prepare(Owner::Op(cx.op), &cx.buckets[bucket].write_subject(what.key), ask)?;
        if ttl_text.is_some() && !gate(cx, bucket)? {
            write.step = Step::Gating;
            return Ok(write);
        }
        cx.send_held();
        Ok(write)
    }

    pub(crate) fn on_answer(&mut self, cx: &mut Cx<'_>, request: u64, answer: &Answer<'_>) -> Progress {
        match (self.step, answer) {
            (Step::Gating | Step::Publishing, Answer::Failed(error)) => error.clone().into(),
            (Step::Gating, answer) => {
                let opened = on_gate(cx, self.bucket, answer);
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
                missing::ask(cx, self.bucket).map_or_else(Progress::from, |()| Progress::Pending)
            }
            (Step::Checking, answer) => match missing::judge(cx, self.bucket, answer) {
                Err(error) => error.into(),
                Ok(_) => {
                    self.step = Step::Publishing;
                    let error = || missing::no_responders(cx.net.subject(cx.slots.held));
                    self.tries.again(error).map_or_else(Progress::from, Progress::Later)
                }
            },
        }
    }

    pub(crate) fn on_retry(&self, cx: &mut Cx<'_>) -> Progress {
        cx.send_held();
        Progress::Pending
    }

    fn on_ack(&mut self, cx: &mut Cx<'_>, request: u64, payload: &[u8]) -> Progress {
        let Bucket { ack_stream, write_prefix, .. } = &cx.buckets[self.bucket];
        match puback::parse(payload, ack_stream) {
            Ok(Ok(seq)) => Progress::Done(Ok(Outcome::Revision(seq))),
            Ok(Err(error)) if error.is_retryable() => {
                let refusal = error.to_error();
                cx.hold(request);
                self.tries.again(|| refusal).map_or_else(Progress::from, Progress::Later)
            }
            Ok(Err(error)) => {
                let key = cx.net.subject(request).get(write_prefix.len()..).unwrap_or_default();
                about(key, error.to_error()).into()
            }
            Err(error) => error.maybe_applied(true).into(),
        }
    }
}

/// The error, saying which key it is about.
pub(crate) fn about(key: &str, error: Error) -> Error {
    Error { message: format!("key {key:?}: {}", error.message).into(), ..error }
}

/// Whether the bucket is known to allow a TTL. False: it was asked, `on_gate` reads the answer.
pub(crate) fn gate(cx: &mut Cx<'_>, bucket: usize) -> Result<bool, Error> {
    match cx.buckets[bucket].allows_ttl {
        Some(true) => Ok(true),
        Some(false) => {
            cx.net.forget(cx.slots.held);
            Err(ttl_unsupported(&cx.buckets[bucket].name))
        }
        None => missing::ask(cx, bucket).map(|()| false),
    }
}

pub(crate) fn on_gate(cx: &mut Cx<'_>, bucket: usize, answer: &Answer<'_>) -> Result<(), Error> {
    let is_known = missing::judge(cx, bucket, answer)?;
    match cx.buckets[bucket].allows_ttl {
        Some(true) => Ok(()),
        Some(false) => Err(ttl_unsupported(&cx.buckets[bucket].name)),
        None if is_known => Err(ttl_unsupported(&cx.buckets[bucket].name)),
        None => Err(Error::new(ErrorCode::Unavailable, "ttl: the bucket could not be asked whether it allows one")),
    }
}

fn ttl_unsupported(bucket: &str) -> Error {
    let text: String =
        format!("ttl: bucket {bucket:?} does not allow one; it needs limit_marker_ttl, and a server of 2.11 or later");
    Error::new(ErrorCode::Unsupported, text)
}
