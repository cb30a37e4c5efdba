//! purge_deletes: removes delete and purge markers with what is under them, and never anything newer.
//!
//! The peers purge the subject, or all but its last message, and lose a value that was written in between. STREAM.PURGE with
//! `seq` removes only what is older than that sequence: `marker + 1` takes the marker too, `marker` leaves it.

use alloc::{format, string::String, vec::Vec};
use core::time::Duration;

use crate::{
    error::{Error, ErrorCode},
    event::Outcome,
    js::{
        api::{self, ApiFailure},
        ordered::{Ordered, Step},
    },
    json::{Value, object},
    kv::{
        bucket::Bucket,
        entry::Operation,
        missing::{self, Tries},
        op::{Cx, Progress},
    },
    mux::{Answer, Ask, OnLoss, Owner},
    proto::parser::Message,
    time::{from_rfc3339, nanos},
};

/// Purge requests in flight.
const WINDOW: usize = 64;

#[derive(Debug)]
pub(crate) struct PurgeDeletes {
    bucket: usize,
    older_than: Duration,
    step: Phase,
    /// What is still to be purged; of how many.
    markers: Vec<Marker>,
    total: usize,
    /// What was sent to be purged, and by which request.
    in_flight: Vec<(u64, Marker)>,
    /// Markers whose purge is not known to have come to anything.
    doubtful: Vec<Marker>,
    removed: u64,
    tries: Tries,
    is_waiting: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// What time is it at the server?
    Dating,
    Listing {
        now_ns: i64,
    },
    Purging,
}

#[derive(Debug, PartialEq, Eq)]
struct Marker {
    subject: String,
    /// STREAM.PURGE's `seq`: what is older goes.
    before: u64,
    /// The marker itself goes.
    is_removed: bool,
}

/// Whether STREAM.PURGE would take the subject for a pattern, and purge live keys with it: servers store whatever was published,
/// also to `$KV.b.>`.
fn is_pattern(subject: &[u8]) -> bool {
    subject.split(|b| *b == b'.').any(|token| matches!(token, b"*" | b">"))
}

/// `seq` of the STREAM.PURGE for a marker at `revision`.
pub(crate) const fn purge_before(revision: u64, is_old: bool) -> u64 {
    if is_old { revision.saturating_add(1) } else { revision }
}

impl PurgeDeletes {
    /// Which bucket it is about.
    pub(crate) fn bucket(&self) -> usize {
        self.bucket
    }

    /// Markers that are sent to be purged, of how many.
    pub(crate) fn done_of(&self) -> Option<(u64, u64)> {
        let done = self.total - self.markers.len().min(self.total);
        (self.step == Phase::Purging).then_some((done as u64, self.total as u64))
    }

    pub(crate) fn start(cx: &mut Cx<'_>, bucket: usize, older_than: Duration) -> Result<Self, Error> {
        cx.ask_stream(bucket, ".STREAM.INFO.", &[])?;
        Ok(Self {
            bucket,
            older_than,
            step: Phase::Dating,
            markers: Vec::new(),
            total: 0,
            in_flight: Vec::new(),
            doubtful: Vec::new(),
            removed: 0,
            tries: Tries::default(),
            is_waiting: false,
        })
    }

    pub(crate) fn on_answer(&mut self, cx: &mut Cx<'_>, request: u64, answer: &Answer<'_>) -> Progress {
        let sent = self.in_flight.iter().position(|(own, _)| *own == request);
        let payload = match answer {
            Answer::Reply { payload, .. } => payload,
            Answer::NoResponders => {
                return self.later(cx, request, missing::no_responders(cx.net.subject(request), false));
            }
            Answer::Failed(error) if error.code == ErrorCode::Disconnected => {
                return if sent.is_some() { self.list_anew(cx) } else { Progress::Pending };
            }
            Answer::Failed(error) => return error.clone().into(),
        };
        let fields = match api::answer(payload) {
            Ok(fields) => fields,
            Err(ApiFailure::Refused(error)) if error.is_retryable() => {
                return self.later(cx, request, error.to_error());
            }
            Err(failure) => return failure.to_error().into(),
        };
        if self.step == Phase::Dating {
            let time = fields.get("ts").or_else(|| fields.get("state").and_then(|state| state.get("last_ts")));
            // Where the server does not say, all markers count as young.
            let now_ns =
                time.and_then(Value::as_str).and_then(|time| from_rfc3339(time.as_bytes())).unwrap_or(i64::MIN);
            self.step = Phase::Listing { now_ns };
            let mut plan = cx.buckets[self.bucket].plan(&[String::from(">")], cx.limits);
            plan.is_headers_only = true;
            return cx.consume(plan).into();
        }
        if let Some(at) = sent {
            self.in_flight.swap_remove(at);
            cx.slots.others.retain(|other| *other != request);
        }
        self.purge(cx)
    }

