//! What the suites stand on, built when they need it.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Context, Error, Result, ensure};
use serde_json::Value;

use crate::c_suite::{HEADER, NATIVE_LIBRARIES, compiler};
use crate::dev::Dev;
use crate::header;
use crate::lane::{LIMIT, Lane};
use crate::run::check;
use crate::wasm;

/// The integration tests of the tests crate, by name; a failure is counted when cargo does not tell.
pub(crate) fn test_targets(lane: &mut Lane<'_>) -> Vec<String> {
    match targets(lane.dev) {
        Ok(names) => names,
        Err(error) => {
            lane.failed("cargo metadata", &format!("{error:#}"));
            Vec::new()
        }
    }
}

fn targets(dev: &Dev) -> Result<Vec<String>> {
    let output = dev.cargo(["metadata", "--no-deps", "--format-version", "1"]).output().context("cargo metadata")?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata gave no JSON")?;
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    let package =
        packages.iter().find(|package| package["name"] == "natskv-tests").context("no package natskv-tests")?;
    let targets = package["targets"].as_array().into_iter().flatten();
    let tests = targets.filter(|target| target["kind"] == serde_json::json!(["test"]));
    Ok(tests.filter_map(|target| target["name"].as_str()).map(str::to_owned).collect())
}

/// The Python package, into target/dev/venv: from the sources, so that changes to .py files need no build. Once a run.
pub(crate) fn python(dev: &Dev) -> Result<()> {
    static BUILT: Once = Once::new();
    once(&BUILT, || python_now(dev))
}

/// The npm package, into target/dev/npm/natskv. Once a run.
pub(crate) fn web(dev: &Dev) -> Result<()> {
    static BUILT: Once = Once::new();
    once(&BUILT, || wasm::build(dev).map(|_| ()))
}

/// proof-server, which starts nats-servers of every kind for the suites; `NATSKV_PROOF_SERVER` names it. Once a run.
pub(crate) fn proof_server(dev: &Dev) -> Result<()> {
    static BUILT: Once = Once::new();
    once(&BUILT, || {
        let mut build = dev.cargo(["build", "--quiet", "-p", "natskv-tests", "--bin", "proof-server"]);
        check(&mut build, &dev.dev.join("logs").join("build-proof-server.log"), LIMIT)?;
        Ok(())
    })
}

/// Whether it worked, for all who ask; who asks while it goes on waits for it.
type Once = OnceLock<Result<(), String>>;

fn once(built: &Once, build: impl FnOnce() -> Result<()>) -> Result<()> {
    let result = built.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    result.clone().map_err(Error::msg)
}

fn python_now(dev: &Dev) -> Result<()> {
    let mut maturin = dev.command(dev.venv("maturin"));
    maturin.args(["develop", "--quiet", "--manifest-path", "bindings-python/Cargo.toml"]);
    check(&mut maturin, &dev.dev.join("logs").join("build-python.log"), LIMIT)?;
    Ok(())
}

/// Writes bindings-c/include/natskv.h.
pub(crate) fn header(dev: &Dev) -> Result<()> {
    let file = dev.root.join(HEADER);
    let text = header::generate(&dev.root)?;
    if fs::read_to_string(&file).is_ok_and(|old| old == text) {
        println!("{HEADER} is as it should be");
        return Ok(());
    }
    fs::write(&file, text).with_context(|| format!("cannot write {HEADER}"))?;
    println!("{HEADER} written");
    Ok(())
}

/// Fails when bindings-c/include/natskv.h is not what the sources make.
pub(crate) fn header_is_fresh(dev: &Dev) -> Result<()> {
    let text = header::generate(&dev.root)?;
    let committed = fs::read_to_string(dev.root.join(HEADER)).with_context(|| format!("no {HEADER}"))?;
    let differs = committed.lines().zip(text.lines()).position(|(old, new)| old != new);
    ensure!(
        committed == text,
        "{HEADER} is stale from line {}. To mend it: cargo xtask header",
        differs.unwrap_or(0) + 1
    );
    Ok(())
}

/// libnatskv and the C program of the demo.
pub(crate) fn c_demo(dev: &Dev) -> Result<PathBuf> {
    let logs = dev.dev.join("logs");
    check(&mut dev.cargo(["build", "--quiet", "--package", "natskv-c"]), &logs.join("build-c.log"), LIMIT)?;
    let program = dev.dev.join("demo-c");
    let mut compile = compiler(dev, "CC", "cc");
    compile
        .args([
            "-std=c99",
            "-O1",
            "-Wall",
            "-Wextra",
            "-Ibindings-c/include",
            "tests/demo/demo.c",
            "target/debug/libnatskv.a",
        ])
        .args(NATIVE_LIBRARIES)
        .arg("-o")
        .arg(&program);
    check(&mut compile, &logs.join("build-demo-c.log"), LIMIT)?;
    Ok(program)
}
