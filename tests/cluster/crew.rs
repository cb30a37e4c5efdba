//! The clients: programs of their own, that tell each attempt on a line.

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use natskv_core::Entry;

use crate::{attempts::Attempts, dev};

/// Kinds of clients; of the last two, which are peers, each only puts.
pub(crate) const KINDS: [&str; 5] = ["Python", "C", "Node", "nats-py", "@nats-io/kv"];

fn is_peer(kind: &str) -> bool {
    KINDS[3..].contains(&kind)
}

/// Writes that everybody makes before the next thing happens.
const ENOUGH: usize = 10;

pub(crate) fn keys() -> impl Iterator<Item = String> {
    (0..6).map(|number| format!("k{number}"))
}

pub(crate) struct Crew {
    kinds: Vec<&'static str>,
    members: Vec<Child>,
    lines: Receiver<(usize, String)>,
    pub(crate) attempts: Attempts,
    complaints: Vec<String>,
    stopped: Vec<bool>,
    shown: BTreeMap<usize, BTreeMap<String, (u64, String)>>,
    ended: Vec<bool>,
    /// What happened, and from which moment on.
    marks: Vec<(String, u64)>,
}

impl Crew {
    pub(crate) fn start(servers: &str, bucket: &str, kinds: &[&'static str]) -> Result<Self, String> {
        let (sender, lines) = channel();
        let mut crew = Self {
            kinds: kinds.to_vec(),
            members: Vec::new(),
            lines,
            attempts: Attempts::default(),
            complaints: Vec::new(),
            stopped: vec![false; kinds.len()],
            shown: BTreeMap::new(),
            ended: vec![false; kinds.len()],
            marks: Vec::new(),
        };
        for (number, client) in kinds.iter().enumerate() {
            let mut child = command(client)?
                .args([servers, bucket, &(number + 1).to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .map_err(|error| format!("{client}: {error}"))?;
            let output = child.stdout.take().ok_or("no output")?;
            let sender: Sender<(usize, String)> = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    if sender.send((number, line)).is_err() {
                        break;
                    }
                }
                let _ = sender.send((number, "gone".into()));
            });
            crew.members.push(child);
        }
        Ok(crew)
    }

