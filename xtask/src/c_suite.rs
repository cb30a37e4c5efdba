//! The C suite: the library's own tests, its header under four standards, the examples, and tests/real/c plain and under
//! valgrind.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::c_table;
use crate::dev::Dev;
use crate::dist;
use crate::lane::{LIMIT, Lane};
use crate::run::check;
use crate::sanitizer;
use crate::server::Server;
use crate::setup::Need;

pub(crate) const HEADER: &str = "bindings-c/include/natskv.h";

/// What the static library needs from the system, as rustc's `--print native-static-libs` says on Linux.
pub(crate) const NATIVE_LIBRARIES: [&str; 7] = ["-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl", "-lc"];

const STRICT: [&str; 4] = ["-Wall", "-Wextra", "-pedantic", "-Werror"];

/// Runs it.
pub(crate) fn c(lane: &mut Lane<'_>) {
    let dev = lane.dev;
    lane.tests("cargo test", dev.cargo(["test", "--no-fail-fast", "-p", "natskv-c"]));
    for standard in ["c99", "c11", "c++11", "c++20"] {
        lane.check(&format!("natskv.h as {standard}"), header_alone(dev, standard));
    }
    lane.test("no function is missing in nulls.c", || nothing_is_missing(dev));
    lane.test("every function says which threads may call it", || threads_are_told(dev));
    if !lane.build("libnatskv", || library(dev)) {
        return;
    }
    examples(lane);
    installed(lane);
    let Some(program) = built(lane) else { return };
    let mut all_else = dev.command(&program);
    all_else.arg(ALL_ELSE);
    let plain = ("tests/real/c".to_owned(), all_else);
    if let Some(why) = lane.missing.get(&Need::Valgrind) {
        let why = why.clone();
        lane.tests_together(vec![plain]);
        return lane.skip("tests/real/c under valgrind", &why);
    }
    let under_valgrind = [("", ALL_ELSE), (", scenarios", TYPED), (", execute", EXECUTE)].map(|(suffix, only)| {
        let mut valgrind = dev.command("valgrind");
        valgrind
            .env("NATSKV_SMALL", "1")
            .args(["--quiet", "--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=definite,possible"])
            .arg("--suppressions=tests/real/c/valgrind.supp")
            .arg(&program)
            .arg(only);
        (format!("tests/real/c under valgrind{suffix}"), valgrind)
    });
    lane.tests_together(under_valgrind.into_iter().chain([plain]).collect());
}

/// Parts of tests/real/c.
const ALL_ELSE: &str = "-scenario";
const TYPED: &str = "typed scenario";
const EXECUTE: &str = "execute scenario";

/// The scenarios through the library: the typed functions, and natskv_execute.
pub(crate) fn scenarios(lane: &mut Lane<'_>) -> Vec<(String, Command)> {
    let dev = lane.dev;
    if !lane.build("libnatskv", || library(dev)) {
        return Vec::new();
    }
    let Some(program) = built(lane) else { return Vec::new() };
    let scenarios = |(only, what): (&str, &str)| {
        let mut scenarios = dev.command(&program);
        scenarios.arg(only);
        (what.to_owned(), scenarios)
    };
    [(TYPED, "C"), (EXECUTE, "C, execute")].map(scenarios).into()
}

/// tests/real/c with a sanitizer, in the library and in the tests.
pub(crate) fn sanitized(lane: &mut Lane<'_>, kind: &'static str, options: &str) {
    let dev = lane.dev;
    let mut program = PathBuf::new();
    let what = format!("tests/real/c with the sanitizer of {kind}");
    let build = || {
        let library = sanitizer::build(dev, "natskv-c", kind)?.join("libnatskv.a");
        let mut flags = vec![format!("-fsanitize={kind}"), "-fno-omit-frame-pointer".into()];
        if kind == "thread" {
            flags.push(sanitizer::MISSING_NAMES.into());
        }
        program = suite(dev, &format!("suite-{kind}"), &flags, &library)?;
        Ok(())
    };
    if lane.build(&what, build) {
        let mut tests = dev.command(&program);
        tests.arg("-scenario").env("NATSKV_SMALL", "1");
        lane.tests(&what, tests.env(format!("{}SAN_OPTIONS", &kind[..1].to_uppercase()), options));
    }
}

