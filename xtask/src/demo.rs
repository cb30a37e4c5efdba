//! `cargo xtask demo`: Python, C and a page write into one bucket of a private server, and each prints the others' writes.
//!
//! Each is a program of its own that prints `wrote KEY REVISION MICROSECONDS` and `saw KEY REVISION MICROSECONDS`, tab-separated.
//! They wait for each other through the bucket itself. What they print is shown as it comes, and counted.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::build;
use crate::dev::{Dev, browser};
use crate::run::{self, Ran};
use crate::server::{Server, guarded};
use crate::setup::{Need, setup};

const ROUNDS: u32 = 5;
const LIMIT: Duration = Duration::from_secs(40);

/// Shows it; whether each saw every write of the others.
pub(crate) fn demo(dev: &Dev, stay: bool) -> Result<bool> {
    let needs = [Need::Python, Need::Node, Need::Wasm, Need::Browser];
    let missing = setup(dev, &needs);
    for need in [Need::Python, Need::Node, Need::Wasm] {
        anyhow::ensure!(!missing.contains_key(&need), "the demo cannot do without what set-up could not install");
    }
    let is_page = browser().is_some();
    let web = if is_page { "page" } else { "node" };
    if !is_page {
        println!("No browser here, so the page's part runs in Node.");
    }
    println!("Building the three bindings …");
    let c_program = build_all(dev)?;

    let server = Server::start(dev)?;
    println!("nats-server {} at {} and {}, bucket \"demo\"\n", dev.release.version, server.url, server.ws_url);
    let rounds = ROUNDS.to_string();
    let names = ["python", "c", web];
    let mut parts = Vec::new();
    for name in names {
        let others = names.into_iter().filter(|other| *other != name);
        let mut command = match name {
            "python" => {
                let mut python = dev.command(dev.venv("python"));
                python.arg(dev.root.join("tests/demo/demo.py")).arg(&server.url);
                python
            }
            "c" => {
                let mut c = dev.command(&c_program);
                c.arg(&server.url);
                c
            }
            _ => {
                let mut node = dev.command("node");
                node.arg(dev.root.join("tests/demo").join(format!("{web}.mjs"))).arg(&server.ws_url);
                node
            }
        };
        command.arg(&rounds).args(others);
        parts.push((name, command));
    }
    let whole = watch(parts)?;
    let is_good = whole.report(&names);
    if stay {
        stay_here(dev, &server)?;
    }
    Ok(is_good)
}

fn build_all(dev: &Dev) -> Result<std::path::PathBuf> {
    build::python(dev)?;
    build::web(dev)?;
    build::c_demo(dev)
}

/// Who said what.
type Line = (&'static str, String);

/// Runs the programs side by side and shows what they say.
fn watch(parts: Vec<(&'static str, Command)>) -> Result<Whole> {
    let started = Instant::now();
    let (sender, lines) = channel();
    let mut children = Vec::new();
    for (name, mut command) in parts {
        match start(name, &mut command, sender.clone()) {
            Ok(child) => children.push((name, child)),
            Err(error) => {
                children.iter_mut().for_each(|(_, child)| run::end(child));
                return Err(error);
            }
        }
    }
    drop(sender);
    let mut whole = Whole::default();
    whole.read(&lines, started);
    for (name, child) in &mut children {
        let status = run::wait(child, started + LIMIT)?;
        let ran = Ran { status, output: String::new(), took: started.elapsed() };
        if !ran.is_ok() {
            println!("{name:>8}  {}", ran.ending());
            whole.broken = true;
        }
    }
    whole.took = started.elapsed();
    Ok(whole)
}

fn start(name: &'static str, command: &mut Command, lines: Sender<Line>) -> Result<Child> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start {}", run::words(command)))?;
    let outputs: [Option<Box<dyn std::io::Read + Send>>; 2] =
        [child.stdout.take().map(|pipe| Box::new(pipe) as _), child.stderr.take().map(|pipe| Box::new(pipe) as _)];
    for pipe in outputs.into_iter().flatten() {
        let lines = lines.clone();
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                let _ = lines.send((name, line));
            }
        });
    }
    Ok(child)
}

/// What was written and seen.
#[derive(Default)]
struct Whole {
    wrote: BTreeMap<&'static str, Vec<u64>>,
    saw: BTreeMap<&'static str, Vec<u64>>,
    broken: bool,
    took: Duration,
}

impl Whole {
    fn read(&mut self, lines: &Receiver<Line>, started: Instant) {
        loop {
            let left = (started + LIMIT).saturating_duration_since(Instant::now());
            match lines.recv_timeout(left) {
                Ok((name, line)) => self.take(name, &line, started.elapsed()),
                Err(_) => return, // all ended, or time is over
            }
        }
    }

    fn take(&mut self, name: &'static str, line: &str, at: Duration) {
        let at = at.as_secs_f64();
        let fields: Vec<&str> = line.split('\t').collect();
        let [verb, key, revision, took] = fields[..] else {
            println!("{at:7.3}  {name:<8}{line}");
            return;
        };
        let micros: u64 = took.parse().unwrap_or(0);
        let time = span(micros);
        match verb {
            "wrote" => {
                println!("{at:7.3}  {name:<8}wrote  {key:<10} revision {revision:<4} put took {time}");
                self.wrote.entry(name).or_default().push(micros);
            }
            "saw" => {
                println!("{at:7.3}  {name:<8}  saw  {key:<10} revision {revision:<4} {time} after its write");
                self.saw.entry(name).or_default().push(micros);
            }
            _ => println!("{at:7.3}  {name:<8}{line}"),
        }
    }

    fn report(&self, names: &[&'static str]) -> bool {
        let expected = ROUNDS as usize;
        let mut is_good = !self.broken;
        println!();
        for name in names {
            let wrote = self.wrote.get(name).map(Vec::as_slice).unwrap_or_default();
            let saw = self.saw.get(name).map(Vec::as_slice).unwrap_or_default();
            let others = expected * (names.len() - 1);
            println!(
                "{name:<8} wrote {} (median {}), saw {} of the others' {others} (median {})",
                wrote.len(),
                span(median(wrote)),
                saw.len(),
                span(median(saw)),
            );
            is_good &= wrote.len() == expected && saw.len() == others;
        }
        let verdict =
            if is_good { "Each saw every write of the others" } else { "NOT each saw every write of the others" };
        println!("{verdict}, in {:.1} s.", self.took.as_secs_f64());
        is_good
    }
}

/// Serves the page, tells the addresses, and stays until Ctrl-C or until the page's server ends.
fn stay_here(dev: &Dev, server: &Server) -> Result<()> {
    let mut node = dev.command("node");
    node.arg(dev.root.join("tests/demo/page.mjs")).arg("--serve").arg(&server.ws_url);
    let mut child = guarded(&node, Stdio::piped()).context("cannot start node")?;
    let mut page = String::new();
    BufReader::new(child.stdout.take().context("node has no output")?).read_line(&mut page)?;
    println!("\nserver  {}  and  {}\npage    {}\nCtrl-C ends both.", server.url, server.ws_url, page.trim());
    let _pipe = child.stdin.take(); // waiting closes what it finds here, and that would end the guard
    child.wait()?;
    Ok(())
}

fn span(micros: u64) -> String {
    match micros {
        0..1000 => format!("{micros} µs"),
        _ => format!("{:.2} ms", micros as f64 / 1000.0),
    }
}

fn median(numbers: &[u64]) -> u64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or(0)
}
