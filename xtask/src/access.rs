//! `cargo xtask test access`: every kind of door that a NATS server can have, with the right key and the wrong ones, in every runtime.
//! Real servers, real clients, one table. Whatever a client shows of itself meanwhile is searched for secrets.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use crate::build;
use crate::c_suite;
use crate::dev::{Dev, browser};
use crate::lane::{LIMIT, Lane};
use crate::run::check;
use crate::setup::Need;
use crate::talker::Talker;

const PATIENCE: Duration = Duration::from_secs(60);

/// In the order of the columns.
const RUNTIMES: [&str; 6] = ["core", "asyncio", "blocking", "C", "Node", "Chromium"];

/// What must not be shown.
const SECRETS: [&str; 5] = ["password", "token", "nkey_seed", "jwt", "creds_text"];

/// A door, and what a client must find there.
struct Door {
    group: &'static str,
    name: String,
    /// What the client is given: `url`, credentials, certificates.
    given: Map<String, Value>,
    /// The codes that are right; "OK": it is let in.
    expected: &'static [&'static str],
    /// Who can be sent there.
    who: Who,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    All,
    /// It takes TCP.
    NoBrowser,
    /// It takes TLS.
    NoCore,
    /// It takes both, or certificates of one's own.
    NeitherOfThem,
    Browser,
}

impl Who {
    fn includes(self, runtime: &str) -> bool {
        match self {
            Self::All => true,
            Self::NoBrowser => runtime != "Chromium",
            Self::NoCore => runtime != "core",
            Self::NeitherOfThem => runtime != "core" && runtime != "Chromium",
            Self::Browser => runtime == "Chromium",
        }
    }
}

const IN: &[&str] = &["OK"];
const AUTH: &[&str] = &["AUTH"];
const TLS: &[&str] = &["TLS"];
/// A browser tells pages nothing of certificates.
const NO_CONNECTION: &[&str] = &["CONNECT_FAILED"];
/// What comes first is told: that the connection broke, or why.
const NO_CERTIFICATE: &[&str] = &["TLS", "CONNECT_FAILED", "DISCONNECTED"];

/// Runs it.
pub(crate) fn access(lane: &mut Lane<'_>) {
    let dev = lane.dev;
    let mut clients = Vec::new();
    let mut servers = Servers { dev, running: BTreeMap::new() };
    let mut doors = Vec::new();
    let is_ready = lane.build("servers of every kind, and a client for each runtime", || {
        doors = all_doors(&mut servers)?;
        clients = start_clients(dev, &servers)?;
        Ok(())
    });
    if !is_ready {
        return;
    }
    if browser().is_none() {
        lane.skip("Chromium", "no browser here");
    }
    let mut rows = Vec::new();
    for door in &doors {
        let answers = try_door(door, &mut clients, &mut servers);
        let cells: Vec<String> = RUNTIMES
            .iter()
            .map(|runtime| match answers.iter().find(|(name, _)| name == runtime) {
                None => "–".to_owned(),
                Some((_, Ok(code))) if code == "OK" => "in".to_owned(),
                Some((_, Ok(code))) => code.clone(),
                Some((_, Err(_))) => "FAIL".to_owned(),
            })
            .collect();
        rows.push((door, cells));
        for (runtime, answer) in answers {
            let what = format!("{}: {} ({runtime})", door.group, door.name);
            match answer {
                Ok(_) => lane.passed(),
                Err(error) => lane.failed(&what, &format!("{error:#}")),
            }
        }
    }
    let table = table(&rows);
    print!("{table}");
    let file = dev.dev.join("access.md");
    if fs::write(&file, table).is_ok() {
        println!("   the table is in {}", dev.short(&file));
    }
    for client in &clients {
        let log = client.log();
        let told = doors.iter().flat_map(|door| secrets(&door.given)).find(|secret| log.contains(*secret));
        match told {
            None => lane.passed(),
            Some(secret) => lane.failed(&client.name, &format!("it wrote a secret to stderr: {secret}")),
        }
    }
}

/// What each client answered, judged.
fn try_door(door: &Door, clients: &mut [Talker], servers: &mut Servers<'_>) -> Vec<(String, Result<String>)> {
    let line = Value::Object(door.given.clone()).to_string();
    let mut sent = Vec::new();
    for client in clients.iter_mut().filter(|client| door.who.includes(&client.name)) {
        sent.push((client.say(&line), client));
    }
    let judged = sent.into_iter().map(|(said, client)| {
        let answer = said.and_then(|()| judge(door, client, servers));
        (client.name.clone(), answer)
    });
    judged.collect()
}

