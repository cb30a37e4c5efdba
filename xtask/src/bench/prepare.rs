//! What has to be there before anything is measured: release builds of natskv in target/bench, as users get them, and the peers.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::clients::{Client, Program};
use super::measure::c_program;
use crate::build;
use crate::c_suite::{NATIVE_LIBRARIES, compiler};
use crate::dev::{Dev, SERVER, browser};
use crate::dist;
use crate::lane::LIMIT;
use crate::run::check;
use crate::setup::{Missing, Need, setup};

/// What could not be had.
#[derive(Debug)]
pub(crate) struct Ready(Missing);

/// Installs and builds what these clients need. Fails when something is missing that does not come from apt.
pub(crate) fn prepare(dev: &Dev, clients: &[&Client]) -> Result<Ready> {
    let needs: BTreeSet<Need> = clients.iter().flat_map(|client| needs(client)).copied().collect();
    let needs: Vec<Need> = needs.into_iter().collect();
    let missing = setup(dev, &needs);
    let is_dispensable = |need: &Need| matches!(need, Need::Browser | Need::Libnats);
    ensure!(missing.keys().all(is_dispensable), "the bench cannot do without what set-up could not install");
    let ready = Ready(missing);
    let folder = dev.root.join("target").join("bench");
    fs::create_dir_all(&folder)?;
    println!("Building what is measured, as it is released …");
    log(dev, "limit", dev.cargo(["build", "--quiet", "--release", "-p", "natskv-bench"]))?;
    if needs.contains(&Need::Python) {
        python(dev, &folder).context("natskv for Python")?;
    }
    if needs.contains(&Need::Node) {
        web(dev, &folder).context("natskv for JavaScript")?;
    }
    let mut programs: Vec<_> = clients.iter().filter(|client| ready.can_run(client)).map(|c| c.program).collect();
    programs.retain(|program| matches!(program, Program::C { .. }));
    if !programs.is_empty() {
        log(dev, "libnatskv", dev.cargo(["build", "--quiet", "--release", "-p", "natskv-c"]))?;
    }
    for program in programs {
        c(dev, &folder, program)?;
    }
    Ok(ready)
}

impl Ready {
    /// Whether nothing is missing that this client needs; a line is printed when not.
    pub(crate) fn can_run(&self, client: &Client) -> bool {
        let missing = needs(client).iter().find_map(|need| self.0.get(need));
        if let Some(why) = missing {
            println!("skip {}: {why}", client.name);
        }
        missing.is_none()
    }

    /// What is measured with what, for the tables.
    pub(crate) fn versions(&self, dev: &Dev) -> Result<Vec<(String, String)>> {
        let says = |mut command: Command| -> String {
            let output = command.output().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
            output.unwrap_or_else(|_| "none".to_owned())
        };
        let asked = |program: &Path, argument: &str| {
            let mut command = dev.command(program);
            command.arg(argument);
            let text = says(command);
            let is_version =
                |word: &&str| word.trim_start_matches('v').starts_with(|first: char| first.is_ascii_digit());
            text.split_whitespace().find(is_version).map_or_else(|| text.clone(), str::to_owned)
        };
        let mut git = dev.command("git");
        git.args(["log", "-1", "--format=%h"]);
        let lock: Value = serde_json::from_str(&fs::read_to_string(dev.root.join("xtask/npm/package-lock.json"))?)?;
        let npm = |name: &str| lock["packages"][format!("node_modules/{name}")]["version"].as_str().map(str::to_owned);
        let mut versions = vec![
            ("natskv", format!("{} ({})", env!("CARGO_PKG_VERSION"), says(git))),
            ("nats-server", SERVER.version.to_owned()),
            ("rustc", asked(Path::new("rustc"), "--version")),
            ("Python", asked(&dev.venv("python"), "--version")),
            ("nats-py", pin(dev, "nats-py")?),
            ("uvloop", pin(dev, "uvloop")?),
            ("Node", asked(Path::new("node"), "--version")),
            ("@nats-io/kv", npm("@nats-io/kv").context("no pin of @nats-io/kv")?),
            ("C compiler", asked(Path::new("cc"), "-dumpfullversion")),
        ];
        if !self.0.contains_key(&Need::Libnats) {
            let mut ask = dev.command("dpkg-query");
            ask.args(["--show", "--showformat=${Version}", "libnats-dev"]);
            versions.push(("nats.c", says(ask)));
        }
        if let Some(browser) = browser().filter(|_| !self.0.contains_key(&Need::Browser)) {
            versions.push(("Chromium", asked(&browser, "--version")));
        }
        Ok(versions.into_iter().map(|(name, version)| (name.to_owned(), version)).collect())
    }
}

