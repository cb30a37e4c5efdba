//! A program that answers lines of JSON with lines of JSON: proof-server, and the clients that are sent to its doors.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::run;

const END_WITHIN: Duration = Duration::from_secs(10);

/// Ended when dropped.
#[derive(Debug)]
pub(crate) struct Talker {
    /// What it is called in messages.
    pub(crate) name: String,
    child: Child,
    to: Option<ChildStdin>,
    lines: Receiver<String>,
    log: PathBuf,
}

impl Talker {
    /// Starts it; what it writes to stderr goes into `log`.
    pub(crate) fn start(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        if let Some(folder) = log.parent() {
            fs::create_dir_all(folder)?;
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(log)?);
        let mut child = command.spawn().with_context(|| format!("cannot start {}", run::words(&command)))?;
        let out = child.stdout.take().context("no stdout")?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let to = child.stdin.take();
        Ok(Self { name: name.to_owned(), child, to, lines, log: log.to_owned() })
    }

    /// Says a line.
    pub(crate) fn say(&mut self, line: &str) -> Result<()> {
        let to = self.to.as_mut().context("it was told to end")?;
        writeln!(to, "{line}").and_then(|()| to.flush()).with_context(|| self.ended())
    }

    /// The next line.
    pub(crate) fn hear(&self, within: Duration) -> Result<Value> {
        match self.lines.recv_timeout(within) {
            Ok(line) => serde_json::from_str(&line).with_context(|| format!("{} said {line:?}", self.name)),
            Err(RecvTimeoutError::Timeout) => bail!("{} said nothing in {} s", self.name, within.as_secs()),
            Err(RecvTimeoutError::Disconnected) => bail!(self.ended()),
        }
    }

    /// Says a line and hears the next; an `error` in it is one.
    pub(crate) fn ask(&mut self, line: &str, within: Duration) -> Result<Value> {
        self.say(line)?;
        let answer = self.hear(within)?;
        match answer["error"].as_str() {
            Some(error) => bail!("{}: {line}: {error}", self.name),
            None => Ok(answer),
        }
    }

    /// All that it wrote to stderr so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    fn ended(&self) -> String {
        format!("{} has ended\n{}", self.name, self.log())
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        drop(self.to.take()); // which says that this was all
        let _ = run::wait(&mut self.child, Instant::now() + END_WITHIN);
    }
}
