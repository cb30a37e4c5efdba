//! One heap of deadlines. A deadline that no longer matters is left in it and ignored when it comes up: cheaper than taking
//! it out, and an early wake-up is harmless by contract.

use alloc::collections::BinaryHeap;
use core::{cmp::Reverse, mem};

use crate::time::Instant;

/// Whose deadline it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    Op(u64),
    Consumer(u64),
}

/// Deadlines, nearest first.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, Timer)>>,
    /// How large the heap was when the forgotten ones were last thrown out.
    swept_len: usize,
}

impl Timers {
    pub(crate) fn arm(&mut self, at: Instant, timer: Timer) {
        self.heap.push(Reverse((at, timer)));
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// A timer that is due.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        self.next().filter(|at| *at <= now)?;
        self.heap.pop().map(|Reverse((_, timer))| timer)
    }

    /// Whether most of the heap may be forgotten timers: time to sweep, so that a busy client's heap stays as small as a quiet one's.
    pub(crate) fn is_crowded(&self) -> bool {
        self.heap.len() > 64 + 2 * self.swept_len
    }

    /// Forgets timers of things that are gone: those at the top always, the others when they are most of the heap.
    pub(crate) fn sweep(&mut self, is_live: impl Fn(Timer) -> bool) {
        while self.heap.peek().is_some_and(|Reverse((_, timer))| !is_live(*timer)) {
            self.heap.pop();
        }
        if self.is_crowded() {
            for Reverse((at, timer)) in mem::take(&mut self.heap) {
                if is_live(timer) {
                    self.arm(at, timer);
                }
            }
            self.swept_len = self.heap.len();
        }
    }
}
