//! poll(2) on at most two descriptors, and the pipe that ends such a wait from another thread.

use std::{
    io::{self, Read, Write},
    os::{
        fd::{AsRawFd, RawFd},
        unix::net::UnixStream,
    },
};

use natskv_core::Instant;

use crate::ffi::to_millis;

/// What a sleeper waits for: bits of poll(2) on one descriptor (-1: none), or the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wants {
    pub(crate) fd: RawFd,
    pub(crate) events: i16,
    pub(crate) until: Option<Instant>,
}

impl Wants {
    /// Whether who sleeps on `self` would miss something of `newer`.
    pub(crate) fn misses(&self, newer: &Self) -> bool {
        let is_earlier = newer.until.is_some_and(|new| self.until.is_none_or(|old| new < old));
        self.fd != newer.fd || newer.events & !self.events != 0 || is_earlier
    }
}

/// What ended the wait.
pub(crate) struct Ready {
    /// Bits of poll(2); 0 when the time ran out.
    pub(crate) events: i16,
    /// Somebody called [`Waker::wake`].
    pub(crate) woken: bool,
}

/// Sleeps until one of `wants` comes true or `waker` is rung. A signal ends it early, which is harmless.
pub(crate) fn poll(wants: Wants, now: Instant, waker: &Waker) -> Ready {
    let mut fds = [
        libc::pollfd { fd: wants.fd, events: wants.events, revents: 0 },
        libc::pollfd { fd: waker.receiver.as_raw_fd(), events: libc::POLLIN, revents: 0 },
    ];
    // Rounded up: waking a hair before a deadline would only spin.
    let timeout = wants.until.map_or(-1, |at| i32::try_from(to_millis(at.since(now))).unwrap_or(i32::MAX));
    // SAFETY: `fds` is a live array of two.
    let count = unsafe { libc::poll(fds.as_mut_ptr(), 2, timeout) };
    if count <= 0 {
        return Ready { events: 0, woken: false };
    }
    Ready { events: fds[0].revents, woken: fds[1].revents != 0 }
}

/// Ends the [`poll`] of another thread.
#[derive(Debug)]
pub(crate) struct Waker {
    sender: UnixStream,
    receiver: UnixStream,
}

impl Waker {
    pub(crate) fn new() -> io::Result<Self> {
        let (sender, receiver) = UnixStream::pair()?;
        sender.set_nonblocking(true)?;
        receiver.set_nonblocking(true)?;
        Ok(Self { sender, receiver })
    }

    pub(crate) fn wake(&self) {
        let _ = (&self.sender).write(&[1]); // a full pipe wakes as well
    }

    /// Forgets the calls so far.
    pub(crate) fn drain(&self) {
        let mut scrap = [0; 64];
        while matches!((&self.receiver).read(&mut scrap), Ok(64)) {}
    }
}