fn built(lane: &mut Lane<'_>) -> Option<PathBuf> {
    let dev = lane.dev;
    let mut program = None;
    let library = Path::new("target/debug/libnatskv.a");
    lane.build("tests/real/c", || suite(dev, "suite", &[], library).map(|built| program = Some(built)));
    program
}

/// libnatskv.a and libnatskv.so in target/debug.
fn library(dev: &Dev) -> Result<()> {
    check(&mut dev.cargo(["build", "--quiet", "-p", "natskv-c"]), &log(dev, "library"), LIMIT)?;
    Ok(())
}

/// The test program, with the scenarios in it.
fn suite(dev: &Dev, name: &str, flags: &[String], library: &Path) -> Result<PathBuf> {
    let folder = folder(dev)?;
    let table = folder.join("scenarios_table.c");
    fs::write(&table, c_table::generate(&dev.root.join("tests/scenarios"), dev.release.level)?)?;
    let mut sources: Vec<PathBuf> = vec![table];
    for entry in fs::read_dir(dev.root.join("tests/real/c"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "c") {
            sources.push(path);
        }
    }
    sources.sort();
    let program = folder.join(name);
    let mut compile = compiler(dev, "CC", "cc");
    compile
        .args([
            "-std=c99",
            "-D_XOPEN_SOURCE=700",
            "-g",
            "-O1",
            "-Wno-missing-field-initializers",
            "-Wno-overlength-strings",
        ])
        .args(STRICT)
        .args(["-Ibindings-c/include", "-Itests/real/c"])
        .args(flags)
        .args(&sources);
    link(&mut compile, library, &program);
    check(&mut compile, &log(dev, name), LIMIT)?;
    Ok(program)
}

/// A program of these sources, with libnatskv in it.
pub(crate) fn program(dev: &Dev, name: &str, sources: &[&str]) -> Result<PathBuf> {
    library(dev)?;
    let program = folder(dev)?.join(name);
    let mut compile = compiler(dev, "CC", "cc");
    compile.args(["-std=c99", "-D_XOPEN_SOURCE=700", "-g", "-O1"]).args(STRICT);
    compile.args(["-Ibindings-c/include", "-Itests/real/c"]).args(sources);
    link(&mut compile, Path::new("target/debug/libnatskv.a"), &program);
    check(&mut compile, &log(dev, name), LIMIT)?;
    Ok(program)
}

/// Each example, without a warning, against a server.
fn examples(lane: &mut Lane<'_>) {
    let dev = lane.dev;
    let server = match Server::start(dev) {
        Ok(server) => server,
        Err(error) => return lane.failed("examples", &format!("{error:#}")),
    };
    for name in ["basic", "watch", "poll_loop"] {
        lane.test(&format!("examples/{name}.c"), || {
            let program = folder(dev)?.join(name);
            let mut compile = compiler(dev, "CC", "cc");
            compile
                .args(["-std=c99", "-D_POSIX_C_SOURCE=200809L", "-g"])
                .args(STRICT)
                .args(["-Ibindings-c/include", &format!("bindings-c/examples/{name}.c")]);
            link(&mut compile, Path::new("target/debug/libnatskv.a"), &program);
            check(&mut compile, &log(dev, name), LIMIT)?;
            check(dev.command(&program).arg(&server.url), &log(dev, name), LIMIT)?;
            server.has_no_consumers()
        });
    }
}

