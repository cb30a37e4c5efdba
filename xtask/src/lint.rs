//! What the compilers, formatters and type checkers say. Each check counts as a test.

use crate::build;
use crate::lane::Lane;
use crate::setup::Need;
use crate::wasm;

/// All checks.
pub(crate) fn lint(lane: &mut Lane<'_>) {
    rust(lane);
    python(lane);
    typescript(lane);
}

fn rust(lane: &mut Lane<'_>) {
    let dev = lane.dev;
    lane.check("rustfmt", dev.cargo(["fmt", "--all", "--check"]));
    lane.check("clippy", dev.cargo(["clippy", "-q", "--workspace", "--all-targets", "--", "-D", "warnings"]));
    if lane.has(Need::Wasm, "clippy on wasm32") {
        const WASM: [&str; 8] =
            ["clippy", "-q", "-p", "natskv-core", "-p", "natskv-wasm", "--target", "wasm32-unknown-unknown"];
        let mut clippy = dev.cargo(WASM);
        clippy.args(["--", "-D", "warnings"]);
        lane.check("clippy on wasm32", clippy);
    }
    let mut doc = dev.cargo(["doc", "-q", "--no-deps", "-p", "natskv-core"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    lane.check("rustdoc", doc);
}

fn python(lane: &mut Lane<'_>) {
    if !lane.has(Need::Python, "the Python checks") {
        return;
    }
    let dev = lane.dev;
    let folders = ["access", "bench/python", "cluster", "demo", "interop", "peers", "real/python", "recover"]
        .map(|folder| format!("tests/{folder}"));
    let folders = ["bindings-python/python".to_owned()].into_iter().chain(folders);
    let folders: Vec<String> = folders.filter(|folder| dev.root.join(folder).is_dir()).collect();
    let config = dev.root.join("bindings-python").join("pyproject.toml");
    let mut check = dev.command(dev.venv("ruff"));
    check.args(["check", "--quiet", "--config"]).arg(&config).args(&folders);
    lane.check("ruff check", check);
    let mut format = dev.command(dev.venv("ruff"));
    format.args(["format", "--quiet", "--check", "--config"]).arg(&config).args(&folders);
    lane.check("ruff format", format);
    if !lane.build("building natskv for Python", || build::python(dev)) {
        return;
    }
    let mut mypy = dev.command(dev.venv("mypy"));
    mypy.args(["--strict", "--no-error-summary", "--config-file"]).arg(&config).arg("bindings-python/python/natskv");
    lane.check("mypy --strict", mypy);
    let mut stubtest = dev.command(dev.venv("stubtest"));
    stubtest.args(["--concise", "natskv"]);
    lane.check("stubtest", stubtest);
}

fn typescript(lane: &mut Lane<'_>) {
    if !lane.has(Need::Node, "tsc --strict") || !lane.has(Need::Wasm, "tsc --strict") {
        return;
    }
    let dev = lane.dev;
    // building the package runs tsc over the sources, since that makes the declarations
    if lane.build("building natskv for JavaScript", || build::web(dev)) {
        lane.test("tsc --strict", || wasm::check_types(&dev.root));
    }
}
