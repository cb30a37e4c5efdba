//! `cargo xtask recover`: kills a server, starts it again, and measures when each client can read again and when its watch delivers.
//! natskv in each language beside nats-py and nats.js, all with the options that they have when nobody says anything.

use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::build;
use crate::c_suite;
use crate::dev::Dev;
use crate::setup::{Need, setup};
use crate::talker::Talker;

const PATIENCE: Duration = Duration::from_secs(90);

/// What one client took, in milliseconds after the kill; None: its watch stayed deaf.
struct Round {
    up: f64,
    get: f64,
    watch: Option<f64>,
}

/// Measures all of them, each with a server of its own.
pub(crate) fn recover(dev: &Dev, rounds: usize, away: Duration) -> Result<()> {
    let missing = setup(dev, &[Need::Server, Need::Python, Need::Node, Need::Wasm]);
    ensure!(missing.is_empty(), "set-up failed, as said above");
    println!("Building …");
    build::proof_server(dev)?;
    build::python(dev)?;
    build::web(dev)?;
    let c = c_suite::program(dev, "recover", &["tests/recover/recover.c"])?;
    println!(
        "Milliseconds after kill -9, {rounds} times; the server is started again after {} ms. Median (least – most).\n",
        away.as_millis()
    );
    let cells = |client: &str, cells: [&str; 4]| {
        let [up, get, watch, deaf] = cells;
        println!("| {client:<20} | {up:>9} | {get:>22} | {watch:>22} | {deaf:>13} |");
    };
    cells("", ["server up", "get works", "watch delivers", "watches deaf"]);
    cells("--------------------", ["---------", "----------------------", "----------------------", "-------------"]);
    let python = |which: &str| with(dev.command(dev.venv("python")), &["tests/recover/recover.py", which]);
    let node = |which: &str| with(dev.command("node"), &["tests/recover/recover.mjs", which]);
    let clients = [
        ("natskv, asyncio", python("natskv")),
        ("natskv, blocking", python("natskv.sync")),
        ("natskv, C", dev.command(c)),
        ("natskv, Node", node("natskv")),
        ("nats-py", python("nats-py")),
        ("nats.js, Node", node("nats.js")),
    ];
    for (name, command) in clients {
        let measured = measure(dev, name, command, rounds, away).with_context(|| name.to_owned())?;
        let deaf = measured.iter().filter(|round| round.watch.is_none()).count();
        let up = spread(measured.iter().map(|round| round.up).collect());
        let up = up.split(' ').next().unwrap_or_default();
        let get = spread(measured.iter().map(|round| round.get).collect());
        let watch = spread(measured.iter().filter_map(|round| round.watch).collect());
        cells(name, [up, &get, &watch, &format!("{deaf} of {rounds}")]);
    }
    Ok(())
}

fn with(mut command: Command, arguments: &[&str]) -> Command {
    command.args(arguments);
    command
}

fn measure(dev: &Dev, name: &str, mut command: Command, rounds: usize, away: Duration) -> Result<Vec<Round>> {
    let logs = dev.dev.join("logs");
    let server = with(dev.command(dev.root.join("target/debug/proof-server")), &["open"]);
    let mut server = Talker::start("proof-server", server, &logs.join("recover-server.log"))?;
    let told = server.hear(PATIENCE)?;
    let url = told["url"].as_str().context("a URL")?;
    let port: u16 = url.rsplit(':').next().context("a port")?.parse()?;
    command.arg(url);
    let file: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let mut client = Talker::start(name, command, &logs.join(format!("recover-{file}.log")))?;
    ensure!(client.hear(PATIENCE)?["ready"] == true, "{name} is not ready");
    let mut measured = Vec::new();
    for round in 1..=rounds {
        // A connection that is lost soon after it was made counts as a failed attempt, with every one of these clients.
        thread::sleep(Duration::from_millis(1500));
        server.say("kill")?;
        server.hear(PATIENCE)?;
        let killed = now();
        client.say(&round.to_string())?;
        thread::sleep(away);
        server.say("start")?;
        let up = listens(port)?;
        let answer = client.hear(PATIENCE)?;
        server.hear(PATIENCE)?;
        let after = |field: &str| Value::as_f64(&answer[field]).map(|at| (at - killed) * 1000.0);
        let get = after("get").context("no time of the get")?;
        measured.push(Round { up: (up - killed) * 1000.0, get, watch: after("watch") });
    }
    Ok(measured)
}

fn listens(port: u16) -> Result<f64> {
    let until = Instant::now() + PATIENCE;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        ensure!(Instant::now() < until, "the server does not come back");
        thread::sleep(Duration::from_millis(1));
    }
    Ok(now())
}

/// Seconds since 1970, on the clock that all processes have in common.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn spread(mut times: Vec<f64>) -> String {
    times.sort_by(f64::total_cmp);
    match times.as_slice() {
        [] => "–".to_owned(),
        [least, .., most] => format!("{:.0} ({least:.0} – {most:.0})", times[times.len() / 2]),
        [only] => format!("{only:.0}"),
    }
}
