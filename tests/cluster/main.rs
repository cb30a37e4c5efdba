//! A real cluster of three, hurt on purpose while clients in Python, C and Node write by compare-and-set and watch.
//!
//! Afterwards no acknowledged write may be lost, the history of each key must be linearizable, and every watch must know what the
//! server knows. Prints how long each client took to write again, beside nats-py and @nats-io/kv. `cargo xtask test cluster` builds
//! the clients and runs this; it ends with `N passed, N failed, N skipped`.

mod attempts;
mod crew;
mod proxy;
mod soak;

use std::{
    env, io,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use natskv_core::{BucketConfig, Compare, Config, HandleOptions, OnDrift, Outcome};
use natskv_kit::{live::Live, proof::Proof, raw::Raw};
use serde_json::{Value, json};

use crew::Crew;

const BUCKET: &str = "force";
const STREAM: &str = "KV_force";

/// How long the cluster may take to find itself again; loopback and two cores.
const PATIENCE: Duration = Duration::from_secs(90);

/// Longer than two pings of the clients, which ask every second.
const FROZEN: Duration = Duration::from_secs(8);

/// Who is at work: eight clients of ours, and two peers.
const CLIENTS: [&str; 10] = ["Python", "Python", "Python", "C", "C", "Node", "Node", "Node", "nats-py", "@nats-io/kv"];

type Done = Result<(), String>;

fn main() -> ExitCode {
    if env::var_os("NATSKV_CLUSTER_WORKER").is_none() {
        println!("skip the cluster: its clients are built by cargo xtask test cluster");
        println!("0 passed, 0 failed, 1 skipped");
        return ExitCode::SUCCESS;
    }
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.as_slice() {
        [verb, minutes] if verb == "soak" => soak::soak(minutes.parse().unwrap_or(10)),
        _ => cluster(),
    }
}

/// What passed and what failed.
#[derive(Default)]
struct Tally {
    passed: u32,
    failed: u32,
}

impl Tally {
    fn count(&mut self, what: &str, result: Done) -> bool {
        match &result {
            Ok(()) => self.passed += 1,
            Err(why) => {
                self.failed += 1;
                println!("FAIL {what}: {why}");
            }
        }
        result.is_ok()
    }

    fn end(&self) -> ExitCode {
        println!("{} passed, {} failed, 0 skipped", self.passed, self.failed);
        if self.failed == 0 && self.passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

fn cluster() -> ExitCode {
    let mut tally = Tally::default();
    let mut count = |what: &str, result: Done| tally.count(what, result);
    match Proof::start(&["cluster"]) {
        Ok(Some(proof)) => {
            let mut cluster = Cluster { proof };
            match cluster.begin() {
                Ok(mut crew) => {
                    for (name, fault) in FAULTS {
                        if !count(name, cluster.suffer(&mut crew, name, *fault)) {
                            break;
                        }
                    }
                    crew.recoveries();
                    for (what, result) in cluster.end(&mut crew) {
                        count(what, result);
                    }
                }
                Err(why) => drop(count("begin", Err(why))),
            }
        }
        Ok(None) => {
            println!("skip the cluster: no nats-server here; cargo xtask setup installs one");
            println!("0 passed, 0 failed, 1 skipped");
            return ExitCode::SUCCESS;
        }
        Err(error) => drop(count("start", Err(error.to_string()))),
    }
    tally.end()
}

type Fault = fn(&mut Cluster, &mut Crew) -> Done;

const FAULTS: &[(&str, Fault)] = &[
    ("kill -9 of the stream's leader", |cluster, crew| {
        let node = cluster.leader()?;
        cluster.kill(node, crew)
    }),
    ("kill -9 of the clients' server", |cluster, crew| {
        let node = cluster.busiest()?;
        cluster.kill(node, crew)
    }),
    ("kill -9 of the consumers' node", |cluster, crew| {
        let node = cluster.consumers()?;
        cluster.kill(node, crew)
    }),
    ("the leader frozen beyond the stale limit", |cluster, crew| {
        let node = cluster.leader()?;
        cluster.proof.servers[node].signal("STOP").map_err(text)?;
        thread::sleep(FROZEN); // this long is what it is about
        cluster.proof.servers[node].signal("CONT").map_err(text)?;
        crew.wait_for_writes(PATIENCE)
    }),
    ("a rolling restart", |cluster, crew| {
        for node in 0..3 {
            cluster.proof.servers[node].stop().map_err(text)?;
            cluster.raise(node)?;
            crew.wait_for_writes(PATIENCE)?;
        }
        Ok(())
    }),
];

struct Cluster {
    proof: Proof,
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

impl Cluster {
    /// The bucket, and everybody at work on it.
    fn begin(&self) -> Result<Crew, String> {
        let until = Instant::now() + PATIENCE;
        let config = BucketConfig { replicas: Some(3), history: Some(64), ..BucketConfig::new(BUCKET) };
        loop {
            let made = Live::connect(self.proof.servers[0].port, Config::default()).and_then(|mut live| {
                live.run(|c, now| {
                    c.create_bucket(&config, &HandleOptions::default(), Compare::Given, OnDrift::Ignore, None, now)
                })
            });
            match made {
                Ok(_) => break,
                Err(error) if Instant::now() > until => return Err(text(error)),
                Err(_) => thread::sleep(Duration::from_millis(200)),
            }
        }
        self.wait_until_whole()?;
        let servers: Vec<String> =
            self.proof.servers.iter().map(|server| format!("nats://127.0.0.1:{}", server.port)).collect();
        let mut crew = Crew::start(&servers.join(","), BUCKET, &CLIENTS)?;
        crew.wait_for_writes(PATIENCE)?;
        Ok(crew)
    }

    fn suffer(&mut self, crew: &mut Crew, name: &str, fault: Fault) -> Done {
        self.wait_until_whole()?;
        println!("── {name}");
        crew.mark(name);
        fault(self, crew)?;
        crew.check()
    }

    fn kill(&mut self, node: usize, crew: &mut Crew) -> Done {
        self.proof.servers[node].kill().map_err(text)?;
        crew.wait_for_writes(PATIENCE)?;
        self.raise(node)
    }

    fn raise(&mut self, node: usize) -> Done {
        let server = &mut self.proof.servers[node];
        server.start_again().and_then(|()| server.wait_until_ready()).map_err(text)?;
        self.wait_until_whole()
    }

    /// Asks any server that answers.
    fn ask(&self, endpoint: &str, body: &Value) -> io::Result<Value> {
        let mut last = io::Error::other("no server");
        for server in &self.proof.servers {
            match Raw::connect(server.port).and_then(|mut raw| raw.ask(endpoint, body)) {
                Ok(answer) if answer.get("error").is_none() => return Ok(answer),
                Ok(answer) => last = io::Error::other(answer.to_string()),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn info(&self) -> Result<Value, String> {
        self.ask(&format!("STREAM.INFO.{STREAM}"), &json!({})).map_err(text)
    }

    /// Until the stream has a leader, and all copies are as new.
    fn wait_until_whole(&self) -> Done {
        let until = Instant::now() + PATIENCE;
        loop {
            let info = self.info();
            let is_whole = info.as_ref().is_ok_and(|info| {
                let replicas = info["cluster"]["replicas"].as_array();
                info["cluster"]["leader"].is_string()
                    && replicas
                        .is_some_and(|all| all.len() == 2 && all.iter().all(|replica| replica["current"] == true))
            });
            if is_whole {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(format!("the cluster does not come together: {info:?}"));
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn node_of(name: &Value) -> Result<usize, String> {
        let number = name.as_str().and_then(|name| name.strip_prefix('n')?.parse().ok());
        number.ok_or_else(|| format!("{name} is no node"))
    }

    fn leader(&self) -> Result<usize, String> {
        Self::node_of(&self.info()?["cluster"]["leader"])
    }

    /// The node that most consumers live on.
    fn consumers(&self) -> Result<usize, String> {
        let list = self.ask(&format!("CONSUMER.LIST.{STREAM}"), &json!({})).map_err(text)?;
        let mut on = [0; 3];
        for consumer in list["consumers"].as_array().into_iter().flatten() {
            on[Self::node_of(&consumer["cluster"]["leader"])?] += 1;
        }
        if on == [0; 3] {
            return Err(format!("no consumers: {list}"));
        }
        Ok((0..3).max_by_key(|node| on[*node]).unwrap_or_default())
    }

    /// The node that most clients are connected to.
    fn busiest(&self) -> Result<usize, String> {
        let connections = |node: &usize| {
            let body = self.proof.servers[*node].monitor("/connz").unwrap_or_default();
            let told: Value = serde_json::from_str(&body).unwrap_or_default();
            told["num_connections"].as_u64().unwrap_or_default()
        };
        (0..3).max_by_key(connections).ok_or_else(|| "no nodes".into())
    }

    /// All is quiet: what is there is what must be there.
    fn end(&self, crew: &mut Crew) -> Vec<(&'static str, Done)> {
        let mut results = vec![("the cluster comes together", self.wait_until_whole())];
        results.push(("everybody stops", crew.stop(PATIENCE)));
        let kept = self.kept();
        match kept {
            Ok((newest, entries)) => {
                println!("{}", crew.attempts.sum());
                results.push(("every watch is equal to the server", crew.check_watches(newest, &entries)));
                results.push(("no acknowledged write is lost", crew.attempts.check_kept(&entries)));
                results.push(("the history of each key is linearizable", crew.attempts.check_history()));
            }
            Err(why) => results.push(("the bucket is read", Err(why))),
        }
        results.push(("nobody complains", crew.check()));
        results.push(("no consumer is left behind", self.check_consumers()));
        results
    }

    fn kept(&self) -> Result<(u64, Vec<natskv_core::Entry>), String> {
        kept(self.proof.servers[0].port)
    }

    fn check_consumers(&self) -> Done {
        consumers_become(self.proof.servers[0].port, 0)
    }
}

/// The last revision of the keys, and all that the bucket keeps of each.
fn kept(port: u16) -> Result<(u64, Vec<natskv_core::Entry>), String> {
    let mut live = Live::connect(port, Config::default()).map_err(text)?;
    let options = HandleOptions { leader_reads: true, ..HandleOptions::default() };
    let opened = live.run(|c, now| c.open(BUCKET, &options, None, now)).map_err(text)?;
    let Outcome::Opened(opened) = opened else { return Err(format!("{opened:?} of open")) };
    let mut all = Vec::new();
    for key in crew::keys() {
        let history = live.run(|c, now| c.history(opened.bucket, &key, None, now)).map_err(text)?;
        let Outcome::Entries(entries) = history else { return Err(format!("{history:?} of history")) };
        all.extend(entries);
    }
    let newest = all.iter().map(|entry| entry.revision).max().ok_or("nothing was written")?;
    Ok((newest, all))
}

/// Waits until the server has so many consumers; those that nobody listens to are forgotten after half a minute.
fn consumers_become(port: u16, count: usize) -> Done {
    let until = Instant::now() + PATIENCE;
    loop {
        let there = Raw::connect(port).and_then(|mut raw| raw.consumers()).map_err(text)?;
        if there.len() == count {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(format!("{} instead of {count}: {there:?}", there.len()));
        }
        thread::sleep(Duration::from_millis(200));
    }
}

/// Where a tool of `target/dev` is.
fn dev() -> std::path::PathBuf {
    let installed = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/dev");
    env::var_os("NATSKV_DEV").map_or(installed, Into::into)
}
