//! Which suites there are, what each stands on, and how it runs: the fast lane, and what only `test --all` takes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{fs, thread};

use anyhow::{Result, bail};

use crate::dev::{Dev, OLDER_SERVERS, Release};
use crate::lane::{Lane, Row, report};
use crate::setup::{Missing, Need, setup};
use crate::{access, bench, build, c_suite, force, imports, lint, sanitizer, size};

struct Suite {
    name: &'static str,
    about: &'static str,
    needs: &'static [Need],
    run: fn(&mut Lane<'_>),
}

impl Suite {
    /// Everything through every binding on one of the older servers.
    const fn on(name: &'static str) -> Self {
        const NEEDS: &[Need] = &[Need::OlderServers, Need::Server, Need::Python, Need::Node, Need::Wasm, Need::Browser];
        Self {
            name,
            about: "core_real, FakeServer of its level beside it, and the scenarios through every binding on that nats-server",
            needs: NEEDS,
            run: older,
        }
    }

    /// The older server that it runs on.
    fn release(&self) -> Option<&'static Release> {
        OLDER_SERVERS.iter().find(|release| self.name.strip_prefix("on-") == Some(release.version))
    }

    /// Whether it is left to `test --all`.
    fn is_long(&self) -> bool {
        self.release().is_some() || matches!(self.name, "cluster" | "miri" | "asan" | "tsan")
    }
}

/// In the order they run: first what needs no set-up, since that goes on meanwhile.
const SUITES: &[Suite] = &[
    Suite {
        name: "core",
        about: "unit and documentation tests of core, and that it imports nothing on wasm32",
        needs: &[Need::Wasm],
        run: core,
    },
    Suite { name: "vectors", about: "protocol facts as data, through natskv_core::wire", needs: &[], run: vectors },
    Suite { name: "properties", about: "what holds of the pure rules for any input", needs: &[], run: properties },
    Suite { name: "contract", about: "the rules between core and its bindings", needs: &[], run: contract },
    Suite {
        name: "sim",
        about: "a simulated world from fixed seeds: everything that can go wrong, and what must hold all the time",
        needs: &[],
        run: sim,
    },
    Suite {
        name: "hostile",
        about: "100,000 conversations with a server that says what no server should",
        needs: &[],
        run: hostile,
    },
    Suite {
        name: "real",
        about: "core against a real nats-server, without a binding",
        needs: &[Need::Server],
        run: real,
    },
    Suite {
        name: "fake",
        about: "tests/scenarios through core on FakeServer and on a real nats-server: what is simulated is what is true",
        needs: &[Need::Server],
        run: fake,
    },
    Suite { name: "xtask", about: "this tool's own tests", needs: &[], run: xtask },
    Suite {
        name: "scenarios",
        about: "tests/scenarios through every binding, on a real server",
        needs: &[Need::Server, Need::Python, Need::Node, Need::Wasm, Need::Browser],
        run: scenarios,
    },
    Suite {
        name: "c",
        about: "libnatskv: its header, its examples, its tests plain and under valgrind",
        needs: &[Need::Server, Need::Openssl, Need::Valgrind],
        run: c,
    },
    Suite {
        name: "web",
        about: "the npm package in Node over TCP and WebSocket, and in a page in Chromium",
        needs: &[Need::Server, Need::Node, Need::Wasm, Need::Browser],
        run: web,
    },
    Suite {
        name: "python",
        about: "both Python APIs against real servers",
        needs: &[Need::Server, Need::Python, Need::Openssl],
        run: python,
    },
    Suite {
        name: "access",
        about: "every kind of login, TLS and WebSocket in every runtime, right and wrong ones, as a table",
        needs: access::NEEDS,
        run: doors,
    },
    Suite {
        name: "interop",
        about: "what nats-py, @nats-io/kv and nats-key-value write and natskv reads, and back",
        needs: &[Need::Server, Need::Python, Need::NatsKeyValue, Need::Node, Need::Wasm],
        run: interop,
    },
    Suite {
        name: "instructions",
        about: "how many instructions core takes for an operation, against tests/bench/instructions.json",
        needs: &[Need::Valgrind],
        run: instructions,
    },
    Suite {
        name: "size",
        about: "how big the npm package is, over the wire above all",
        needs: &size::NEEDS,
        run: size,
    },
    Suite {
        name: "lint",
        about: "clippy, rustfmt, rustdoc, ruff, mypy, stubtest, tsc",
        needs: &[Need::Python, Need::Node, Need::Wasm],
        run: lint::lint,
    },
    Suite {
        name: "cluster",
        about: "three servers, killed, frozen and restarted, while clients in Python, C and Node write and watch",
        needs: &[Need::Server, Need::Python, Need::Node, Need::Wasm],
        run: cluster,
    },
    Suite { name: "miri", about: "core's tests under Miri", needs: &[], run: force::miri },
    Suite {
        name: "asan",
        about: "tests/real/c with the address sanitizer in library and tests",
        needs: &[Need::Server],
        run: address,
    },
    Suite {
        name: "tsan",
        about: "the threads of tests/real/c, and of the blocking Python API, with the thread sanitizer",
        needs: &[Need::Server, Need::Python],
        run: thread_sanitizer,
    },
    Suite::on("on-2.10.25"),
    Suite::on("on-2.11.9"),
    Suite::on("on-2.12.4"),
];