fn judge(door: &Door, client: &mut Talker, servers: &mut Servers<'_>) -> Result<String> {
    let mut answer = client.hear(PATIENCE)?;
    while let Some(nonce) = answer["sign"].as_str() {
        let seed = door.given["signs_with"].as_str().context("nobody was to ask for a signature")?;
        let signer = servers.start("nkey")?;
        let signature = signer.ask(&format!("sign {seed} {nonce}"), PATIENCE)?;
        client.say(&signature.to_string())?;
        answer = client.hear(PATIENCE)?;
    }
    let code = answer["code"].as_str().context("no code")?;
    let shown = answer["shown"].as_str().unwrap_or_default();
    ensure!(door.expected.contains(&code), "{code}, and not {}: {shown}", door.expected.join(" or "));
    for secret in secrets(&door.given) {
        ensure!(!shown.contains(secret), "it shows the secret {secret}: {shown}");
    }
    Ok(code.to_owned())
}

/// Of a credentials file the lines that count.
fn secrets(given: &Map<String, Value>) -> Vec<&str> {
    let named = SECRETS.iter().chain(&["signs_with"]).filter_map(|name| given.get(*name)?.as_str());
    let is_one = |text: &&str| !text.starts_with(['-', '*']) && text.len() > 3;
    named
        .flat_map(|text| if text.contains("-----") { text.lines().collect() } else { vec![text] })
        .filter(is_one)
        .collect()
}

// ── the doors

/// proof-servers, each started when it is first asked for.
struct Servers<'a> {
    dev: &'a Dev,
    running: BTreeMap<&'static str, (Talker, Value)>,
}

impl Servers<'_> {
    fn start(&mut self, kind: &'static str) -> Result<&mut Talker> {
        if !self.running.contains_key(kind) {
            let mut command = self.dev.command(self.dev.root.join("target/debug/proof-server"));
            command.args(kind.split(' '));
            let name = format!("proof-server {kind}");
            let log = self.dev.dev.join("logs").join(format!("access-{}.log", name.replace(' ', "-")));
            let server = Talker::start(&name, command, &log)?;
            let told = server.hear(PATIENCE)?;
            self.running.insert(kind, (server, told));
        }
        Ok(&mut self.running.get_mut(kind).context("it was just started")?.0)
    }

    /// What it told of itself.
    fn told(&mut self, kind: &'static str) -> Result<Value> {
        self.start(kind)?;
        Ok(self.running[kind].1.clone())
    }
}

fn all_doors(servers: &mut Servers<'_>) -> Result<Vec<Door>> {
    let mut doors = Vec::new();
    for (group, kind) in
        [("user and password", "users"), ("token", "token"), ("nkey", "nkey"), ("creds and JWT", "jwt")]
    {
        credentials(&mut doors, group, &servers.told(kind)?);
    }
    signed_elsewhere(&mut doors, &servers.told("nkey")?, &servers.told("jwt")?);
    tls(&mut doors, servers)?;
    websocket(&mut doors, servers)?;
    permissions(&mut doors, &servers.told("permissions")?);
    Ok(doors)
}

