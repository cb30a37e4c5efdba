//! Time as core wants it: monotonic, from any start. And whether the machine slept, which monotonic time does not count.

use std::time::{Duration, Instant as Monotonic};

use natskv_core::Instant;

/// Less than this is the time between two readings.
const SLEEP: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Clock {
    start: Monotonic,
    /// What the machine had slept since its start when we last looked.
    slept: Duration,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { start: Monotonic::now(), slept: slept() }
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::from_nanos(self.start.elapsed().as_nanos() as u64)
    }

    /// Whether the machine slept since this was last asked.
    pub(crate) fn has_slept(&mut self) -> bool {
        self.is_longer(slept())
    }

    fn is_longer(&mut self, slept: Duration) -> bool {
        slept.saturating_sub(std::mem::replace(&mut self.slept, slept)) >= SLEEP
    }
}

/// How long the machine has slept since it was started.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn slept() -> Duration {
    let read = |clock| {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is there to be written; both clocks exist since Linux 2.6.39, and a failure leaves zeros.
        unsafe { libc::clock_gettime(clock, &raw mut time) };
        Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
    };
    let awake = read(libc::CLOCK_MONOTONIC);
    read(libc::CLOCK_BOOTTIME).saturating_sub(awake)
}

/// Not known here: `natskv_wake` is for the program to call.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn slept() -> Duration {
    Duration::ZERO
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_is_noticed_once() {
        let mut clock = Clock::new();
        assert!(!clock.has_slept(), "nothing slept since the line above");
        let before = clock.slept;
        assert!(clock.is_longer(before + Duration::from_secs(3600)));
        assert!(!clock.is_longer(before + Duration::from_secs(3600)));
        assert!(!clock.is_longer(before + Duration::from_millis(3_600_900)));
    }
}