/// Prints the suites.
pub(crate) fn list() {
    for suite in SUITES {
        println!("{:<14}{}{}", suite.name, suite.about, if suite.is_long() { " (--all)" } else { "" });
    }
}

/// Runs the suites named, or the fast lane, or all; whether nothing failed.
pub(crate) fn test(dev: &Dev, names: &[String], is_all: bool) -> Result<bool> {
    if let Some(unknown) = names.iter().find(|name| SUITES.iter().all(|suite| suite.name != **name)) {
        let known: Vec<&str> = SUITES.iter().map(|suite| suite.name).collect();
        bail!("no suite {unknown:?}; there are: {}", known.join(", "));
    }
    let is_wanted = |suite: &&Suite| match names {
        [] => is_all || !suite.is_long(),
        names => names.iter().any(|name| name == suite.name),
    };
    let is_early = |suite: &&Suite| suite.needs.iter().all(|need| *need == Need::Wasm);
    let (early, late): (Vec<_>, Vec<_>) = SUITES.iter().filter(is_wanted).partition(is_early);
    let needs: BTreeSet<Need> = late.iter().flat_map(|suite| suite.needs).copied().collect();
    let needs: Vec<Need> = needs.into_iter().collect();
    let first = setup(dev, &[Need::Wasm]);
    let mut rows = Vec::new();
    let missing = thread::scope(|scope| {
        let missing = scope.spawn(|| {
            let missing = setup(dev, &needs);
            build_ahead(dev, &needs, &missing);
            missing
        });
        rows.extend(early.iter().map(|suite| run(dev, &first, suite)));
        missing.join().expect("set-up does not panic")
    });
    rows.extend(late.iter().map(|suite| run(dev, &missing, suite)));
    Ok(report(&rows))
}

/// Builds what later suites need while the first ones run; how it went is told by those who need it.
fn build_ahead(dev: &Dev, needs: &[Need], missing: &Missing) {
    let has = |need: &Need| needs.contains(need) && !missing.contains_key(need);
    if has(&Need::Python) {
        let _ = build::python(dev);
    }
    if has(&Need::Node) && has(&Need::Wasm) {
        let _ = build::web(dev);
    }
}

fn run(dev: &Dev, missing: &Missing, suite: &Suite) -> Row {
    let dev = suite.release().map_or_else(|| dev.clone(), |release| dev.on(release));
    let mut lane = Lane::new(&dev, missing, suite.name);
    (suite.run)(&mut lane);
    lane.end()
}

fn core(lane: &mut Lane<'_>) {
    lane.tests("cargo test", lane.dev.cargo(["test", "--no-fail-fast", "-p", "natskv-core"]));
    let whole = ["test", "--no-fail-fast", "-p", "natskv-core", "--all-features", "--lib"];
    lane.tests("cargo test, with all features", lane.dev.cargo(whole));
    if lane.has(Need::Wasm, "core on wasm32") {
        let dev = lane.dev;
        lane.test("core on wasm32 imports nothing", || imports::core_imports_nothing(dev));
    }
}

fn vectors(lane: &mut Lane<'_>) {
    lane.tests("vectors.json", lane.dev.cargo(["test", "--no-fail-fast", "-p", "natskv-tests", "--test", "vectors"]));
}

fn properties(lane: &mut Lane<'_>) {
    let tests = ["test", "--no-fail-fast", "-p", "natskv-tests", "--test", "properties"];
    lane.tests("cargo test", lane.dev.cargo(tests));
}

