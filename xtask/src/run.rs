//! Running a program to its end: output into a file, a deadline, and nothing left running behind it.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ran {
    /// None: it was ended because its time was over.
    pub(crate) status: Option<ExitStatus>,
    /// What it wrote, stdout and stderr as they came.
    pub(crate) output: String,
    /// How long it took.
    pub(crate) took: Duration,
}

impl Ran {
    /// Whether it ended by itself with exit code 0.
    pub(crate) fn is_ok(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// How it ended, in words.
    pub(crate) fn ending(&self) -> String {
        match self.status {
            Some(status) => status.to_string(),
            None => format!("was ended after {} s", self.took.as_secs()),
        }
    }
}

/// Runs `command` with its output going to `log`, for at most `limit`.
///
/// A file and not a pipe: whatever a test leaves running cannot keep us waiting for the end of its output.
pub(crate) fn run(command: &mut Command, log: &Path, limit: Duration) -> Result<Ran> {
    let started = Instant::now();
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    let mut child = command.spawn().with_context(|| format!("cannot start {}", words(command)))?;
    let status = wait(&mut child, started + limit)?;
    let output = String::from_utf8_lossy(&fs::read(log)?).into_owned();
    Ok(Ran { status, output, took: started.elapsed() })
}

/// Runs `command` and fails with its output when it does not end well.
pub(crate) fn check(command: &mut Command, log: &Path, limit: Duration) -> Result<Ran> {
    let ran = run(command, log, limit)?;
    if !ran.is_ok() {
        bail!("{} ({})\n{}", words(command), ran.ending(), ran.output.trim_end());
    }
    Ok(ran)
}

/// What a command would look like when typed.
pub(crate) fn words(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}

/// Waits until `child` ended; ends it, with all that it started, when `until` comes first.
pub(crate) fn wait(child: &mut Child, until: Instant) -> Result<Option<ExitStatus>> {
    let mut pause = Duration::from_millis(2);
    while Instant::now() < until {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
    end(child);
    Ok(None)
}

/// Asks a program and its descendants to end, and makes them after two seconds.
pub(crate) fn end(child: &mut Child) {
    let mut family = descendants(child.id());
    family.push(child.id());
    signal("-TERM", &family);
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until && matches!(child.try_wait(), Ok(None)) {
        thread::sleep(Duration::from_millis(20));
    }
    signal("-KILL", &family);
    let _ = child.wait();
}

fn signal(which: &str, processes: &[u32]) {
    let ids = processes.iter().map(u32::to_string);
    let _ = Command::new("kill").arg(which).args(ids).stdout(Stdio::null()).stderr(Stdio::null()).status();
}

/// Children of a process and theirs, by /proc; none where there is no /proc.
fn descendants(of: u32) -> Vec<u32> {
    let Ok(folder) = fs::read_dir("/proc") else { return Vec::new() };
    let parents: Vec<(u32, u32)> = folder
        .filter_map(|entry| {
            let id: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            // "id (name) state parent …", and the name may hold anything, also spaces and brackets
            let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
            Some((id, parent))
        })
        .collect();
    let mut found = vec![of];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(parents.iter().filter(|(_, its)| *its == parent).map(|(id, _)| *id));
        next += 1;
    }
    found.split_off(1)
}
