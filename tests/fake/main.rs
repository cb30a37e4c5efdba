//! FakeServer beside the real one: each scenario of tests/scenarios through core on both, so that the simulation proves something.
//!
//! Ends with `N passed, N failed, N skipped`.

mod player;
mod reply;
mod stage;

use std::{env, fs, path::Path, process::ExitCode};

use natskv_kit::server::Server;
use serde_json::Value;

use player::Player;
use stage::{Model, Real, Stage};

/// The API level of the newest server.
const NEWEST: u64 = 5;

fn main() -> ExitCode {
    let only = env::var("NATSKV_ONLY").unwrap_or_default();
    // As `cargo xtask test` tells for older servers.
    let level = env::var("NATSKV_API_LEVEL").ok().and_then(|level| level.parse().ok()).unwrap_or(NEWEST);
    let scenarios: Vec<_> = scenarios(level).into_iter().filter(|(name, _)| name.contains(&only)).collect();
    let mut tally = Tally::default();
    for (name, scenario) in &scenarios {
        // A world of its own for each.
        tally.count("FakeServer", name, play(Model::new(level), scenario));
    }
    match Server::start() {
        Ok(Some(server)) => {
            for (name, scenario) in &scenarios {
                tally.count("nats-server", name, play(Real::new(server.port), scenario));
            }
        }
        Ok(None) => {
            println!("skip {} tests: no nats-server here; cargo xtask setup installs one", scenarios.len());
            tally.skipped = scenarios.len();
        }
        Err(error) => tally.count("nats-server", "start", Err(error.to_string())),
    }
    println!("{} passed, {} failed, {} skipped", tally.passed, tally.failed, tally.skipped);
    if tally.failed == 0 && tally.passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Tally {
    fn count(&mut self, server: &str, name: &str, result: Result<(), String>) {
        match result {
            Ok(()) => self.passed += 1,
            Err(why) => {
                println!("FAIL {name} on {server}: {why}");
                self.failed += 1;
            }
        }
    }
}

fn play(stage: impl Stage, scenario: &Value) -> Result<(), String> {
    Player::new(stage).play(scenario)
}

/// By name, in order; as they are for a server of this level.
fn scenarios(level: u64) -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let entries = fs::read_dir(folder).expect("the scenarios folder");
    let files = entries.map(|entry| entry.expect("a folder entry").path());
    let mut scenarios: Vec<(String, Value)> = files
        .filter(|file| file.extension().is_some_and(|extension| extension == "json"))
        .map(|file| {
            let text = fs::read_to_string(&file).expect("a scenario file is readable");
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let mut scenario: Value = serde_json::from_str(&text).expect("a scenario file is JSON");
            if scenario["requires"].as_u64() > Some(level) {
                scenario = scenario["instead"].take();
            }
            (name, scenario)
        })
        .collect();
    scenarios.sort_by(|(a, _), (b, _)| a.cmp(b));
    scenarios
}