    /// Sent again, a purge could meet a bucket that was made anew meanwhile, whose revisions are low, and take its values. So what is
    /// there is listed again, and what was in flight is found or not.
    fn list_anew(&mut self, cx: &mut Cx<'_>) -> Progress {
        for (request, marker) in self.in_flight.drain(..) {
            cx.net.forget(request);
            self.doubtful.push(marker);
        }
        cx.slots.others.clear();
        self.markers.clear();
        self.step = Phase::Dating;
        cx.ask_stream(self.bucket, ".STREAM.INFO.", &[]).into()
    }

    /// An election: another try after a while.
    fn later(&mut self, cx: &mut Cx<'_>, request: u64, error: Error) -> Progress {
        cx.net.hold(request);
        if core::mem::replace(&mut self.is_waiting, true) {
            return Progress::Pending; // it goes with the others of the window, which count as one try
        }
        self.tries.again(|| error).map_or_else(Progress::from, Progress::Later)
    }

    pub(crate) fn on_retry(&mut self, cx: &mut Cx<'_>) -> Progress {
        self.is_waiting = false;
        if self.step == Phase::Purging {
            return self.list_anew(cx);
        }
        cx.net.resend(cx.slots.current);
        Progress::Pending
    }

    pub(crate) fn on_step(&mut self, cx: &mut Cx<'_>, step: Step<'_>, message: Option<&Message<'_>>) -> Progress {
        let Phase::Listing { now_ns } = self.step else { return Progress::Pending };
        match step {
            Step::Deliver { meta, caught_up } => {
                if let Some(message) = message
                    && Operation::of(&message.headers) != Operation::Put
                    && !is_pattern(message.subject)
                {
                    let age = now_ns.saturating_sub(meta.timestamp_ns).max(0) as u64;
                    let is_old = age >= nanos(self.older_than);
                    // A young marker stays; with one revision a key there is nothing under it.
                    if is_old || cx.buckets[self.bucket].history != Some(1) {
                        let subject = String::from_utf8_lossy(message.subject).into_owned();
                        let before = purge_before(meta.stream_seq, is_old);
                        let marker = Marker { subject, before, is_removed: is_old };
                        if let Some(at) = self.doubtful.iter().position(|doubtful| *doubtful == marker) {
                            self.doubtful.swap_remove(at);
                            self.removed -= u64::from(is_old); // it was not
                        }
                        self.markers.push(marker);
                    }
                }
                if caught_up { self.start_purging(cx) } else { Progress::Pending }
            }
            Step::CaughtUp | Step::Opened { caught_up: true } => self.start_purging(cx),
            Step::FlowControl(reply) => {
                Ordered::flow_control(cx.net, &reply);
                Progress::Pending
            }
            Step::Reset => {
                self.markers.clear();
                Progress::Pending
            }
            Step::Failed(error) => error.into(),
            Step::Nothing | Step::Resumed(_) | Step::Opened { caught_up: false } => Progress::Pending,
        }
    }

    fn start_purging(&mut self, cx: &mut Cx<'_>) -> Progress {
        self.step = Phase::Purging;
        self.total = self.markers.len();
        cx.slots.consumer = 0; // it said all it had to
        self.purge(cx)
    }

    /// Keeps the window full until nothing is left.
    fn purge(&mut self, cx: &mut Cx<'_>) -> Progress {
        let Bucket { api_prefix, stream, .. } = &cx.buckets[self.bucket];
        while cx.slots.others.len() < WINDOW
            && let Some(marker) = self.markers.pop()
        {
            let body = format!("{}", object! { "filter" => marker.subject.as_str(), "seq" => marker.before });
            let ask = Ask { payload: body.as_bytes(), on_loss: OnLoss::Drop, ..Ask::default() };
            let request = match cx.net.request(Owner::Op(cx.op), &[api_prefix, ".STREAM.PURGE.", stream], ask) {
                Ok(request) => request,
                Err(error) => return error.into(),
            };
            self.removed += u64::from(marker.is_removed);
            cx.slots.others.push(request);
            self.in_flight.push((request, marker));
        }
        if cx.slots.others.is_empty() { Progress::Done(Ok(Outcome::Purged(self.removed))) } else { Progress::Pending }
    }
}
