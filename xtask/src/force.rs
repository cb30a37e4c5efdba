//! What hurts natskv on purpose: the simulation, and what else takes as long as one lets it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::dev::Dev;
use crate::lane::Lane;
use crate::run::{check, words};

/// Installing a compiler, or building a tool.
pub(crate) const LONG: Duration = Duration::from_secs(1200);

/// The simulation with these arguments; without any it plays its fixed seeds.
pub(crate) fn sim(dev: &Dev, arguments: &[String]) -> Command {
    let mut cargo = dev.cargo(["test", "--profile", "sim", "-p", "natskv-tests", "--test", "sim", "--"]);
    cargo.args(arguments);
    cargo
}

/// Explores for so long, or plays one seed; whether nothing failed.
pub(crate) fn explore(dev: &Dev, minutes: Option<u64>, seed: Option<u64>) -> Result<bool> {
    let minutes = if seed.is_none() { minutes.or(Some(5)) } else { minutes };
    let options = [("--minutes", minutes), ("--seed", seed)];
    let given = options.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let arguments: Vec<String> = given.flat_map(|(name, value)| [name.to_owned(), value.to_string()]).collect();
    here(&mut sim(dev, &arguments))
}

/// Runs a command whose output is for whoever sits here; whether it ended well.
fn here(command: &mut Command) -> Result<bool> {
    let status = command.status().with_context(|| format!("cannot start {}", words(command)))?;
    Ok(status.success())
}

/// The compiler of fuzzing, Miri and the sanitizers; and of the npm package, whose standard library is built for size.
pub(crate) const NIGHTLY: &str = "nightly-2026-05-20";

/// Pinned, since its flags go with the compiler's.
const CARGO_FUZZ: &str = "0.13.1";

/// The fuzz targets of tests/fuzz.
const TARGETS: [&str; 7] = ["parser", "headers", "receive", "web", "creds", "config", "execute"];

/// Fuzzes each target, or the one named, for so long; whether nothing was found.
///
/// What is new of interest goes to target/fuzz/corpus, what was found to tests/fuzz/artifacts; the corpus of the repository grows only by hand.
pub(crate) fn fuzz(dev: &Dev, minutes: u64, only: Option<&str>) -> Result<bool> {
    if let Some(unknown) = only.filter(|only| !TARGETS.contains(only)) {
        bail!("no fuzz target {unknown:?}; there are: {}", TARGETS.join(", "));
    }
    nightly(dev, &["rust-src"])?;
    let tool = cargo_fuzz(dev)?;
    let mut is_good = true;
    for target in TARGETS.into_iter().filter(|target| only.is_none_or(|only| only == *target)) {
        let (found, known) = (dev.root.join("target/fuzz/corpus").join(target), format!("tests/fuzz/corpus/{target}"));
        fs::create_dir_all(&found).with_context(|| format!("cannot make {}", found.display()))?;
        let mut fuzz = dev.command(&tool);
        fuzz.args(["run", "--fuzz-dir", "tests/fuzz", "--target-dir", "target/fuzz", target])
            .arg(&found)
            .arg(&known)
            .args(["--", "-timeout=20", "-rss_limit_mb=2048", "-max_len=4096"])
            .arg(format!("-max_total_time={}", 60 * minutes))
            .env("RUSTUP_TOOLCHAIN", NIGHTLY)
            .env_remove("CARGO"); // that of stable, which runs xtask
        println!("── {target}, {minutes} minutes");
        is_good &= here(&mut fuzz)?;
    }
    Ok(is_good)
}

/// Core's tests and its contract under Miri: undefined behaviour in what it stands on, and in what it makes of it.
pub(crate) fn miri(lane: &mut Lane<'_>) {
    let dev = lane.dev;
    if !lane.build("Miri", || nightly(dev, &["miri", "rust-src"])) {
        return;
    }
    let core = ["-p", "natskv-core", "--all-features", "--lib"].as_slice();
    let contract = ["-p", "natskv-tests", "--test", "contract", "--"];
    let skip = ["--skip", "consumer::", "--skip", "many::", "--skip", "operations::", "--skip", "session::"];
    let parts = [
        ("tests/contract, watches and many", [contract.as_slice(), &["consumer::", "many::"]].concat()),
        ("tests/contract, operations", [contract.as_slice(), &["operations::"]].concat()),
        ("tests/contract, sessions", [contract.as_slice(), &["session::"]].concat()),
        ("tests/contract, the others", [contract.as_slice(), &skip].concat()),
        ("natskv-core", core.to_vec()),
    ];
    let parts = parts.into_iter().map(|(what, part)| {
        let mut miri = nightly_cargo(dev);
        miri.args(["miri", "test", "--target-dir", "target/miri"]).args(part);
        (what.to_owned(), miri)
    });
    lane.tests_together(parts.collect());
}

fn cargo_fuzz(dev: &Dev) -> Result<PathBuf> {
    let root = dev.dev.join("cargo-fuzz");
    let tool = root.join("bin").join("cargo-fuzz");
    if !tool.exists() {
        println!("setup: cargo-fuzz {CARGO_FUZZ}");
        let mut install = dev.cargo(["install", "--quiet", "--locked", "cargo-fuzz", "--version", CARGO_FUZZ]);
        install.arg("--root").arg(&root);
        check(&mut install, &dev.dev.join("logs").join("setup-cargo-fuzz.log"), LONG)?;
    }
    Ok(tool)
}

/// The nightly compiler, with these components of it.
pub(crate) fn nightly(dev: &Dev, components: &[&str]) -> Result<()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let installed = dev.command("rustup").args(["component", "list", "--installed", "--toolchain", NIGHTLY]).output();
    let installed = installed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    if components.iter().all(|component| installed.contains(component)) {
        return Ok(());
    }
    println!("setup: {NIGHTLY}");
    let mut install = dev.command("rustup");
    install.args(["toolchain", "install", NIGHTLY, "--profile", "minimal"]);
    install.args(components.iter().flat_map(|component| ["-c", component]));
    let mend = words(&install);
    check(&mut install, &dev.dev.join("logs").join("setup-nightly.log"), LONG)
        .with_context(|| format!("no {NIGHTLY}. To mend it: {mend}"))?;
    Ok(())
}

/// cargo of the nightly compiler.
pub(crate) fn nightly_cargo(dev: &Dev) -> Command {
    let mut cargo = dev.command("cargo");
    cargo.env("RUSTUP_TOOLCHAIN", NIGHTLY).env_remove("CARGO"); // that of stable, which runs xtask
    cargo
}
