//! The hostile server: conversations with a server as it should be, recorded, and played again with what no server should say.
//!
//! Malformed, oversized, endless, contradictory, truncated, reordered, repeated answers: the client may fail what was asked, or
//! leave the connection; it never panics, hangs, floods the server or grows without bound, and every operation ends once.
//! Ends with `N passed, N failed, N skipped`. `--seed S` alone plays that one and shows it; `--count N` plays more or fewer.

mod mutate;
mod record;
mod replay;

use std::{
    collections::BTreeSet,
    env,
    panic::{self, AssertUnwindSafe},
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use natskv_kit::{dice::Dice, ledger::Ledger};

use record::{Step, Transcript};
use replay::Told;

#[global_allocator]
static ALLOCATOR: Ledger = Ledger;

/// How many are played where nobody says.
const COUNT: u64 = 1000;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)?.parse::<u64>().ok()
    };
    let mut transcripts = record::all();
    for transcript in &mut transcripts {
        // As it was, it must go as it went: else nothing is shown by what comes of it otherwise.
        match replay::play(transcript, &transcript.steps, true) {
            Ok(told) => transcript.errors = told.errors,
            Err(why) => {
                println!("FAIL {} as it was recorded: {why}", transcript.name);
                println!("0 passed, 1 failed, 0 skipped");
                return ExitCode::FAILURE;
            }
        }
    }
    panic::set_hook(Box::new(|_| {})); // a panic is a failure of its seed, and told with it
    if let Some(seed) = option("--seed") {
        let (transcript, steps, result) = one(&transcripts, seed);
        steps.iter().for_each(|step| println!("{step:?}"));
        println!("seed {seed}, {}: {result:?}", transcript.name);
        return if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    all(&transcripts, option("--count").unwrap_or(COUNT))
}

/// One seed: which transcript, what became of it, and how the client took it.
fn one(transcripts: &[Transcript], seed: u64) -> (&Transcript, Vec<Step>, Result<Told, String>) {
    let mut dice = Dice::new(seed);
    let transcript = dice.pick(transcripts);
    let other = dice.pick(transcripts);
    let mut steps = Vec::new();
    let played = AssertUnwindSafe(|| {
        steps = mutate::mutated(&transcript.steps, &other.steps, &mut dice);
        replay::play(transcript, &steps, false)
    });
    let result = panic::catch_unwind(played).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("(no text)");
        Err(format!("panicked: {text}"))
    });
    (transcript, steps, result)
}

fn all(transcripts: &[Transcript], count: u64) -> ExitCode {
    let (last, failed) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let (errors, reconnects) = (AtomicU64::new(0), AtomicU64::new(0));
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = last.fetch_add(1, Ordering::Relaxed) + 1;
                    if seed > count {
                        break;
                    }
                    let (transcript, _, result) = one(transcripts, seed);
                    match result {
                        Ok(told) => {
                            errors.fetch_add(u64::from(told.errors > transcript.errors), Ordering::Relaxed);
                            reconnects.fetch_add(u64::from(told.connects > 2), Ordering::Relaxed);
                        }
                        Err(why) => {
                            failed.lock().expect("no panic while it is held").push((seed, transcript.name, why))
                        }
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().expect("no panic while it is held");
    failed.sort();
    for (seed, name, why) in failed.iter().take(20) {
        println!("FAIL seed {seed}, {name}: {why}");
    }
    let (errors, reconnects) = (errors.into_inner(), reconnects.into_inner());
    println!(
        "{} transcripts, {count} times mutated: errors in {errors}, more connections in {reconnects}",
        transcripts.len()
    );
    let bad: BTreeSet<&str> = failed.iter().map(|(_, name, _)| *name).collect();
    println!("{} passed, {} failed, 0 skipped", transcripts.len() - bad.len(), bad.len());
    if failed.is_empty() && count > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