    /// Takes in what is told until `is_enough`, but no longer than that.
    fn listen(&mut self, patience: Duration, is_enough: impl Fn(&Self) -> bool) -> bool {
        let until = Instant::now() + patience;
        loop {
            if is_enough(self) {
                return true;
            }
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok((number, line)) => self.learn(number, &line),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return is_enough(self),
            }
        }
    }

    /// Takes in what was told already.
    pub(crate) fn listen_now(&mut self) {
        while let Ok((number, line)) = self.lines.try_recv() {
            self.learn(number, &line);
        }
    }

    fn learn(&mut self, number: usize, line: &str) {
        if self.attempts.learn(number, line) {
            return;
        }
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["stopped"] => self.stopped[number] = true,
            ["end"] => self.ended[number] = true,
            ["seen", key, revision, value] => {
                let state = (revision.parse().unwrap_or_default(), value.to_owned());
                self.shown.entry(number).or_default().insert(key.to_owned(), state);
            }
            ["gone"] if self.stopped[number] => {}
            _ => self.complaints.push(format!("{} {}: {line}", self.kinds[number], number + 1)),
        }
    }

    /// Until everybody has written some more.
    pub(crate) fn wait_for_writes(&mut self, patience: Duration) -> Result<(), String> {
        self.listen_now(); // what was told already is old
        let since = self.attempts.now();
        let count = |crew: &Self, number| {
            let written = crew.attempts.written.get(&number).map(Vec::as_slice).unwrap_or_default();
            written.iter().rev().take_while(|(start, _)| *start > since).count()
        };
        let has_enough = |crew: &Self| (0..crew.kinds.len()).all(|number| count(crew, number) >= ENOUGH);
        if self.listen(patience, |crew| has_enough(crew) || !crew.complaints.is_empty()) {
            return self.check();
        }
        let counts: Vec<String> =
            (0..self.kinds.len()).map(|number| format!("{} {}", self.kinds[number], count(self, number))).collect();
        Err(format!("after {patience:?} these have written so often: {}; {:?}", counts.join(", "), self.complaints))
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        if self.complaints.is_empty() { Ok(()) } else { Err(self.complaints.join("; ")) }
    }

    /// Something happens now.
    pub(crate) fn mark(&mut self, what: &str) {
        self.listen_now();
        self.marks.push((what.to_owned(), self.attempts.now()));
    }

    /// The longest time that each kind of client had no write acknowledged, by what happened.
    pub(crate) fn recoveries(&self) {
        println!("{:<44}{}", "seconds without a write, the longest", KINDS.map(|kind| format!("{kind:>13}")).concat());
        for (at, (what, from)) in self.marks.iter().enumerate() {
            let to = self.marks.get(at + 1).map_or(u64::MAX, |(_, to)| *to);
            let longest = KINDS.map(|kind| {
                let members = (0..self.kinds.len()).filter(|number| self.kinds[*number] == kind);
                let gap =
                    members.filter_map(|number| longest_gap(self.attempts.written.get(&number)?, *from, to)).max();
                gap.map_or_else(|| format!("{:>13}", "-"), |gap| format!("{:>13.2}", gap as f64 / 1e9))
            });
            println!("{what:<44}{}", longest.concat());
        }
    }

    /// The programs, and what kind each is of.
    pub(crate) fn programs(&self) -> impl Iterator<Item = (&'static str, u32)> {
        self.kinds.iter().copied().zip(self.members.iter().map(Child::id))
    }

    fn tell(&mut self, number: usize, line: &str) {
        if let Some(input) = &mut self.members[number].stdin {
            let _ = writeln!(input, "{line}").and_then(|()| input.flush());
        }
    }

    pub(crate) fn stop(&mut self, patience: Duration) -> Result<(), String> {
        (0..self.kinds.len()).for_each(|number| self.tell(number, "stop"));
        if self.listen(patience, |crew| crew.stopped.iter().all(|stopped| *stopped)) {
            return self.check();
        }
        let late: Vec<&str> = (0..self.kinds.len()).filter(|at| !self.stopped[*at]).map(|at| self.kinds[at]).collect();
        Err(format!("these do not stop: {}", late.join(", ")))
    }

    /// Each watch has come to `newest`, and shows the newest of each key.
    pub(crate) fn check_watches(&mut self, newest: u64, kept: &[Entry]) -> Result<(), String> {
        let ours: Vec<usize> = (0..self.kinds.len()).filter(|number| !is_peer(self.kinds[*number])).collect();
        ours.iter().for_each(|number| self.tell(*number, &format!("show {newest}")));
        self.listen(Duration::from_secs(70), |crew| ours.iter().all(|number| crew.ended[*number]));
        let mut expected: BTreeMap<String, (u64, String)> = BTreeMap::new();
        for entry in kept {
            let state = (entry.revision, String::from_utf8_lossy(entry.value()).into_owned());
            let last = expected.entry(entry.key().to_owned()).or_default();
            if last.0 < state.0 {
                *last = state;
            }
        }
        for number in ours {
            let mut shown = self.shown.remove(&number).unwrap_or_default();
            shown.retain(|key, _| key.starts_with('k'));
            if shown != expected {
                return Err(format!("{} {} shows {shown:?}, the server {expected:?}", self.kinds[number], number + 1));
            }
        }
        Ok(())
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        for member in &mut self.members {
            drop(member.stdin.take());
            let until = Instant::now() + Duration::from_secs(5);
            while Instant::now() < until && matches!(member.try_wait(), Ok(None)) {
                thread::sleep(Duration::from_millis(20));
            }
            let _ = member.kill();
            let _ = member.wait();
        }
    }
}

/// The longest time between two acknowledgements, of which the later one is within the span.
fn longest_gap(written: &[(u64, u64)], from: u64, to: u64) -> Option<u64> {
    let pairs = written.windows(2).filter(|pair| pair[1].1 > from && pair[1].1 <= to);
    pairs.map(|pair| pair[1].1 - pair[0].1).max()
}

/// How a client of this kind is started.
fn command(client: &str) -> Result<Command, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster");
    let (program, script) = match client {
        "Python" => (dev().join("venv/bin/python"), "worker.py"),
        "nats-py" => (dev().join("venv/bin/python"), "peer.py"),
        "Node" => ("node".into(), "worker.mjs"),
        "@nats-io/kv" => ("node".into(), "peer.mjs"),
        _ => {
            let program = env::var_os("NATSKV_CLUSTER_WORKER").ok_or("NATSKV_CLUSTER_WORKER names no program in C")?;
            return Ok(Command::new(program));
        }
    };
    let mut command = Command::new(program);
    if client == "Node" {
        // A young generation that does not grow: only what is kept is to be seen.
        command.args(["--expose-gc", "--max-semi-space-size=1"]);
    }
    command.arg(folder.join(script)).env("NATSKV_DEV", dev());
    Ok(command)
}