/// The library as a package would install it, found by pkg-config and by CMake.
fn installed(lane: &mut Lane<'_>) {
    let dev = lane.dev;
    let mut prefix = PathBuf::new();
    if !lane.build("a prefix like an installed one", || stage(dev).map(|staged| prefix = staged)) {
        return;
    }
    if dev.command("pkg-config").arg("--version").output().is_err() {
        lane.skip("natskv.pc", "no pkg-config here");
    } else {
        lane.test("natskv.pc", || {
            let script = "cc -o \"$1\" bindings-c/examples/basic.c $(pkg-config --cflags --libs natskv) -Wl,-rpath,\"$2/lib\" \
                          && readelf -d \"$1\" | grep -q 'libnatskv.so.0'";
            let mut build = dev.command("sh");
            build.args(["-c", script, "sh"]).arg(prefix.join("basic")).arg(&prefix);
            check(build.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")), &log(dev, "pc"), LIMIT)?;
            Ok(())
        });
    }
    if dev.command("cmake").arg("--version").output().is_err() {
        return lane.skip("natskvConfig.cmake", "no cmake here");
    }
    lane.test("natskvConfig.cmake", || {
        let project = prefix.join("project");
        fs::create_dir_all(&project)?;
        let example = dev.root.join("bindings-c/examples/basic.c");
        let lists = format!(
            "cmake_minimum_required(VERSION 3.16)\nproject(example C)\nfind_package(natskv REQUIRED)\n\
             add_executable(shared \"{0}\")\ntarget_link_libraries(shared natskv::natskv)\n\
             add_executable(static \"{0}\")\ntarget_link_libraries(static natskv::static)\n",
            example.display()
        );
        fs::write(project.join("CMakeLists.txt"), lists)?;
        let build = project.join("build");
        let mut configure = dev.command("cmake");
        configure.arg("-S").arg(&project).arg("-B").arg(&build);
        configure.arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display()));
        check(&mut configure, &log(dev, "cmake"), LIMIT)?;
        check(dev.command("cmake").arg("--build").arg(&build), &log(dev, "cmake"), LIMIT)?;
        Ok(())
    });
}

/// The tree that a release ships, of the debug build.
fn stage(dev: &Dev) -> Result<PathBuf> {
    let prefix = folder(dev)?.join("prefix");
    if prefix.exists() {
        fs::remove_dir_all(&prefix)?;
    }
    dist::c_tree(dev, "debug", &prefix)?;
    Ok(prefix)
}

fn header_alone(dev: &Dev, standard: &str) -> Command {
    let is_cpp = standard.starts_with("c++");
    let mut compile = if is_cpp { compiler(dev, "CXX", "c++") } else { compiler(dev, "CC", "cc") };
    compile.args(["-x", if is_cpp { "c++" } else { "c" }, &format!("-std={standard}"), "-Wconversion"]);
    compile.args(STRICT).args(["-fsyntax-only", HEADER]);
    compile
}

/// Every function of the header is called with NULL somewhere in nulls.c.
fn nothing_is_missing(dev: &Dev) -> Result<()> {
    let header = fs::read_to_string(dev.root.join(HEADER))?;
    let tests = fs::read_to_string(dev.root.join("tests/real/c/nulls.c"))?;
    let missing: Vec<_> =
        functions(&header).map(|(name, _)| name).filter(|name| !tests.contains(&format!("{name}("))).collect();
    ensure!(missing.is_empty(), "nulls.c does not call {}", missing.join(", "));
    Ok(())
}

fn threads_are_told(dev: &Dev) -> Result<()> {
    let header = fs::read_to_string(dev.root.join(HEADER))?;
    let silent: Vec<_> =
        functions(&header).filter(|(_, manual)| !manual.contains("thread")).map(|(name, _)| name).collect();
    ensure!(silent.is_empty(), "the manual says nothing of threads for {}", silent.join(", "));
    Ok(())
}

/// The functions of the header, each with its manual.
fn functions(header: &str) -> impl Iterator<Item = (&str, &str)> {
    header.split("/**").skip(1).filter_map(|part| {
        let (manual, code) = part.split_once("*/\n")?;
        let line =
            code.lines().next().filter(|line| !line.starts_with([' ', '#', '}']) && !line.starts_with("typedef"))?;
        let name = line[line.find("natskv_")?..].split_once('(')?.0;
        Some((name.rsplit([' ', '*']).next().unwrap_or(name), manual))
    })
}

pub(crate) fn compiler(dev: &Dev, variable: &str, default: &str) -> Command {
    dev.command(env::var_os(variable).unwrap_or_else(|| OsString::from(default)))
}

fn link(compile: &mut Command, library: &Path, program: &Path) {
    compile.arg(library).args(NATIVE_LIBRARIES).arg("-o").arg(program);
}

fn folder(dev: &Dev) -> Result<PathBuf> {
    let folder = dev.dev.join("c");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

fn log(dev: &Dev, what: &str) -> PathBuf {
    dev.dev.join("logs").join(format!("build-c-{what}.log"))
}
