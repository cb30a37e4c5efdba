//! Running user code: one callback after another, never under the lock, on the quiet thread or inside `natskv_process`.

use std::{
    ptr,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
};

use natskv_core::{Error, State, WatchId, WatchItem};

use super::{Answer, Delivery, Engine, Guard, INSIDE};
use crate::{
    credentials,
    entry::natskv_entry,
    ffi::{self, natskv_code},
    options::{natskv_connection_state, natskv_notice},
    reply::{Reply, natskv_reply},
    watch::{Hook, natskv_watcher},
};

/// Items that one watch hands out before others get their turn, and the socket too.
const TURN: usize = 64;

/// Marks the thread as running a callback of `engine`.
pub(super) struct Inside<'a> {
    engine: &'a Engine,
    before: *const Engine,
}

impl<'a> Inside<'a> {
    pub(super) fn enter(engine: &'a Engine) -> Self {
        Self { engine, before: INSIDE.replace(ptr::from_ref(engine)) }
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        INSIDE.set(self.before);
        if thread::panicking() {
            self.engine.is_broken.store(true, Relaxed); // a bug of ours: callbacks of C do not panic
        }
    }
}

impl Engine {
    /// A turn of the caller's own loop. False once the client is closed and nothing is left to do or tell.
    pub(crate) fn process(self: &Arc<Self>, ready: i16) -> Result<bool, Error> {
        self.refuse_inside()?;
        let mut inner = self.lock()?;
        let now = inner.driver.now();
        inner.driver.process(ready, now);
        self.pump(&mut inner, now);
        if self.quiet.is_none() {
            inner = self.deliver(inner)?;
            let now = inner.driver.now();
            self.pump(&mut inner, now); // what the callbacks asked for leaves in one write
            if inner.is_ending {
                drop(inner);
                self.finish()?; // one of the callbacks freed the client
                return Ok(false);
            }
        }
        let is_over = matches!(inner.driver.core.state(), State::Closed(_));
        Ok(!is_over || inner.driver.is_closing() || !inner.deliveries.is_empty())
    }

    /// The end: closes core, and lets nobody wait any longer. What is left to tell is told by [`Engine::finish`].
    pub(crate) fn close(&self) -> Result<(), Error> {
        self.tell(|core, now| core.close(now))
    }

    /// After this the quiet thread ends as soon as all is told.
    pub(crate) fn end(&self) {
        let Ok(mut inner) = self.lock() else { return };
        inner.is_ending = true;
        self.ring_quiet(&mut inner);
    }

    /// Tells what is left to tell and gives every `user` back. Nobody else may deliver at that time.
    pub(crate) fn finish(self: &Arc<Self>) -> Result<(), Error> {
        let mut inner = self.lock()?;
        while !inner.deliveries.is_empty() && !inner.is_delivering {
            inner = self.deliver(inner)?;
        }
        let (watches, hooks) = (std::mem::take(&mut inner.watches), inner.hooks.take());
        drop(inner);
        let _inside = Inside::enter(self);
        drop((watches, hooks));
        Ok(())
    }

    /// Asks the user what core wants to know, if anything.
    pub(super) fn ask<'a>(&'a self, mut inner: Guard<'a>) -> Result<Guard<'a>, Error> {
        let (Some(question), Some(hooks)) = (inner.driver.question.take(), inner.hooks.clone()) else {
            return Ok(inner);
        };
        drop(inner);
        let inside = Inside::enter(self);
        let answer = question.ask(&hooks);
        drop(hooks);
        drop(inside);
        let mut inner = self.lock()?;
        let now = inner.driver.now();
        match answer {
            credentials::Answer::Credentials(conn, given) => inner.driver.core.credentials(conn, given, now),
            credentials::Answer::Signature(conn, given) => inner.driver.core.signature(conn, given, now),
        }
        self.pump(&mut inner, now);
        Ok(inner)
    }

    /// Runs the callbacks that are due now; those that they cause wait for the next turn.
    pub(super) fn deliver<'a>(self: &'a Arc<Self>, mut inner: Guard<'a>) -> Result<Guard<'a>, Error> {
        if inner.is_delivering {
            return Ok(inner);
        }
        inner.is_delivering = true;
        inner = self.ask(inner)?;
        for _ in 0..inner.deliveries.len() {
            let Some(delivery) = inner.deliveries.pop_front() else { break };
            let hooks = inner.hooks.clone();
            drop(inner);
            let inside = Inside::enter(self);
            match delivery {
                Delivery::Reply(callback, answer) => {
                    let answer = answer.map(|answer| match answer {
                        Answer::Outcome(outcome) => Reply::Outcome(outcome),
                        Answer::Watcher(id) => {
                            Reply::Watcher(natskv_watcher::new(Arc::clone(self), id, callback.bucket.clone()))
                        }
                    });
                    natskv_reply::tell(self, callback, answer);
                }
                Delivery::Progress(callback, done, total) => {
                    if let Some(on_progress) = callback.on_progress {
                        on_progress(callback.user.0, done, total);
                    }
                }
                Delivery::Items(id) => self.deliver_items(id)?,
                Delivery::Status(state) => {
                    if let Some((hooks, on_status)) = hooks.as_ref().and_then(|hooks| Some((hooks, hooks.on_status?))) {
                        let (state, error) = natskv_connection_state::of(&state);
                        let error = error.map(ffi::natskv_error::of);
                        on_status(hooks.user.user.0, state, error.as_ref().map_or(ptr::null(), ptr::from_ref));
                    }
                }
                Delivery::Notice(notice) => {
                    if let Some((hooks, on_notice)) = hooks.as_ref().and_then(|hooks| Some((hooks, hooks.on_notice?))) {
                        let (kind, text) = natskv_notice::of(&notice);
                        on_notice(hooks.user.user.0, kind, text.as_ptr());
                    }
                }
                Delivery::Drop(hook) => drop(hook),
            }
            drop(hooks);
            drop(inside);
            inner = self.lock()?;
        }
        inner.is_delivering = false;
        Ok(inner)
    }

    fn deliver_items(&self, id: WatchId) -> Result<(), Error> {
        for _ in 0..TURN {
            let Some((item, hook)) = self.take_item(id)? else { return Ok(()) };
            let Some(on_item) = hook.on_item else { return Ok(()) };
            let user = hook.user.user.0;
            match item {
                WatchItem::Entry(entry) => {
                    let entry = natskv_entry::new(entry, hook.bucket.clone());
                    on_item(user, natskv_code::NATSKV_OK, &raw const entry);
                }
                WatchItem::CaughtUp => on_item(user, natskv_code::NATSKV_CAUGHT_UP, ptr::null()),
                WatchItem::Reset => on_item(user, natskv_code::NATSKV_RESET, ptr::null()),
                WatchItem::Ended(error) => {
                    let code = natskv_code::of(error.code);
                    ffi::remember(error);
                    on_item(user, code, ptr::null());
                }
            }
        }
        let mut inner = self.lock()?;
        inner.deliveries.push_back(Delivery::Items(id));
        Ok(())
    }

    fn take_item(&self, id: WatchId) -> Result<Option<(WatchItem, Arc<Hook>)>, Error> {
        let mut inner = self.lock()?;
        let now = inner.driver.now();
        let Some(hook) = inner.watches.get(&id).and_then(|watch| watch.hook.clone()) else { return Ok(None) };
        let item = inner.driver.core.watch_next(id, now);
        if let Some(WatchItem::Ended(_)) = item {
            self.forget_watch(&mut inner, id);
        }
        self.pump(&mut inner, now);
        Ok(item.map(|item| (item, hook)))
    }
}
