//! One measure: a fresh process that prints `result name=number …` when it is done, and before that `ready` when another process is
//! to write (W6). Whatever it takes, it ends.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};

use super::clients::{Client, Program};
use crate::dev::Dev;
use crate::run;
use crate::server::Server;

/// No client of a working machine needs longer for one measure.
const LIMIT: Duration = Duration::from_secs(90);

/// What every process is told.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) dev: &'a Dev,
    pub(crate) server: &'a Server,
    pub(crate) seconds: f64,
    pub(crate) keys: u32,
}

/// What came of a measure. What is not known is not a number.
#[derive(Clone, Debug)]
pub(crate) struct Measure {
    /// Operations a second; for W11 one over the seconds it took; for W0 nothing.
    pub(crate) speed: f64,
    /// Microseconds of user and system time an operation.
    pub(crate) cpu: f64,
    /// The most memory that the process had, in MB of a million bytes.
    pub(crate) peak: f64,
    /// The middle of the waits, and the slowest hundredth, in microseconds.
    pub(crate) waits: [f64; 2],
}

impl Plan<'_> {
    /// Runs `client` once.
    pub(crate) fn measure(&self, client: &Client, workload: &str) -> Result<Measure> {
        let mut command = self.command(client, workload);
        let began = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
        let numbers = Running::start(&mut command, self.log(client.name, workload))?.numbers(|| {
            let mut write = self.limit_command("write");
            write.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            write.spawn().context("cannot start the process that writes")
        })?;
        let number = |name: &str| numbers.get(name).copied().unwrap_or(f64::NAN);
        let first = if numbers.contains_key("ms") { number("ms") / 1e3 } else { number("at_us") / 1e6 - began };
        let measure = Measure {
            speed: if workload == "W11" { 1.0 / first } else { number("ops") / number("seconds") },
            cpu: number("cpu") / number("ops") * 1e6,
            peak: number("peak_kb") * 1024.0 / 1e6,
            waits: [number("p50_us"), number("p99_us")],
        };
        ensure!(workload == "W0" || measure.speed.is_finite(), "it told no numbers");
        Ok(measure)
    }

    /// A task of the limit's program that measures nothing.
    pub(crate) fn limit(&self, task: &str) -> Result<String> {
        let log = self.log("limit", task);
        Ok(run::check(&mut self.limit_command(task), &log, LIMIT)?.output)
    }

    /// How many consumers a client did not remove.
    pub(crate) fn left_behind(&self) -> Result<u64> {
        let output = self.limit("tidy")?;
        let count = output.trim().strip_prefix("left ").and_then(|count| count.parse().ok());
        count.with_context(|| format!("tidy said {output:?}"))
    }

    fn limit_command(&self, task: &str) -> Command {
        let mut command = self.dev.command(self.dev.root.join("target/release/limit"));
        command.args(self.arguments(task, &self.server.url));
        command
    }

    fn arguments(&self, workload: &str, url: &str) -> [String; 4] {
        let Self { keys, .. } = self;
        // nats-py and nats.js leave a consumer behind with each call, and the server takes a thousand
        let seconds = if workload == "W7h" { self.seconds / 4.0 } else { self.seconds };
        [workload.to_owned(), format!("url={url}"), format!("keys={keys}"), format!("seconds={seconds}")]
    }

    fn command(&self, client: &Client, workload: &str) -> Command {
        let (dev, server) = (self.dev, self.server);
        let folder = dev.root.join("target/bench");
        let tests = dev.root.join("tests/bench");
        match client.program {
            Program::Limit => self.limit_command(workload),
            Program::Python { file, event_loop } => {
                let mut command = dev.command(folder.join("venv/bin/python"));
                let file = if workload == "W0" { "nothing" } else { file };
                command.arg(tests.join("python").join(file).with_extension("py"));
                command.args(self.arguments(workload, &server.url));
                command.arg(format!("loop={event_loop}"));
                command
            }
            Program::C { file, is_async } => {
                let mut command = dev.command(folder.join(c_program(file, is_async)));
                command.args(self.arguments(workload, &server.url));
                command
            }
            Program::Node { client, is_web, option } => {
                let mut command = dev.command("node");
                let url = if is_web { &server.ws_url } else { &server.url };
                command.args(option).arg("--no-warnings").arg(tests.join("web/node.mjs")).arg(client);
                command.args(self.arguments(workload, url));
                command
            }
            Program::Page { client } => {
                let mut command = dev.command("node");
                command.arg(tests.join("web/browser.mjs")).arg(client);
                command.args(self.arguments(workload, &server.ws_url));
                command
            }
        }
    }

    fn log(&self, client: &str, workload: &str) -> PathBuf {
        self.dev.dev.join("logs").join(format!("bench-{client}-{workload}.log"))
    }
}

/// What the C program with this file is called.
pub(crate) fn c_program(file: &str, is_async: bool) -> String {
    format!("c-{file}{}", if is_async { "-async" } else { "" })
}

/// A process, and the other one that it asked for; both end when this is dropped.
struct Running {
    child: Child,
    other: Option<Child>,
    lines: Receiver<String>,
    log: PathBuf,
    until: Instant,
}

impl Running {
    fn start(command: &mut Command, log: PathBuf) -> Result<Self> {
        let errors = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
        let mut child = command.spawn().with_context(|| format!("cannot start {}", run::words(command)))?;
        let output = child.stdout.take().context("no pipe")?;
        let (send, lines) = mpsc::channel();
        thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| send.send(line))
        });
        Ok(Self { child, other: None, lines, log, until: Instant::now() + LIMIT })
    }

    /// Waits for its end, and gives the numbers that it told; `write` starts the other process.
    fn numbers(mut self, write: impl Fn() -> Result<Child>) -> Result<BTreeMap<String, f64>> {
        let mut numbers = BTreeMap::new();
        loop {
            match self.lines.recv_timeout(self.until.saturating_duration_since(Instant::now())) {
                Ok(line) if line == "ready" => self.other = Some(write()?),
                Ok(line) => numbers.extend(line.strip_prefix("result ").into_iter().flat_map(pairs)),
                Err(RecvTimeoutError::Timeout) => bail!("ended after {} s", LIMIT.as_secs()),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        for process in [Some(&mut self.child), self.other.as_mut()].into_iter().flatten() {
            let Some(status) = run::wait(process, self.until)? else { bail!("ended after {} s", LIMIT.as_secs()) };
            if !status.success() {
                let said = std::fs::read_to_string(&self.log).unwrap_or_default();
                let line = said.lines().find(|line| line.contains("Error")).or_else(|| said.trim().lines().last());
                bail!("{status}: {}", line.unwrap_or_default());
            }
        }
        Ok(numbers)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for process in [Some(&mut self.child), self.other.as_mut()].into_iter().flatten() {
            if matches!(process.try_wait(), Ok(None)) {
                run::end(process);
            }
        }
    }
}

/// `name=number …`
fn pairs(words: &str) -> impl Iterator<Item = (String, f64)> {
    words.split(' ').filter_map(|word| {
        let (name, number) = word.split_once('=')?;
        Some((name.to_owned(), number.parse().ok()?))
    })
}