fn door(group: &'static str, name: &str, given: Value, expected: &'static [&'static str], who: Who) -> Door {
    let Value::Object(given) = given else { panic!("doors are objects") };
    Door { group, name: name.to_owned(), given, expected, who }
}

/// Each credential of a server, over TCP and over WebSocket: a credentials file as such, and in its parts.
fn credentials(doors: &mut Vec<Door>, group: &'static str, told: &Value) {
    for (scheme, field, who) in [("", "url", Who::NoBrowser), (", ws", "ws_url", Who::All)] {
        for credential in told["credentials"].as_array().into_iter().flatten() {
            let name = credential["as"].as_str().unwrap_or_default();
            let expected = if credential["accepted"] == true { IN } else { AUTH };
            let only = |fields: &[&str]| {
                let mut given = json!({"url": told[field]});
                fields.iter().filter(|name| credential[**name].is_string()).for_each(|name| {
                    given[*name] = credential[*name].clone();
                });
                given
            };
            if credential["creds"].is_string() {
                let given = only(&["creds", "creds_text"]);
                doors.push(door(group, &format!("{name}, as a credentials file{scheme}"), given, expected, who));
            }
            let given = only(&["user", "password", "token", "nkey_seed", "jwt"]);
            doors.push(door(group, &format!("{name}{scheme}"), given, expected, who));
        }
    }
}

fn signed_elsewhere(doors: &mut Vec<Door>, nkey: &Value, jwt: &Value) {
    for (told, public) in [(nkey, "nkey"), (jwt, "jwt")] {
        let credentials = told["credentials"].as_array().cloned().unwrap_or_default();
        for credential in credentials.iter().filter(|credential| credential["nkey_seed"].is_string()) {
            let given = json!({
                "url": told["ws_url"], "sign": true, "signs_with": credential["nkey_seed"], public: credential[public],
            });
            let expected = if credential["accepted"] == true { IN } else { AUTH };
            let name = credential["as"].as_str().unwrap_or_default();
            doors.push(door("a signer elsewhere", name, given, expected, Who::All));
        }
    }
}

/// TLS over TCP, by what goes wrong.
fn tls(doors: &mut Vec<Door>, servers: &mut Servers<'_>) -> Result<()> {
    let who = Who::NeitherOfThem;
    let told = servers.told("tls")?;
    let plain = told["url"].as_str().context("a URL")?.replace("tls://", "nats://");
    let group = "TLS after INFO";
    doors.extend([
        door(group, "the CA of the server", json!({"url": told["url"], "ca": told["ca"]}), IN, who),
        door(group, "TLS asked for by the server alone", json!({"url": plain, "ca": told["ca"]}), IN, who),
        door(group, "another CA", json!({"url": told["url"], "ca": told["other_ca"]}), TLS, who),
        door(group, "the CAs of the system", json!({"url": told["url"], "tls": true}), TLS, who),
    ]);
    let open = servers.told("open")?;
    doors.push(door(
        group,
        "a server that offers none",
        json!({"url": open["url"], "tls": true, "ca": told["ca"]}),
        TLS,
        who,
    ));
    let name_only = servers.told("tls-name-only")?;
    let by_address = name_only["url"].as_str().context("a URL")?.replace("localhost", "127.0.0.1");
    let ca = &name_only["ca"];
    doors.extend([
        door(group, "a certificate for the name", json!({"url": name_only["url"], "ca": ca}), IN, who),
        door(group, "a certificate for the name, by address", json!({"url": by_address, "ca": ca}), TLS, who),
        door(
            group,
            "the same, told which name to expect",
            json!({"url": by_address, "ca": ca, "tls_hostname": "localhost"}),
            IN,
            who,
        ),
    ]);
    for (kind, name) in WRONG {
        let told = servers.told(kind)?;
        doors.push(door(group, name, json!({"url": told["url"], "ca": told["ca"]}), TLS, who));
    }
    let group = "TLS first";
    let first = servers.told("tls-first")?;
    let (url, ca) = (&first["url"], &first["ca"]);
    doors.extend([
        door(group, "TLS first", json!({"url": url, "ca": ca, "tls_first": true}), IN, who),
        door(group, "another CA", json!({"url": url, "ca": first["other_ca"], "tls_first": true}), TLS, who),
        door(
            group,
            "a server that speaks first",
            json!({"url": told["url"], "ca": told["ca"], "tls_first": true}),
            TLS,
            who,
        ),
        door(group, "a client that waits for INFO", json!({"url": url, "ca": ca}), NO_CONNECTION, who),
    ]);
    let mutual = servers.told("mtls")?;
    for (scheme, field) in [("", "url"), (", wss", "ws_url")] {
        let with = |client: &Value| json!({"url": mutual[field], "ca": mutual["ca"], "certificate": client["certificate"], "key": client["key"]});
        let group = "client certificate";
        let none = json!({"url": mutual[field], "ca": mutual["ca"]});
        doors.extend([
            door(group, &format!("of the server's CA{scheme}"), with(&mutual["client"]), IN, who),
            door(group, &format!("of another CA{scheme}"), with(&mutual["other_client"]), NO_CERTIFICATE, who),
            door(group, &format!("none{scheme}"), none, NO_CERTIFICATE, who),
        ]);
    }
    Ok(())
}

const WRONG: [(&str, &str); 3] = [
    ("tls-unknown-ca", "a certificate of another CA"),
    ("tls-wrong-name", "a certificate for another host"),
    ("tls-expired", "an expired certificate"),
];

fn websocket(doors: &mut Vec<Door>, servers: &mut Servers<'_>) -> Result<()> {
    let group = "WebSocket";
    let open = servers.told("open")?;
    let not_spoken = open["url"].as_str().context("a URL")?.replace("nats://", "ws://");
    let told = servers.told("wss")?;
    let (url, ca) = (&told["ws_url"], &told["ca"]);
    doors.extend([
        door(group, "ws", json!({"url": open["ws_url"]}), IN, Who::All),
        door(group, "ws, to a port that speaks none", json!({"url": not_spoken}), NO_CONNECTION, Who::All),
        door(group, "wss, trusted", json!({"url": url, "ca": ca}), IN, Who::NoCore),
        door(group, "wss, another CA", json!({"url": url, "ca": told["other_ca"]}), TLS, Who::NeitherOfThem),
        door(group, "wss, the CAs of the system", json!({"url": url, "tls": true}), TLS, Who::NeitherOfThem),
    ]);
    for (kind, name) in WRONG {
        let told = servers.told(kind)?;
        let given = json!({"url": told["ws_url"], "ca": told["ca"]});
        doors.push(door(group, &format!("wss, {name}"), given.clone(), TLS, Who::NeitherOfThem));
        doors.push(door(group, &format!("wss, {name}, in a page"), given, NO_CONNECTION, Who::Browser));
    }
    Ok(())
}

fn permissions(doors: &mut Vec<Door>, told: &Value) {
    let credentials = told["credentials"].as_array().cloned().unwrap_or_default();
    let user = |name: &str| {
        let one = credentials.iter().find(|credential| credential["as"] == name).cloned().unwrap_or_default();
        let (user, password) = (&one["user"], &one["password"]);
        json!({"url": told["ws_url"], "user": user, "password": password, "bucket": told["bucket"], "opens": name != "admin"})
    };
    let group = "permissions";
    let (mut right, mut wrong) = (user("inbox"), user("inbox"));
    right["inbox_prefix"] = "_INBOX_inbox".into();
    wrong["inbox_prefix"] = "_INBOX_other".into();
    doors.extend([
        door(group, "who may everything, and makes the bucket", user("admin"), IN, Who::All),
        door(group, "who may write to the bucket", user("writer"), IN, Who::All),
        door(group, "who has an inbox prefix of his own", right, IN, Who::All),
        door(group, "the same, by another prefix", wrong, &["PERMISSION"], Who::All),
        door(group, "the same, by none", user("inbox"), &["PERMISSION"], Who::All),
        door(group, "who may read, and writes", user("reader"), &["PERMISSION"], Who::All),
    ]);
}

// ── who is sent there

fn start_clients(dev: &Dev, servers: &Servers<'_>) -> Result<Vec<Talker>> {
    build::proof_server(dev)?;
    let mut core = dev.cargo(["build", "--quiet", "-p", "natskv-tests", "--bin", "access-core"]);
    check(&mut core, &dev.dev.join("logs").join("build-access-core.log"), LIMIT)?;
    let python = |api: &str| {
        let mut command = dev.command(dev.venv("python"));
        command.args(["tests/access/access.py", api]);
        command
    };
    let node = |arguments: &[&str]| {
        let mut command = dev.command("node");
        command.arg("tests/access/access.mjs").args(arguments);
        command
    };
    let commands = [
        dev.command(dev.root.join("target/debug/access-core")),
        python("asyncio"),
        python("blocking"),
        dev.command(c_suite::program(dev, "access-c", &["tests/access/access.c", "tests/real/c/json.c"])?),
        node(&[]),
        node(&["browser"]),
    ];
    let trusted = servers.running.get("wss").map(|(_, told)| told["ws_url"].clone());
    let mut clients = Vec::new();
    for (name, command) in RUNTIMES.into_iter().zip(commands) {
        if name == "Chromium" && browser().is_none() {
            continue;
        }
        let mut client = Talker::start(name, command, &dev.dev.join("logs").join(format!("access-{name}.log")))?;
        if name == "Node" || name == "Chromium" {
            client.say(&json!({"trusted": [trusted]}).to_string())?;
        }
        clients.push(client);
    }
    Ok(clients)
}

// ── the table

fn table(rows: &[(&Door, Vec<String>)]) -> String {
    let mut text = String::new();
    let name_width = rows.iter().map(|(door, _)| door.name.len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..RUNTIMES.len())
        .map(|at| rows.iter().map(|(_, cells)| cells[at].chars().count()).max().unwrap_or(0).max(RUNTIMES[at].len()))
        .collect();
    let line = |name: &str, cells: &[String]| {
        let cells: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("| {name:<name_width$} | {} |\n", cells.join(" | "))
    };
    let mut group = "";
    for (door, cells) in rows {
        if door.group != group {
            group = door.group;
            text.push_str(&format!("\n{group}\n\n"));
            text.push_str(&line("", &RUNTIMES.map(str::to_owned)));
            let dashes: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            text.push_str(&line(&"-".repeat(name_width), &dashes));
        }
        text.push_str(&line(&door.name, cells));
    }
    text.push_str("\n“in”: connected, wrote and read. A code: refused with it. –: not to be had there.\n");
    text
}

/// What it stands on.
pub(crate) const NEEDS: &[Need] = &[Need::Server, Need::Python, Need::Node, Need::Wasm, Need::Browser];
