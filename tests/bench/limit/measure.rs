//! What is asked for on the command line, and the one line that tells what came of it.

use std::{
    env, fs,
    io::{self, Write},
    time::{Duration, Instant, SystemTime},
};

use crate::Result;

/// `WORKLOAD name=value …`
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) workload: String,
    /// `nats://host:port`
    pub(crate) url: String,
    /// How many keys the buckets hold.
    pub(crate) keys: usize,
    /// How long to measure, where the number of operations is ours to choose.
    pub(crate) seconds: f64,
}

impl Arguments {
    pub(crate) fn read() -> Result<Self> {
        let mut words = env::args().skip(1);
        let workload = words.next().ok_or("limit WORKLOAD url=… keys=… seconds=…")?;
        let mut arguments = Self { workload, url: String::new(), keys: 100_000, seconds: 1.0 };
        for word in words {
            match word.split_once('=') {
                Some(("url", url)) => arguments.url = url.to_owned(),
                Some(("keys", keys)) => arguments.keys = keys.parse()?,
                Some(("seconds", seconds)) => arguments.seconds = seconds.parse()?,
                _ => {} // for other clients
            }
        }
        Ok(arguments)
    }
}

/// From when on it counts.
#[derive(Debug)]
pub(crate) struct Meter {
    start: Instant,
    cpu: f64,
}

impl Meter {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now(), cpu: cpu_seconds() }
    }

    /// So many operations were done since the start.
    pub(crate) fn stop(&self, ops: usize) -> Report {
        let (seconds, cpu) = (self.start.elapsed().as_secs_f64(), cpu_seconds() - self.cpu);
        Report(vec![("ops", ops as f64), ("seconds", seconds), ("cpu", cpu)])
    }
}

/// Names and numbers.
#[derive(Debug)]
pub(crate) struct Report(Vec<(&'static str, f64)>);

impl Report {
    /// The wall-clock time at which the first get was answered.
    pub(crate) fn first() -> Result<Self> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        Ok(Self(vec![("at_us", now.as_micros() as f64)]))
    }

    pub(crate) fn with(mut self, name: &'static str, value: f64) -> Self {
        self.0.push((name, value));
        self
    }

    /// Adds the middle and the slowest hundredth of some waits.
    pub(crate) fn with_waits(self, mut waits: Vec<Duration>) -> Self {
        waits.sort_unstable();
        let at = |share: usize| waits[(waits.len() - 1) * share / 100].as_secs_f64() * 1e6;
        let (p50, p99) = (at(50), at(99));
        self.with("p50_us", p50).with("p99_us", p99)
    }

    pub(crate) fn print(self) {
        let whole = self.with("peak_kb", peak_kb());
        let words: Vec<String> = whole.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        println!("result {}", words.join(" "));
    }
}

/// Tells the runner that the other process may begin.
pub(crate) fn ready() -> io::Result<()> {
    println!("ready");
    io::stdout().flush()
}

/// User and system time of this process.
fn cpu_seconds() -> f64 {
    // SAFETY: an all-zero rusage is a valid one.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is writable and of the right type.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    [usage.ru_utime, usage.ru_stime].iter().map(|time| time.tv_sec as f64 + time.tv_usec as f64 / 1e6).sum()
}

/// The most memory this process ever had; 0 where there is no /proc.
fn peak_kb() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
    peak.unwrap_or(0.0)
}
