//! clear: purges every key under a prefix, each only if it is still at the revision that was listed. A value written meanwhile stays.

use alloc::{boxed::Box, format, string::String, vec::Vec};

use crate::{
    error::{Error, ErrorCode},
    event::Outcome,
    js::ordered,
    kv::{
        list::{List, Name, What},
        op::{Child, Cx, Progress, Single},
        write::{Kind, What as Written},
    },
    proto::parser::Message,
};

#[derive(Debug)]
pub(crate) struct Clear {
    bucket: usize,
    /// None once all is listed.
    list: Option<Box<List>>,
    names: Vec<Name>,
    next: usize,
    in_flight: usize,
    cleared: u64,
    /// A purge that failed may have been stored.
    is_in_doubt: bool,
    /// Ends it, once what is in flight is answered.
    error: Option<Error>,
}

impl Clear {
    /// Which bucket it is about.
    pub(crate) fn bucket(&self) -> usize {
        self.bucket
    }

    pub(crate) fn start(cx: &mut Cx<'_>, bucket: usize, keys: &[String]) -> Result<Self, Error> {
        let list = List::start(cx, bucket, What::Live, keys)?;
        let list = Some(Box::new(list));
        Ok(Self { bucket, list, names: Vec::new(), next: 0, in_flight: 0, cleared: 0, is_in_doubt: false, error: None })
    }

    pub(crate) fn on_step(
        &mut self,
        cx: &mut Cx<'_>,
        step: ordered::Step<'_>,
        message: Option<&Message<'_>>,
    ) -> Progress {
        let Some(list) = &mut self.list else { return Progress::Pending };
        match list.on_step(cx, step, message) {
            Progress::Done(Ok(_)) => {
                self.names = list.take_live();
                self.list = None;
                cx.slots.consumer = 0; // it said all it had to
                self.progress()
            }
            other => other,
        }
    }

    pub(crate) fn next_child(&mut self) -> Option<Child<'_>> {
        let index = self.next;
        let name = self.names.get(index).filter(|_| self.error.is_none())?;
        self.next += 1;
        self.in_flight += 1;
        let what = Written { kind: Kind::Purge, key: &name.key, value: &[], expected: Some(name.revision), ttl: None };
        Some(Child { index, what: Single::Write(what) })
    }

    /// The last one could not be started yet.
    pub(crate) fn return_child(&mut self) {
        self.next -= 1;
        self.in_flight -= 1;
    }

    pub(crate) fn on_child(&mut self, result: Result<Outcome, Error>) -> Progress {
        self.in_flight -= 1;
        self.is_in_doubt |= result.as_ref().is_err_and(|error| error.maybe_applied);
        match result {
            Ok(_) => self.cleared += 1,
            Err(error) if error.code == ErrorCode::WrongRevision => {} // written meanwhile
            Err(error) => {
                let text = format!("{} of {} keys were cleared; {}", self.cleared, self.names.len(), error.message);
                let error = error.saying(text);
                self.error.get_or_insert(error);
            }
        }
        self.progress()
    }

    fn progress(&mut self) -> Progress {
        if self.in_flight > 0 {
            return Progress::Pending;
        }
        match self.error.take() {
            Some(error) => error.maybe_applied(self.has_applied()).into(),
            None if self.next == self.names.len() => Progress::Done(Ok(Outcome::Purged(self.cleared))),
            None => Progress::Pending,
        }
    }

    /// Whether any key is purged, or may be.
    pub(crate) fn has_applied(&self) -> bool {
        self.cleared > 0 || self.is_in_doubt
    }

    /// Keys that are dealt with, of how many.
    pub(crate) fn done_of(&self) -> Option<(u64, u64)> {
        let done = self.next.saturating_sub(self.in_flight);
        self.list.is_none().then_some((done as u64, self.names.len() as u64))
    }
}