fn contract(lane: &mut Lane<'_>) {
    let mut tests = lane.dev.cargo(["test", "--no-fail-fast", "-p", "natskv-tests", "--lib"]);
    for target in build::test_targets(lane) {
        if !matches!(
            target.as_str(),
            "vectors" | "scenarios" | "core_real" | "sim" | "hostile" | "properties" | "fake" | "cluster" | "soak"
        ) {
            tests.args(["--test", &target]);
        }
    }
    lane.tests("cargo test", tests);
}

fn sim(lane: &mut Lane<'_>) {
    // Ten million events, in less than a minute.
    lane.tests("fixed seeds", force::sim(lane.dev, &["--seeds".to_owned(), "400".to_owned()]));
}

fn hostile(lane: &mut Lane<'_>) {
    let mut tests = lane.dev.cargo(["test", "--profile", "sim", "-p", "natskv-tests", "--test", "hostile", "--"]);
    tests.args(["--count", "100000"]);
    lane.tests("mutated conversations", tests);
}

fn real(lane: &mut Lane<'_>) {
    if lane.has(Need::Server, "core_real") {
        lane.tests(
            "core_real",
            lane.dev.cargo(["test", "--no-fail-fast", "-p", "natskv-tests", "--test", "core_real"]),
        );
    }
}

fn fake(lane: &mut Lane<'_>) {
    if lane.has(Need::Server, "FakeServer beside nats-server") {
        let tests = lane.dev.cargo(["test", "-p", "natskv-tests", "--test", "fake"]);
        lane.tests("FakeServer beside nats-server", tests);
    }
}

fn cluster(lane: &mut Lane<'_>) {
    if let Some(tests) = cluster_test(lane) {
        lane.tests_shown("a cluster under fire", tests, force::LONG);
    }
}

/// The test of many clients, with them built.
fn cluster_test(lane: &mut Lane<'_>) -> Option<Command> {
    let dev = lane.dev;
    if !has_python(lane) || !has_web(lane) {
        return None;
    }
    let mut worker = PathBuf::new();
    let source = "tests/cluster/worker.c";
    if !lane.build(source, || c_suite::program(dev, "cluster-worker", &[source]).map(|built| worker = built)) {
        return None;
    }
    let mut tests = dev.cargo(["test", "-p", "natskv-tests", "--test", "cluster", "--"]);
    tests.env("NATSKV_CLUSTER_WORKER", worker);
    Some(tests)
}

/// The soak, which takes as long as it is told.
pub(crate) fn soak(dev: &Dev, minutes: u64) -> Result<bool> {
    let missing = setup(dev, &[Need::Server, Need::Python, Need::Node, Need::Wasm]);
    let mut lane = Lane::new(dev, &missing, "soak");
    if let Some(mut tests) = cluster_test(&mut lane) {
        tests.args(["soak", &minutes.to_string()]);
        lane.tests_shown("mixed load", tests, Duration::from_secs(60 * minutes) + force::LONG);
    }
    Ok(report(&[lane.end()]))
}

fn address(lane: &mut Lane<'_>) {
    if lane.has(Need::Server, "libnatskv") && has_proof_server(lane) {
        c_suite::sanitized(lane, "address", "detect_leaks=1");
    }
}

fn thread_sanitizer(lane: &mut Lane<'_>) {
    if lane.has(Need::Server, "libnatskv") && has_proof_server(lane) {
        c_suite::sanitized(lane, "thread", "halt_on_error=0");
    }
    if lane.has(Need::Python, "natskv for Python") {
        sanitizer::python_threads(lane);
    }
}

fn older(lane: &mut Lane<'_>) {
    if lane.has(Need::OlderServers, "an older nats-server") {
        real(lane);
        fake(lane);
        through_bindings(lane);
    }
}

fn xtask(lane: &mut Lane<'_>) {
    lane.tests("cargo test", lane.dev.cargo(["test", "--no-fail-fast", "-p", "xtask"]));
}

const WEB: [(&str, &str); 2] = [("Node, over TCP and WebSocket", "node"), ("a page in Chromium", "browser")];
const PYTEST: [&str; 4] = ["-m", "pytest", "-q", "-rs"];

/// The form of the files, and the files through each binding.
fn scenarios(lane: &mut Lane<'_>) {
    let dev = lane.dev;
    lane.tests("their form", dev.cargo(["test", "--no-fail-fast", "-p", "natskv-tests", "--test", "scenarios"]));
    through_bindings(lane);
}

