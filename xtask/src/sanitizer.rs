//! What the thread and address sanitizers are told to watch: natskv built with them by the nightly compiler. For the blocking Python API
//! the extension alone is; the interpreter is the ordinary one, with GCC's runtime loaded before it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::c_suite::compiler;
use crate::dev::Dev;
use crate::force::{nightly, nightly_cargo};
use crate::lane::{LIMIT, Lane};
use crate::run::check;

/// The tests of the blocking API that bring their programs along. What starts proof-server is no part of it: the runtime gets into the
/// servers' fork, too, and stops there.
const PYTHON_TESTS: [&str; 5] =
    ["test_blocking.py", "test_lifetime.py", "test_many.py", "test_promises.py", "test_status.py"];

/// Tests that measure what all threads of the process do, or fill a processor by themselves.
const ALONE: [&str; 4] = ["test_threads", "test_many_keys", "test_many_are_quick", "bounded_memory"];

/// What LLVM calls and GCC's runtime does not have.
pub(crate) const MISSING_NAMES: &str = "tests/sanitizer/thread.c";

/// Builds a package; where that is, is returned. For threads with a standard library whose atomics the sanitizer sees too.
pub(crate) fn build(dev: &Dev, package: &str, sanitizer: &str) -> Result<PathBuf> {
    nightly(dev, &["rust-src"])?;
    let host = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let target = format!("target/{sanitizer}");
    let mut build = nightly_cargo(dev);
    build
        .args(["build", "--quiet", "-p", package, "--target", &host, "--target-dir", &target])
        .env("RUSTFLAGS", format!("-Zsanitizer={sanitizer}"));
    if sanitizer == "thread" {
        build.arg("-Zbuild-std");
    }
    check(&mut build, &log(dev, &format!("{package}-{sanitizer}")), LIMIT)?;
    Ok(dev.root.join(target).join(host).join("debug"))
}

/// The blocking Python API, whose calls run in parallel wherever they wait.
pub(crate) fn python_threads(lane: &mut Lane<'_>) {
    const WHAT: &str = "the blocking Python API with the sanitizer of threads";
    let dev = lane.dev;
    let mut pytest = dev.command(dev.venv("python"));
    if lane.build(WHAT, || instrumented_python(dev, &mut pytest)) {
        // Findings go to the file descriptor, past what Python captures, and fail the process that ends.
        pytest.args(["-m", "pytest", "-q", "-rs", "--capture=sys"]);
        pytest.args(PYTHON_TESTS.map(|file| format!("tests/real/python/{file}")));
        lane.tests(WHAT, pytest.args(["-k", "not asyncio"]));
        let in_parallel = format!("not asyncio and not {}", ALONE.join(" and not "));
        lane.tests("the same, each test in four threads at once", pytest.args(["--threads", "4", "-k", &in_parallel]));
    }
}

/// Has `python` find natskv with the sanitizer in it.
fn instrumented_python(dev: &Dev, python: &mut Command) -> Result<()> {
    let built = build(dev, "natskv-python", "thread")?;
    let packages = dev.root.join("target/thread/python");
    let package = packages.join("natskv");
    if package.exists() {
        fs::remove_dir_all(&package)?;
    }
    fs::create_dir_all(&package).with_context(|| format!("cannot make {}", package.display()))?;
    for entry in fs::read_dir(dev.root.join("bindings-python/python/natskv"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "py") {
            fs::copy(&path, package.join(path.file_name().unwrap_or_default()))?;
        }
    }
    fs::copy(built.join("lib_native.so"), package.join("_native.abi3.so")).context("no lib_native.so was built")?;
    let names = packages.join("names.so");
    let mut compile = compiler(dev, "CC", "cc");
    compile.args(["-shared", "-fPIC", MISSING_NAMES, "-o"]).arg(&names);
    check(&mut compile, &log(dev, "names"), LIMIT)?;
    python
        .env("PYTHONPATH", &packages)
        .env("LD_PRELOAD", env::join_paths([&runtime(dev)?, &names])?)
        .env("TSAN_OPTIONS", "die_after_fork=0"); // clients in a child of a fork have threads, too
    Ok(())
}

/// GCC's runtime.
fn runtime(dev: &Dev) -> Result<PathBuf> {
    let output = compiler(dev, "CC", "cc").arg("-print-file-name=libtsan.so").output().context("no C compiler")?;
    let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    ensure!(path.is_absolute() && path.exists(), "the C compiler has no libtsan.so. To mend it: apt-get install gcc");
    fs::canonicalize(&path).with_context(|| format!("cannot follow {}", path.display()))
}

fn log(dev: &Dev, what: &str) -> PathBuf {
    dev.dev.join(Path::new("logs")).join(format!("build-sanitizer-{what}.log"))
}
