//! The simulation: clients, links and a FakeServer in one thread, everything from one seed, and what must hold checked all the time.
//!
//! Without arguments a few fixed seeds run, since plain `cargo test` builds without optimization; `--seeds N` takes so many.
//! `--minutes N [--seed S]` explores on all cores from seed S on, or from the time of day; `--seed S` alone runs that one and tells its
//! story when it fails. Ends with `N passed, N failed, N skipped`.

mod judge;
mod plan;
mod recorder;
mod simulation;
mod truth;
mod watching;
mod work;

use std::{
    collections::BTreeMap,
    env,
    panic::{self, AssertUnwindSafe},
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use natskv_kit::ledger::Ledger;
use simulation::Told;

#[global_allocator]
static ALLOCATOR: Ledger = Ledger;

/// How many seeds are taken where nobody says, from 1 on, beside those that found something.
const SEEDS: u64 = 20;

/// Seeds that found something once.
const FOUND: [u64; 17] = [
    1882649720258834,
    1882649720259510,
    1882649720259576,
    1882649720260281,
    1882649720261388,
    1882649720261491,
    1882656531808754,
    1882656531810096,
    1882656531811059,
    1882661533517741,
    1882661533518244,
    1882661533519148,
    1882661533520273,
    1882662402787942,
    1882662402788461,
    1882662402789550,
    1882679052079196,
];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)?.parse::<u64>().ok()
    };
    panic::set_hook(Box::new(|_| {})); // a panic is a failure of its seed, and told with it
    match (option("--minutes"), option("--seed")) {
        (Some(minutes), seed) => explore(minutes, seed.unwrap_or_else(of_the_clock)),
        (None, Some(seed)) => one(seed, option("--until")),
        (None, None) => fixed(option("--seeds").unwrap_or(SEEDS)),
    }
}

fn of_the_clock() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs() << 20)
}

/// What came of a seed; a panic counts as a failure.
fn run(seed: u64, has_story: bool) -> (Result<Told, String>, Vec<String>) {
    panic::catch_unwind(AssertUnwindSafe(|| simulation::run(seed, has_story))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("(no text)");
        (Err(format!("panicked: {text}")), Vec::new())
    })
}

fn one(seed: u64, until: Option<u64>) -> ExitCode {
    if let Some(until) = until {
        for seed in seed..until {
            let started = Instant::now();
            let (result, _) = run(seed, false);
            let took = started.elapsed().as_secs_f64();
            match result {
                Ok(told) => println!("seed {seed}: {took:.3} s {} events", told.steps),
                Err(why) => println!("FAIL seed {seed}: {took:.3} s {why}"),
            }
        }
        return ExitCode::SUCCESS;
    }
    let (result, story) = run(seed, true);
    story.iter().for_each(|line| println!("{line}"));
    match result {
        Ok(told) => {
            println!("seed {seed}: {} events, {} items; {:?}", told.steps, told.items, told.ends);
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("seed {seed} fails {why}");
            ExitCode::FAILURE
        }
    }
}

/// The last lines of a failing seed's story.
fn tell(seed: u64, why: &str) {
    const LAST: usize = 120;
    let (_, story) = run(seed, true);
    println!("FAIL seed {seed} {why}");
    println!("     to keep it as a fixed seed: FOUND in tests/sim/main.rs");
    println!("     its last {LAST} lines; all of them: cargo xtask sim --seed {seed}");
    story.iter().skip(story.len().saturating_sub(LAST)).for_each(|line| println!("     {}", shorten(line)));
}

/// A line of the story that fits a screen.
fn shorten(line: &str) -> String {
    const MOST: usize = 300;
    if line.len() <= MOST { line.to_owned() } else { format!("{}…", line.chars().take(MOST).collect::<String>()) }
}

#[derive(Default)]
struct Sum {
    seeds: u64,
    steps: u64,
    items: u64,
    ends: BTreeMap<String, u64>,
    failed: Vec<(u64, String)>,
}

/// Runs what `next` gives, on all cores, until there is none.
fn on_all_cores(next: impl Fn() -> Option<u64> + Sync) -> Sum {
    let sum = Mutex::new(Sum::default());
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while let Some(seed) = next() {
                    let (result, _) = run(seed, false);
                    let mut sum = sum.lock().expect("no panic while it is held");
                    sum.seeds += 1;
                    match result {
                        Ok(told) => {
                            sum.steps += told.steps;
                            sum.items += told.items;
                            told.ends.into_iter().for_each(|(end, count)| *sum.ends.entry(end).or_default() += count);
                        }
                        Err(why) => sum.failed.push((seed, why)),
                    }
                }
            });
        }
    });
    sum.into_inner().expect("no panic while it is held")
}

fn fixed(seeds: u64) -> ExitCode {
    let last = AtomicU64::new(0);
    let sum = on_all_cores(|| {
        let at = last.fetch_add(1, Ordering::Relaxed);
        let of_found = at.checked_sub(seeds).map(|at| FOUND.get(at as usize).copied());
        of_found.unwrap_or(Some(at + 1))
    });
    finish(&sum)
}

fn explore(minutes: u64, first: u64) -> ExitCode {
    let (started, last) = (Instant::now(), AtomicU64::new(first));
    println!("exploring for {minutes} minutes from seed {first}");
    let sum = on_all_cores(|| {
        let is_over = started.elapsed() >= Duration::from_secs(60 * minutes);
        (!is_over).then(|| last.fetch_add(1, Ordering::Relaxed))
    });
    for (end, count) in &sum.ends {
        println!("{count:>10}  {end}");
    }
    finish(&sum)
}

fn finish(sum: &Sum) -> ExitCode {
    for (seed, why) in sum.failed.iter().take(3) {
        tell(*seed, why);
    }
    for (seed, why) in sum.failed.iter().skip(3) {
        println!("FAIL seed {seed} {}", shorten(why));
    }
    println!("{} events in {} seeds, {} items of watches", sum.steps, sum.seeds, sum.items);
    println!("{} passed, {} failed, 0 skipped", sum.seeds - sum.failed.len() as u64, sum.failed.len());
    if sum.failed.is_empty() && sum.seeds > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