/// The files through each binding: by its typed API, and by `execute`.
fn through_bindings(lane: &mut Lane<'_>) {
    let dev = lane.dev;
    const FORMS: [(&str, &str); 2] = [("typed", ""), ("execute", ", execute")];
    let mut parts = Vec::new();
    if has_python(lane) {
        parts.extend(FORMS.map(|(form, suffix)| {
            let mut pytest = dev.command(dev.venv("python"));
            pytest.args(PYTEST).args(["tests/real/python/test_scenarios.py", "-k", form]);
            (format!("Python, asyncio and blocking{suffix}"), pytest)
        }));
    }
    parts.extend(c_suite::scenarios(lane));
    if has_web(lane) {
        for (what, file) in WEB {
            parts.extend(FORMS.map(|(form, suffix)| (format!("{what}{suffix}"), node_test(lane, file, form))));
        }
    }
    lane.tests_together(parts);
}

fn python(lane: &mut Lane<'_>) {
    if lane.has(Need::Openssl, "the tests of TLS") && has_python(lane) && has_proof_server(lane) {
        match test_files(&lane.dev.root.join("tests/real/python")) {
            Ok(files) => {
                let pytest = |file: String| {
                    let mut pytest = lane.dev.command(lane.dev.venv("python"));
                    pytest.args(PYTEST).arg(format!("tests/real/python/{file}"));
                    (file, pytest)
                };
                let parts = files.into_iter().filter(|file| file != "test_scenarios.py").map(pytest).collect();
                lane.tests_together(parts);
            }
            Err(error) => lane.failed("pytest", &format!("{error:#}")),
        }
    }
}

/// The test_*.py of a folder, in their order.
fn test_files(folder: &Path) -> Result<Vec<String>> {
    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<Result<Vec<_>>>()?;
    names.retain(|name| name.starts_with("test_") && name.ends_with(".py"));
    names.sort();
    Ok(names)
}

fn doors(lane: &mut Lane<'_>) {
    if has_python(lane) && has_web(lane) && has_proof_server(lane) {
        access::access(lane);
    }
}

fn interop(lane: &mut Lane<'_>) {
    if has_python(lane) && has_web(lane) {
        let mut pytest = lane.dev.command(lane.dev.venv("python"));
        pytest.args(PYTEST).arg("tests/interop");
        lane.tests("pytest", pytest);
    }
}

fn has_python(lane: &mut Lane<'_>) -> bool {
    let dev = lane.dev;
    lane.has(Need::Python, "natskv for Python") && lane.build("building natskv for Python", || build::python(dev))
}

fn has_proof_server(lane: &mut Lane<'_>) -> bool {
    let dev = lane.dev;
    lane.build("building proof-server", || build::proof_server(dev))
}

fn c(lane: &mut Lane<'_>) {
    let dev = lane.dev;
    lane.test("natskv.h is what the sources make", || build::header_is_fresh(dev));
    if lane.has(Need::Server, "libnatskv") && lane.has(Need::Openssl, "the tests of TLS") && has_proof_server(lane) {
        c_suite::c(lane);
    }
}

fn web(lane: &mut Lane<'_>) {
    if !has_web(lane) || !has_proof_server(lane) {
        return;
    }
    let dev = lane.dev;
    lane.test("the package leaves to browsers what they have", || imports::package_is_lean(dev));
    let parts = [("the package", "package")].into_iter().chain(WEB);
    let parts = parts.map(|(what, file)| (what.to_owned(), node_test(lane, file, "promises"))).collect();
    lane.tests_together(parts);
}

fn instructions(lane: &mut Lane<'_>) {
    let what = "core's hot paths";
    let missing = lane.missing.get(&Need::Valgrind).cloned();
    if let Some(why) = bench::hindrance().map(str::to_owned).or(missing) {
        return lane.skip(what, &why);
    }
    let dev = lane.dev;
    lane.test(what, || bench::have_not_grown(dev));
}

fn size(lane: &mut Lane<'_>) {
    if size::NEEDS.into_iter().all(|need| lane.has(need, "the npm package")) {
        let dev = lane.dev;
        lane.test("the npm package has not grown", || size::npm_has_not_grown(dev));
    }
}

fn node_test(lane: &Lane<'_>, file: &str, only: &str) -> Command {
    let mut node = lane.dev.command("node");
    node.args(["--test", "--test-reporter=tap"])
        .arg(format!("tests/real/web/{file}.test.mjs"))
        .env("NATSKV_ONLY", only);
    node
}

fn has_web(lane: &mut Lane<'_>) -> bool {
    let dev = lane.dev;
    let what = "natskv for JavaScript";
    let has_tools = [Need::Server, Need::Node, Need::Wasm].into_iter().all(|need| lane.has(need, what));
    has_tools && lane.build("building natskv for JavaScript", || build::web(dev))
}
