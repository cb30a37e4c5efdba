//! `cargo xtask bench`: natskv beside other clients and beside what the wire allows, on one server and in one session.
//!
//! Every measure is a process of its own, and the clients take turns, so that what slows the machine down slows all of them. What
//! counts are ratios within a round: absolute numbers of two sessions tell nothing about each other.

mod bars;
mod clients;
mod instructions;
mod measure;
mod plot;
mod prepare;
mod results;
mod table;
mod workloads;

use std::fs;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Subcommand};

use crate::dev::Dev;
use crate::server::Server;
use clients::Client;
pub(crate) use instructions::{have_not_grown, hindrance};
use measure::Plan;
use results::{Record, Results};
use workloads::Workload;

/// What `--quick` measures, and with whom.
const QUICK_WORKLOADS: [&str; 6] = ["W1", "W2", "W3", "W4", "W5", "W10"];
const QUICK_CLIENTS: [&str; 3] = ["python", "c", "node"];

/// What was measured last, in target/bench.
const JSON: &str = "results.json";

/// What to measure.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    only: Option<Only>,
    /// W1 to W5 and W10 in Python, C and Node: under three minutes, once all is built
    #[arg(long)]
    quick: bool,
    /// Only these workloads, such as W4,W5; `--list` tells which there are
    #[arg(long, value_delimiter = ',')]
    workloads: Vec<String>,
    /// Only these clients of natskv, each with those that it is compared with
    #[arg(long, value_delimiter = ',')]
    clients: Vec<String>,
    /// How often everything is measured, at least 3
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// How long one measure takes where that is ours to choose [default: 1, quick: 0.4]
    #[arg(long)]
    seconds: Option<f64>,
    /// How many keys the buckets hold [default: 100000, quick: 20000]
    #[arg(long)]
    keys: Option<u32>,
    /// Also write tests/bench/RESULTS.md
    #[arg(long)]
    publish: bool,
    /// Only tell which workloads and clients there are
    #[arg(long)]
    list: bool,
}

#[derive(Debug, Subcommand)]
enum Only {
    /// Count the instructions of core's hot paths with callgrind, against tests/bench/instructions.json
    Instructions {
        /// Write that file
        #[arg(long)]
        keep: bool,
    },
    /// Make the tables and the plot anew of what was measured last, in target/bench/results.json
    Tables {
        /// Also write tests/bench/RESULTS.md
        #[arg(long)]
        publish: bool,
    },
}

/// Measures, and tells; whether no client of ours and no check failed.
pub(crate) fn bench(dev: &Dev, options: &Options) -> Result<bool> {
    match options.only {
        Some(Only::Instructions { keep }) => return instructions::instructions(dev, keep).map(|()| true),
        Some(Only::Tables { publish }) => {
            let text = fs::read_to_string(dev.root.join("target/bench").join(JSON)).context("nothing was measured")?;
            let results = Results::from_json(&serde_json::from_str(&text)?).context("no results of this bench")?;
            return tell(dev, &results, publish).map(|()| true);
        }
        None => {}
    }
    if options.list {
        list();
        return Ok(true);
    }
    let (workloads, clients) = chosen(options)?;
    let ready = prepare::prepare(dev, &clients)?;
    let clients: Vec<&'static Client> = clients.into_iter().filter(|client| ready.can_run(client)).collect();
    let seconds = options.seconds.unwrap_or(if options.quick { 0.4 } else { 1.0 });
    let keys = options.keys.unwrap_or(if options.quick { 20_000 } else { 100_000 });
    let server = Server::start(dev)?;
    let plan = Plan { dev, server: &server, seconds, keys };
    plan.limit("prepare")?;
    let mut results = Results::new(options.rounds, seconds, keys, ready.versions(dev)?);
    for round in 0..options.rounds {
        for workload in &workloads {
            take_turns(&plan, round, workload, &clients, &mut results)?;
        }
        results.end_round();
    }
    drop(server);
    tell(dev, &results, options.publish)?;
    Ok(results.is_good())
}

/// One workload by every client that has it, each time another one first.
fn take_turns(
    plan: &Plan<'_>,
    round: u32,
    workload: &'static Workload,
    clients: &[&'static Client],
    results: &mut Results,
) -> Result<()> {
    let able: Vec<&'static Client> = clients.iter().copied().filter(|client| client.has(workload.name)).collect();
    for at in 0..able.len() {
        let client = able[(at + round as usize) % able.len()];
        if workload.changes_buckets {
            plan.limit("prepare")?;
        }
        let measure = plan.measure(client, workload.name);
        let left = plan.left_behind()?;
        let record = Record { round, workload, client, left, result: measure.map_err(|error| format!("{error:#}")) };
        println!("{record}");
        results.add(record);
    }
    Ok(())
}

fn tell(dev: &Dev, results: &Results, is_published: bool) -> Result<()> {
    let folder = dev.root.join("target").join("bench");
    let markdown = table::markdown(results);
    let files = [
        (JSON, serde_json::to_string_pretty(&results.json())? + "\n"),
        ("results.md", format!("{markdown}\n![natskv beside its peers](results.svg)\n")),
        ("results.svg", plot::svg(results).context("the plot")?),
    ];
    for (name, text) in files {
        fs::write(folder.join(name), text).with_context(|| format!("cannot write target/bench/{name}"))?;
    }
    println!("\n{markdown}\ntarget/bench: results.md, results.json, results.svg");
    if is_published {
        fs::write(dev.root.join("tests/bench/RESULTS.md"), markdown).context("tests/bench/RESULTS.md")?;
    }
    Ok(())
}

fn list() {
    for workload in workloads::ALL {
        println!("{:<8}{}", workload.name, workload.about);
    }
    for client in clients::ALL {
        let peers = client.beside.iter().map(|name| format!(", {name}")).collect::<String>();
        println!(
            "{:<20}{}{}",
            client.name,
            client.about,
            if client.is_ours() { format!(" (beside {}{peers})", client.limit) } else { String::new() }
        );
    }
}

/// The workloads and clients that are asked for; with each client of ours come those that it is compared with.
fn chosen(options: &Options) -> Result<(Vec<&'static Workload>, Vec<&'static Client>)> {
    ensure!(options.rounds >= 3, "--rounds {}: fewer than 3 have no median", options.rounds);
    let quick = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let (mut names, mut users) = (options.workloads.clone(), options.clients.clone());
    if options.quick && names.is_empty() {
        names = quick(&QUICK_WORKLOADS);
    }
    if options.quick && users.is_empty() {
        users = quick(&QUICK_CLIENTS);
    }
    if let Some(unknown) = names.iter().find(|name| workloads::ALL.iter().all(|workload| workload.name != **name)) {
        bail!("no workload {unknown:?}; `cargo xtask bench --list` tells which there are");
    }
    if let Some(unknown) = users.iter().find(|name| clients::ALL.iter().all(|client| client.name != **name)) {
        bail!("no client {unknown:?}; `cargo xtask bench --list` tells which there are");
    }
    let is_named = |name: &str| users.is_empty() || users.iter().any(|user| user == name);
    let is_beside = |name: &str| {
        let mut ours = clients::ALL.iter().filter(|client| is_named(client.name));
        ours.any(|client| client.limit == name || client.beside.contains(&name))
    };
    let workloads =
        workloads::ALL.iter().filter(|workload| names.is_empty() || names.iter().any(|name| name == workload.name));
    let clients = clients::ALL.iter().filter(|client| is_named(client.name) || is_beside(client.name));
    Ok((workloads.collect(), clients.collect()))
}