fn needs(client: &Client) -> &'static [Need] {
    match client.program {
        Program::Limit | Program::C { file: "natskv", .. } => &[Need::Server],
        Program::Python { .. } => &[Need::Server, Need::Python],
        Program::C { .. } => &[Need::Server, Need::Libnats],
        Program::Node { .. } => &[Need::Server, Need::Node, Need::Wasm],
        Program::Page { .. } => &[Need::Server, Need::Node, Need::Wasm, Need::Browser],
    }
}

/// The wheel in an environment of its own, beside nats-py and uvloop.
fn python(dev: &Dev, folder: &Path) -> Result<()> {
    let (wheels, venv) = (folder.join("wheel"), folder.join("venv"));
    let wheel = dist::wheel(dev, &wheels)?;
    if !venv.join("bin/pip").exists() {
        let mut make = dev.command(dev.venv("python"));
        make.args(["-m", "venv", "--clear"]).arg(&venv);
        log(dev, "venv", make)?;
    }
    let pip = || {
        let mut pip = dev.command(venv.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        pip
    };
    let mut peers = pip();
    for name in ["nats-py", "uvloop"] {
        peers.arg(format!("{name}=={}", pin(dev, name)?));
    }
    log(dev, "peers", peers)?;
    let mut ours = pip();
    ours.args(["--no-deps", "--force-reinstall"]).arg(wheel);
    log(dev, "wheel", ours)
}

/// The version that xtask/python-requirements.txt pins.
fn pin(dev: &Dev, name: &str) -> Result<String> {
    let pins = fs::read_to_string(dev.root.join("xtask/python-requirements.txt"))?;
    let pin = pins.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("=="));
    pin.map(str::to_owned).with_context(|| format!("no pin of {name} in xtask/python-requirements.txt"))
}

/// The npm package, and nats.js as a page loads it: in one file.
fn web(dev: &Dev, folder: &Path) -> Result<()> {
    build::web(dev)?;
    let mut esbuild = dev.command("node");
    esbuild.arg(dev.dev.join("node/node_modules/esbuild/bin/esbuild")).arg("tests/bench/web/nats-js.mjs");
    esbuild.args([
        "--bundle",
        "--format=esm",
        "--target=es2022",
        "--platform=browser",
        "--minify",
        "--log-level=warning",
    ]);
    esbuild.arg(format!("--outfile={}", folder.join("nats-js.js").display()));
    esbuild.env("NODE_PATH", dev.dev.join("node/node_modules"));
    log(dev, "nats-js", esbuild)
}

fn c(dev: &Dev, folder: &Path, program: Program) -> Result<()> {
    let Program::C { file, is_async } = program else { return Ok(()) };
    let name = c_program(file, is_async);
    let mut compile = compiler(dev, "CC", "cc");
    compile.args(["-std=c99", "-D_XOPEN_SOURCE=700", "-O2", "-Wall", "-Wextra", "-Ibindings-c/include"]);
    compile.args(is_async.then_some("-DNATS_C_ASYNC"));
    compile.args(["tests/bench/c/bench.c", "tests/bench/c/workloads.c"]).arg(format!("tests/bench/c/{file}.c"));
    compile.arg("-o").arg(folder.join(&name));
    if file == "natskv" {
        compile.arg("target/release/libnatskv.a").args(NATIVE_LIBRARIES);
    } else {
        compile.args(["-lnats", "-lpthread"]);
    }
    log(dev, &name, compile)
}

fn log(dev: &Dev, what: &str, mut command: Command) -> Result<()> {
    check(&mut command, &dev.dev.join("logs").join(format!("bench-build-{what}.log")), LIMIT)?;
    Ok(())
}
