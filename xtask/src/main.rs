//! `cargo xtask`: the tool that sets up, builds, tests and shows natskv.

mod access;
mod bench;
mod build;
mod c_execute;
mod c_suite;
mod c_table;
mod demo;
mod dev;
mod dist;
mod force;
mod header;
mod imports;
mod lane;
mod lint;
mod many;
mod outcome;
mod peers;
mod recover;
mod run;
mod sanitizer;
mod server;
mod setup;
mod size;
mod suites;
mod talker;
mod third_party;
mod wasm;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};

use dev::Dev;
use setup::Need;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Sets up, builds, tests and shows natskv", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Measure natskv beside its peers and beside what the wire allows: tables and a plot in target/bench
    Bench(bench::Options),
    /// Install what the tests need into target/dev: Python and npm packages, nats-server, the wasm target, a browser
    Setup,
    /// Python, C and a page in a browser on one bucket of a real server, live
    Demo {
        /// Keep server and page running afterwards, until Ctrl-C
        #[arg(long)]
        stay: bool,
    },
    /// Build what a release publishes into target/dist: wheel, npm tarball, C library
    Dist,
    /// Make bindings-c/include/natskv.h from the Rust sources
    Header {
        /// Only tell whether the file is as the sources would make it
        #[arg(long)]
        check: bool,
    },
    /// clippy, rustfmt, rustdoc, ruff, mypy, stubtest, tsc: the suite `lint` of `test`
    Lint,
    /// Have natskv and the clients that others wrote take the same checks, and print who passes what
    Peers,
    /// Kill a server and start it again: how long each client needs to read and to watch again, beside nats-py and nats.js
    Recover {
        /// How often
        #[arg(long, default_value_t = 10)]
        rounds: usize,
        /// Milliseconds that the server stays away
        #[arg(long, default_value_t = 0)]
        away: u64,
    },
    /// Explore the simulation on all cores, or play one seed again and tell its story
    Sim {
        /// How long to explore; 5 when nothing is said
        #[arg(long)]
        minutes: Option<u64>,
        /// Only this seed, with its whole story when it fails; with --minutes given, the one to begin with
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Print how big the npm package, the wheel and the C library are, and what they may not grow beyond
    Size,
    /// Fuzz the targets of tests/fuzz, each for some minutes, with a pinned nightly compiler
    Fuzz {
        /// How long each target is fuzzed
        #[arg(long, default_value_t = 10)]
        minutes: u64,
        /// Only this target
        target: Option<String>,
    },
    /// Mixed load in Python, C and Node over connections that break at random; then nobody may hold more than at first
    Soak {
        /// How long
        #[arg(long, default_value_t = 10)]
        minutes: u64,
    },
    /// Run the fast lane, or the suites that are named
    Test {
        /// Suites to run; the fast lane when none is named
        suites: Vec<String>,
        /// Every suite there is: the fast lane, and what takes longer, such as older servers
        #[arg(long, conflicts_with = "suites")]
        all: bool,
        /// Only tell which suites there are
        #[arg(long)]
        list: bool,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().verb) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<bool> {
    let dev = Dev::new();
    match verb {
        Verb::Bench(options) => bench::bench(&dev, &options),
        // what there need not be is no failure
        Verb::Setup => Ok(setup::setup(&dev, &Need::ALL).keys().all(|need| *need == Need::NatsKeyValue)),
        Verb::Demo { stay } => demo::demo(&dev, stay),
        Verb::Dist => dist::dist(&dev).map(|()| true),
        Verb::Header { check: true } => build::header_is_fresh(&dev).map(|()| true),
        Verb::Header { check: false } => build::header(&dev).map(|()| true),
        Verb::Peers => peers::peers(&dev),
        Verb::Recover { rounds, away } => recover::recover(&dev, rounds, Duration::from_millis(away)).map(|()| true),
        Verb::Lint => suites::test(&dev, &["lint".to_owned()], false),
        Verb::Sim { minutes, seed } => force::explore(&dev, minutes, seed),
        Verb::Size => size::size(&dev),
        Verb::Fuzz { minutes, target } => force::fuzz(&dev, minutes, target.as_deref()),
        Verb::Soak { minutes } => suites::soak(&dev, minutes),
        Verb::Test { list: true, .. } => {
            suites::list();
            Ok(true)
        }
        Verb::Test { suites, all, .. } => suites::test(&dev, &suites, all),
    }
}
