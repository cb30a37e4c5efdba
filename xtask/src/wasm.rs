//! Builds the npm package `natskv` into target/dev/npm/natskv: Rust to wasm, bindgen, wasm-opt, TypeScript, sizes.
//!
//! Every tool is pinned: the nightly rustc by force.rs, wasm-bindgen by Cargo.lock (it is a library here, so crate and
//! tool cannot disagree), the npm tools by xtask/npm/package-lock.json, which `npm ci` puts into target/dev/node.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};
use wasm_bindgen_cli_support::Bindgen;

use crate::{
    dev::Dev,
    force::{nightly, nightly_cargo},
    size,
};

/// The npm package that users install. Gives its directory.
pub(crate) fn build(all: &Dev) -> Result<PathBuf> {
    let Dev { root, dev, .. } = all;
    let tools = dev.join("node/node_modules");
    ensure!(
        tools.join("esbuild").exists(),
        "the npm tools are missing: copy xtask/npm/* and xtask/npm/.npmrc to target/dev/node and run `npm ci --ignore-scripts` there"
    );
    let package = dev.join("npm/natskv");
    let dist = package.join("dist");
    let wasm = compile(all)?;
    let (stamp, made_of) = (dev.join("npm/made-of"), made_of(root, &wasm)?);
    if fs::read_to_string(&stamp).is_ok_and(|old| old == made_of) {
        return Ok(package);
    }
    for old in [&stamp, &package] {
        if old.is_dir() {
            fs::remove_dir_all(old)?;
        } else if old.exists() {
            fs::remove_file(old)?;
        }
    }
    fs::create_dir_all(&dist)?;

    let engine = bind(root, &wasm)?;
    shrink(&tools, &engine.join("natskv_bg.wasm"), &dist.join("natskv_bg.wasm"))?;
    bundle(root, &tools, &engine, "index.ts", &dist.join("index.js"), &["--platform=browser", "--minify"])?;
    bundle(root, &tools, &engine, "node.ts", &dist.join("node.js"), &["--platform=node", "--external:ws"])?;
    declare(root, &tools, &dev.join("npm/types"), &dist)?;
    for file in ["package.json", "README.md"] {
        fs::copy(root.join("bindings-wasm").join(file), package.join(file))
            .with_context(|| format!("bindings-wasm/{file}"))?;
    }
    if root.join("LICENSE").exists() {
        fs::copy(root.join("LICENSE"), package.join("LICENSE"))?;
    }
    sizes(&dist)?;
    fs::write(&stamp, made_of)?;
    Ok(package)
}

