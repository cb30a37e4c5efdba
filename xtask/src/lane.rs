//! One suite while it runs: it counts, prints a line for each part, and keeps the numbers for the table.

use std::borrow::BorrowMut;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{iter, thread};

use anyhow::Result;

use crate::dev::Dev;
use crate::outcome::{Count, count, skips};
use crate::run::{Ran, run};
use crate::setup::{Missing, Need};

/// How long one part of a suite may take when it does not say.
pub(crate) const LIMIT: Duration = Duration::from_secs(600);

/// A suite at work.
#[derive(Debug)]
pub(crate) struct Lane<'a> {
    /// The checkout.
    pub(crate) dev: &'a Dev,
    /// What set-up could not give.
    pub(crate) missing: &'a Missing,
    name: &'static str,
    count: Count,
    started: Instant,
}

/// A line of the table.
#[derive(Debug)]
pub(crate) struct Row {
    /// The suite.
    pub(crate) name: &'static str,
    /// Its numbers.
    pub(crate) count: Count,
    /// How long it took, builds included.
    pub(crate) took: Duration,
}

impl<'a> Lane<'a> {
    /// Begins the suite `name`.
    pub(crate) fn new(dev: &'a Dev, missing: &'a Missing, name: &'static str) -> Self {
        println!("── {name}");
        Self { dev, missing, name, count: Count::default(), started: Instant::now() }
    }

    /// Runs tests that print their own numbers, in a dialect that `outcome` reads.
    pub(crate) fn tests(&mut self, what: &str, command: impl BorrowMut<Command>) {
        self.tests_within(what, command, LIMIT);
    }

    /// The same for tests that may take longer, and whose output has tables in it that are shown.
    pub(crate) fn tests_shown(&mut self, what: &str, command: impl BorrowMut<Command>, limit: Duration) {
        self.tests_within(what, command, limit);
        let told = std::fs::read_to_string(self.log(what)).unwrap_or_default();
        told.lines().filter(|line| line.contains("  ")).for_each(|line| println!("   {line}"));
    }

    /// The same for tests that may take longer.
    pub(crate) fn tests_within(&mut self, what: &str, mut command: impl BorrowMut<Command>, limit: Duration) {
        let ran = run(command.borrow_mut(), &self.log(what), limit);
        self.judge(what, ran);
    }

    /// The same for tests that have nothing to do with each other and wait more than they compute: two at a time, told in their order.
    pub(crate) fn tests_together(&mut self, parts: Vec<(String, Command)>) {
        let parts: Vec<_> = parts.into_iter().map(|(what, command)| (self.log(&what), what, command)).collect();
        let waiting = Mutex::new(parts.into_iter().enumerate());
        let next = || waiting.lock().ok()?.next();
        let work = || {
            let ran = |(at, (log, what, mut command)): (usize, (PathBuf, String, Command))| {
                (at, what, run(&mut command, &log, LIMIT))
            };
            iter::from_fn(next).map(ran).collect::<Vec<_>>()
        };
        let mut all = thread::scope(|scope| {
            let beside = scope.spawn(work);
            let mut all = work();
            all.extend(beside.join().unwrap_or_else(|panic| resume_unwind(panic)));
            all
        });
        all.sort_by_key(|(at, ..)| *at);
        for (_, what, ran) in all {
            self.judge(&what, ran);
        }
    }

    fn judge(&mut self, what: &str, ran: Result<Ran>) {
        let ran = match ran {
            Ok(ran) => ran,
            Err(error) => return self.failed(what, &format!("{error:#}")),
        };
        let Some(mut count) = count(&ran.output) else {
            let why = format!("{}, and told no numbers\n{}", ran.ending(), tail(&ran.output));
            return self.failed(what, &why);
        };
        if !ran.is_ok() && count.failed == 0 {
            count.failed = 1;
            println!("   {what}: {}, although no test failed", ran.ending());
        }
        if count.failed > 0 {
            println!("{}", ran.output.trim_end());
        }
        for reason in skips(&ran.output) {
            println!("   {reason}");
        }
        self.told(what, count, ran.took);
    }

    /// A check that passes when the command ends well; its output is shown when not.
    pub(crate) fn check(&mut self, what: &str, mut command: Command) -> bool {
        match run(&mut command, &self.log(what), LIMIT) {
            Ok(ran) if ran.is_ok() => {
                self.told(what, Count { passed: 1, ..Count::default() }, ran.took);
                true
            }
            Ok(ran) => {
                self.failed(what, &format!("{}\n{}", ran.ending(), ran.output.trim_end()));
                false
            }
            Err(error) => {
                self.failed(what, &format!("{error:#}"));
                false
            }
        }
    }

    /// A check of our own.
    pub(crate) fn test(&mut self, what: &str, body: impl FnOnce() -> Result<()>) {
        let started = Instant::now();
        match body() {
            Ok(()) => self.told(what, Count { passed: 1, ..Count::default() }, started.elapsed()),
            Err(error) => self.failed(what, &format!("{error:#}")),
        }
    }

    /// Something that tests stand on: nothing is counted when it works, one failure when not.
    pub(crate) fn build(&mut self, what: &str, body: impl FnOnce() -> Result<()>) -> bool {
        let started = Instant::now();
        match body() {
            Ok(()) => {
                println!("   {what} ({:.1} s)", started.elapsed().as_secs_f64());
                true
            }
            Err(error) => {
                self.failed(what, &format!("{error:#}"));
                false
            }
        }
    }

    /// Whether what the suite stands on is there; a failure is counted when not.
    pub(crate) fn has(&mut self, need: Need, what: &str) -> bool {
        let Some(why) = self.missing.get(&need) else { return true };
        self.failed(what, &format!("set-up failed: {why}"));
        false
    }

    /// Counts one test that cannot be run here, with its reason.
    pub(crate) fn skip(&mut self, what: &str, why: &str) {
        println!("   skip {what}: {why}");
        self.count.skipped += 1;
    }

    /// Counts one test that went well, and says nothing of it.
    pub(crate) fn passed(&mut self) {
        self.count.passed += 1;
    }

    /// Ends the suite.
    pub(crate) fn end(self) -> Row {
        Row { name: self.name, count: self.count, took: self.started.elapsed() }
    }

    /// Counts one failure.
    pub(crate) fn failed(&mut self, what: &str, why: &str) {
        println!("   FAIL {what}: {why}");
        self.count.failed += 1;
    }

    fn told(&mut self, what: &str, count: Count, took: Duration) {
        println!("   {what}: {count} ({:.1} s)", took.as_secs_f64());
        self.count += count;
    }

    fn log(&self, what: &str) -> PathBuf {
        let name: String = what.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        self.dev.dev.join("logs").join(format!("{}-{name}.log", self.name))
    }
}

fn tail(text: &str) -> String {
    const LINES: usize = 60;
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

/// The table and the closing line; whether nothing failed.
pub(crate) fn report(rows: &[Row]) -> bool {
    let mut whole = Count::default();
    println!("\n{:<12}{:>8}{:>8}{:>9}{:>10}", "suite", "passed", "failed", "skipped", "seconds");
    for row in rows {
        let Count { passed, failed, skipped } = row.count;
        println!("{:<14}{passed:>8}{failed:>8}{skipped:>9}{:>10.1}", row.name, row.took.as_secs_f64());
        whole += row.count;
    }
    println!("{whole}");
    whole.failed == 0
}
