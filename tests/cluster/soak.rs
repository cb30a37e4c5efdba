//! Mixed load over connections that break at random, for as long as one likes: at the end programs hold what they held at the start.

use std::{
    fs,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use natskv_core::{BucketConfig, Compare, Config, HandleOptions, OnDrift};
use natskv_kit::{dice::Dice, live::Live, server::Server};

use crate::{BUCKET, Done, PATIENCE, Tally, consumers_become, crew::Crew, kept, proxy::Proxy, text};

const CLIENTS: [&str; 6] = ["Python", "Python", "C", "C", "Node", "Node"];

/// Memory that may come and go: allocators and collectors keep some. Of Node's heap V8 gives back little, and late.
const SLACK_KB: u64 = 12 << 10;
const SLACK_OF_NODE_KB: u64 = 32 << 10;

/// Before the first look, everybody has worked, and lost connections.
const WARM_UP: Duration = Duration::from_secs(45);

/// What a program holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Held {
    memory_kb: u64,
    threads: u64,
    files: u64,
}

pub(crate) fn soak(minutes: u64) -> ExitCode {
    let mut tally = Tally::default();
    match Server::start() {
        Ok(Some(server)) => {
            if let Err(why) = run(&server, Duration::from_secs(60 * minutes), &mut tally) {
                tally.count("soak", Err(why));
            }
        }
        Ok(None) => println!("skip the soak: no nats-server here; cargo xtask setup installs one"),
        Err(error) => drop(tally.count("start", Err(error.to_string()))),
    }
    tally.end()
}

fn run(server: &Server, time: Duration, tally: &mut Tally) -> Done {
    let mut live = Live::connect(server.port, Config::default()).map_err(text)?;
    let config = BucketConfig { history: Some(64), ..BucketConfig::new(BUCKET) };
    live.run(|c, now| c.create_bucket(&config, &HandleOptions::default(), Compare::Given, OnDrift::Error, None, now))
        .map_err(text)?;
    let proxy = Proxy::start(server.port).map_err(text)?;
    let mut crew = Crew::start(&format!("nats://127.0.0.1:{}", proxy.port), BUCKET, &CLIENTS)?;
    crew.wait_for_writes(PATIENCE)?;
    let mut dice = Dice::new(7);
    cut_for(&proxy, &mut crew, WARM_UP.min(time), &mut dice)?;
    let before = look(&mut crew)?;
    let cuts = cut_for(&proxy, &mut crew, time, &mut dice)?;
    crew.wait_for_writes(PATIENCE)?;
    tally.count("consumers are as many as watches", consumers_become(server.port, CLIENTS.len()));
    let after = look(&mut crew)?;
    println!(
        "{:<12}{:>14}{:>14}{:>12}{:>12}{:>10}{:>10}",
        "client", "kB at first", "kB at last", "threads", "then", "files", "then"
    );
    for ((kind, _), (before, after)) in crew.programs().zip(before.iter().zip(&after)) {
        println!(
            "{kind:<12}{:>14}{:>14}{:>12}{:>12}{:>10}{:>10}",
            before.memory_kb, after.memory_kb, before.threads, after.threads, before.files, after.files
        );
    }
    for ((kind, _), (before, after)) in crew.programs().collect::<Vec<_>>().into_iter().zip(before.iter().zip(&after)) {
        let slack = if kind == "Node" { SLACK_OF_NODE_KB } else { SLACK_KB };
        let is_as_before = after.memory_kb <= before.memory_kb + slack
            && after.threads <= before.threads
            && after.files <= before.files;
        let result = if is_as_before { Ok(()) } else { Err(format!("{before:?} became {after:?}")) };
        tally.count(kind, result);
    }
    tally.count("everybody stops", crew.stop(PATIENCE));
    println!("{cuts} cuts; {}", crew.attempts.sum());
    let (newest, entries) = kept(server.port)?;
    tally.count("every watch is equal to the server", crew.check_watches(newest, &entries));
    tally.count("no acknowledged write is lost", crew.attempts.check_kept(&entries));
    tally.count("the history of each key is linearizable", crew.attempts.check_history());
    tally.count("nobody complains", crew.check());
    drop(crew);
    live.close();
    tally.count("no consumer is left behind", consumers_become(server.port, 0));
    Ok(())
}

/// Cuts connections at random for so long; how many.
fn cut_for(proxy: &Proxy, crew: &mut Crew, time: Duration, dice: &mut Dice) -> Result<u64, String> {
    let until = Instant::now() + time;
    let mut cuts = 0;
    while Instant::now() < until {
        proxy.cut(dice.roll());
        cuts += 1;
        thread::sleep(Duration::from_millis(200 + dice.below(1500)));
        crew.listen_now();
        crew.check()?;
    }
    Ok(cuts)
}

/// What each program holds while it is at work and connected: the least of several looks.
fn look(crew: &mut Crew) -> Result<Vec<Held>, String> {
    let mut least: Vec<Held> = Vec::new();
    for _ in 0..5 {
        crew.wait_for_writes(PATIENCE)?;
        let now: Vec<Held> = crew.programs().map(|(_, id)| held(id)).collect::<Result<_, _>>()?;
        if least.is_empty() {
            least = now;
            continue;
        }
        for (least, now) in least.iter_mut().zip(now) {
            least.memory_kb = least.memory_kb.min(now.memory_kb);
            least.threads = least.threads.min(now.threads);
            least.files = least.files.min(now.files);
        }
    }
    Ok(least)
}

fn held(id: u32) -> Result<Held, String> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).map_err(text)?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace().next()?.parse().ok()
    };
    let files = fs::read_dir(format!("/proc/{id}/fd")).map_err(text)?.count() as u64;
    Ok(Held { memory_kb: field("VmRSS:").unwrap_or_default(), threads: field("Threads:").unwrap_or_default(), files })
}