/// A word that changes when anything does that the package is made of; what takes long is then done again.
fn made_of(root: &Path, wasm: &Path) -> Result<String> {
    let mut files = vec![
        wasm.to_owned(),
        root.join("LICENSE"),
        root.join("xtask/src/wasm.rs"),
        root.join("xtask/npm/package-lock.json"),
    ];
    let mut folders = vec![root.join("bindings-wasm")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        (&file, fs::read(&file).ok()).hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

/// `tsc --strict` over the sources, which also makes the declarations; and over a program as users write it.
pub(crate) fn check_types(root: &Path) -> Result<()> {
    let tools = root.join("target/dev/node/node_modules");
    run("tsc, a user's program", tsc(&tools).arg("--project").arg(root.join("tests/real/web/types/tsconfig.json")))
}

/// By the nightly compiler, since only that builds the standard library anew: small, and with panics that say nothing. Nobody
/// could read them: a panic aborts the instance, and what JavaScript gets to see is a `RuntimeError` either way.
fn compile(dev: &Dev) -> Result<PathBuf> {
    const TARGET: &str = "wasm32-unknown-unknown";
    nightly(dev, &["rust-src"])?;
    run(
        "cargo build for wasm32",
        nightly_cargo(dev)
            .args(["build", "--quiet", "--package", "natskv-wasm", "--profile", "wasm", "--target", TARGET])
            .args(["-Zbuild-std=std,panic_abort", "-Zbuild-std-features=optimize_for_size", "--target-dir"])
            .arg(dev.root.join("target"))
            .env(
                "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS",
                "-Zunstable-options -Cpanic=immediate-abort -Zlocation-detail=none -Zfmt-debug=none",
            ),
    )?;
    Ok(dev.root.join("target").join(TARGET).join("wasm/natskv_wasm.wasm"))
}

fn bind(root: &Path, wasm: &Path) -> Result<PathBuf> {
    let engine = root.join("target/dev/npm/engine");
    let mut bindgen = Bindgen::new();
    // Where the .wasm lies is said by ts/index.ts and ts/node.ts, so the glue needs no guess of its own.
    bindgen.input_path(wasm).out_name("natskv").typescript(true).omit_default_module_path(true).web(true)?;
    bindgen.generate(&engine).context("wasm-bindgen")?;
    Ok(engine)
}

fn shrink(tools: &Path, from: &Path, to: &Path) -> Result<()> {
    let mut wasm_opt = node(&tools.join("binaryen/bin/wasm-opt"));
    // Nothing lies below 1 KiB but the far end of the stack, which lets address arithmetic fold. Control flow written anew from
    // scratch is a percent smaller.
    wasm_opt.arg(from).arg("-o").arg(to).args(["-Oz", "--low-memory-unused", "--strip-debug", "--strip-producers"]);
    wasm_opt.args(["--flatten", "--rereloop", "-Oz", "-Oz"]);
    run("wasm-opt", &mut wasm_opt)
}

fn bundle(root: &Path, tools: &Path, engine: &Path, entry: &str, to: &Path, options: &[&str]) -> Result<()> {
    let mut esbuild = node(&tools.join("esbuild/bin/esbuild"));
    esbuild
        .arg(root.join("bindings-wasm/ts").join(entry))
        .args(["--bundle", "--format=esm", "--target=es2022", "--log-level=warning"])
        .arg(format!("--alias:natskv-engine={}", engine.join("natskv.js").display()))
        .arg(format!("--define:NATSKV_VERSION=\"{}\"", env!("CARGO_PKG_VERSION")))
        .arg(format!("--outfile={}", to.display()))
        .args(options);
    run("esbuild", &mut esbuild)
}

/// Checks the sources and ships the declarations that `index.d.ts` leads to; what is marked @internal is not in them.
fn declare(root: &Path, tools: &Path, types: &Path, dist: &Path) -> Result<()> {
    const PUBLIC: [&str; 7] = ["index", "api", "authenticators", "errors", "kv", "kvm", "types"];
    run("tsc --strict", tsc(tools).arg("--project").arg(root.join("bindings-wasm")).arg("--outDir").arg(types))?;
    for module in PUBLIC {
        let file = format!("{module}.d.ts");
        fs::copy(types.join(&file), dist.join(&file)).with_context(|| file)?;
    }
    Ok(())
}

fn tsc(tools: &Path) -> Command {
    node(&tools.join("typescript/bin/tsc"))
}

fn node(script: &Path) -> Command {
    let mut node = Command::new("node");
    node.arg(script);
    node
}

fn sizes(dist: &Path) -> Result<()> {
    let mut sum = [0; 3];
    let print = |what: &str, [raw, gzip, brotli]: [u64; 3]| {
        println!("{what:<16} {raw} bytes, gzip {gzip}, brotli {brotli}");
    };
    for file in ["natskv_bg.wasm", "index.js"] {
        let sizes = size::compressed(&dist.join(file))?;
        print(file, sizes);
        sum = [0, 1, 2].map(|at| sum[at] + sizes[at]);
    }
    print("a page loads", sum);
    Ok(())
}

fn run(what: &str, command: &mut Command) -> Result<()> {
    let status =
        command.status().with_context(|| format!("{what}: cannot start {}", command.get_program().display()))?;
    if !status.success() {
        bail!("{what} failed ({status})");
    }
    Ok(())
}
