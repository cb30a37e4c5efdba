//! history: all revisions that a key keeps, oldest first.
//!
//! One direct get of a run of messages, where server (2.11+) and bucket allow it: no consumer is made. Else, and where one answer does
//! not hold all, a consumer: two answers could be of two buckets, or of two replicas. It also finds out what is wrong with a bucket
//! that does not answer.

use alloc::{format, string::String, vec::Vec};

use crate::{
    error::{Error, ErrorCode},
    event::Outcome,
    js::{
        ordered,
        series::{Part, Series},
        status::Context,
    },
    json::object,
    kv::{
        bucket::Bucket,
        entry::Entry,
        get::not_found,
        list::{List, What},
        op::{Cx, Progress},
    },
    mux::{Answer, Ask},
    proto::parser::Message,
};

/// Messages of one request: as many as clients let a key keep.
const PAGE: usize = 64;

#[derive(Debug)]
pub(crate) struct History {
    bucket: usize,
    /// As stored.
    key: String,
    series: Series,
    entries: Vec<Entry>,
    list: Option<List>,
}

impl History {
    /// Which bucket it is about.
    pub(crate) fn bucket(&self) -> usize {
        self.bucket
    }

    pub(crate) fn start(cx: &mut Cx<'_>, bucket: usize, key: &str) -> Result<Self, Error> {
        let mut history = Self { bucket, key: key.into(), series: Series::default(), entries: Vec::new(), list: None };
        let Bucket { allows_direct, allows_batches, .. } = &cx.buckets[bucket];
        if *allows_direct && *allows_batches != Some(false) { history.ask(cx) } else { history.consume(cx) }?;
        Ok(history)
    }

    fn ask(&self, cx: &mut Cx<'_>) -> Result<(), Error> {
        let subject = cx.buckets[self.bucket].subject(&self.key);
        let body = format!("{}", object! { "batch" => PAGE, "next_by_subj" => subject, "seq" => 1_u64 });
        cx.ask(self.bucket, ".DIRECT.GET.", Ask { payload: body.as_bytes(), is_many: true, ..Ask::default() })
    }

    fn consume(&mut self, cx: &mut Cx<'_>) -> Result<(), Error> {
        self.entries.clear();
        self.list =
            Some(List::start(cx, self.bucket, What::History(self.key.clone()), core::slice::from_ref(&self.key))?);
        Ok(())
    }

    pub(crate) fn on_answer(&mut self, cx: &mut Cx<'_>, request: u64, answer: &Answer<'_>) -> Progress {
        let part = match answer {
            Answer::Failed(error) if error.code != ErrorCode::Permission => return error.clone().into(),
            Answer::Failed(_) | Answer::NoResponders => Part::Broken,
            Answer::Reply { headers, .. } => self.series.on_reply(headers, Context::DirectBatch),
        };
        if matches!(part, Part::Empty) {
            self.entries.clear(); // of an attempt that was cut off
        }
        match (part, answer) {
            (Part::Message { meta, is_first }, Answer::Reply { payload, .. }) => {
                if is_first {
                    self.entries.clear();
                }
                self.entries.push(cx.buckets[self.bucket].gotten(&meta, payload));
                return Progress::Pending;
            }
            (Part::End { pending: 0, .. } | Part::Empty, _) => {
                let last = self.entries.last().map_or(0, |entry| entry.revision);
                if !cx.buckets[self.bucket].seen.is_behind(self.key.as_bytes(), last) {
                    return self.finish(cx);
                }
            }
            (Part::Unsupported, _) => cx.buckets[self.bucket].allows_batches = Some(false),
            _ => {}
        }
        cx.net.forget(request);
        self.consume(cx).into()
    }

    pub(crate) fn on_step(
        &mut self,
        cx: &mut Cx<'_>,
        step: ordered::Step<'_>,
        message: Option<&Message<'_>>,
    ) -> Progress {
        self.list.as_mut().map_or(Progress::Pending, |list| list.on_step(cx, step, message))
    }

    fn finish(&mut self, cx: &Cx<'_>) -> Progress {
        if self.entries.is_empty() {
            return not_found(&cx.buckets[self.bucket].shown(&self.key), None).into();
        }
        let mut entries = core::mem::take(&mut self.entries);
        for (after, entry) in entries.iter_mut().rev().enumerate() {
            entry.delta = after as u64;
        }
        Progress::Done(Ok(Outcome::Entries(entries)))
    }
}
