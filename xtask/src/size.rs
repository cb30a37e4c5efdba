//! `cargo xtask size`: how big what users get is, beside where it has to be; and what it may not grow beyond.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::dev::Dev;
use crate::dist;
use crate::lane::LIMIT;
use crate::run::check;
use crate::setup::{Need, setup};

/// What the npm package needs to be built.
pub(crate) const NEEDS: [Need; 2] = [Need::Node, Need::Wasm];

/// Something that users get, in bytes.
struct Bound {
    what: &'static str,
    /// What it may not grow beyond: the bar where it is reached, else what it was when it was last looked at, and 3 % more.
    most: u64,
    /// A release is not bigger; none was set for the others.
    bar: Option<u64>,
    /// What we are after.
    goal: Option<u64>,
}

const fn bound(what: &'static str, most: u64) -> Bound {
    Bound { what, most, bar: None, goal: None }
}

/// The test run looks at these, since it builds the package anyway.
const NPM: &[Bound] = &[
    bound("npm: wasm", 259_300),
    bound("npm: wasm, gzip", 118_400),
    bound("npm: wasm, brotli", 102_300),
    bound("npm: glue, gzip", 13_500),
    bound("npm: glue, brotli", 12_200),
    Bound { bar: Some(65_000), ..bound("npm: a page loads, gzip", 131_800) },
    Bound { goal: Some(45_000), ..bound("npm: a page loads, brotli", 114_400) },
    bound("npm: tarball", 177_200),
];

/// Release builds with all optimisations take minutes, so only `cargo xtask size` looks at these.
const NATIVE: &[Bound] = &[
    Bound { bar: Some(1_500_000), goal: Some(800_000), ..bound("PyPI: wheel", 1_500_000) },
    bound("C: libnatskv.so, stripped", 2_887_000),
    bound("C: libnatskv.a, without debug information", 29_090_000),
];

/// Prints all sizes; whether each is within its bound.
pub(crate) fn size(dev: &Dev) -> Result<bool> {
    let missing = setup(dev, &[Need::Python, Need::Node, Need::Wasm]);
    ensure!(missing.is_empty(), "nothing can be built without what set-up could not install");
    let sizes = [npm(dev)?, native(dev)?].concat();
    println!("\n{:<44}{:>12}{:>12}{:>12}{:>12}", "bytes", "now", "bar", "goal", "at most");
    let number = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
    let mut is_bounded = true;
    for (Bound { what, most, bar, goal }, size) in NPM.iter().chain(NATIVE).zip(sizes) {
        is_bounded &= size <= *most;
        let verdict = match (bar, goal) {
            _ if size > *most => "  TOO BIG",
            (Some(bar), _) if size > *bar => "  over its bar",
            (_, Some(goal)) if size > *goal => "  over its goal",
            _ => "",
        };
        println!("{what:<44}{size:>12}{:>12}{:>12}{most:>12}{verdict}", number(*bar), number(*goal));
    }
    Ok(is_bounded)
}

/// Fails when the npm package is bigger than its bounds.
pub(crate) fn npm_has_not_grown(dev: &Dev) -> Result<()> {
    are_bounded(&npm(dev)?)
}

fn are_bounded(sizes: &[u64]) -> Result<()> {
    let too_big = NPM.iter().zip(sizes).filter(|(bound, size)| **size > bound.most);
    let lines: Vec<String> =
        too_big.map(|(Bound { what, most, .. }, size)| format!("{what}: {size} bytes, at most {most}")).collect();
    ensure!(lines.is_empty(), "{}\nIf that is meant, change the bounds in xtask/src/size.rs", lines.join("\n"));
    Ok(())
}

/// In the order of `NPM`.
fn npm(dev: &Dev) -> Result<Vec<u64>> {
    let tarball = dist::npm(dev, &folder(dev)).context("the npm package")?;
    let package = dev.dev.join("npm/natskv/dist");
    let [wasm, wasm_gzip, wasm_brotli] = compressed(&package.join("natskv_bg.wasm"))?;
    let [_, glue_gzip, glue_brotli] = compressed(&package.join("index.js"))?;
    let (gzip, brotli) = (wasm_gzip + glue_gzip, wasm_brotli + glue_brotli);
    Ok(vec![wasm, wasm_gzip, wasm_brotli, glue_gzip, glue_brotli, gzip, brotli, bytes(&tarball)?])
}

/// In the order of `NATIVE`.
fn native(dev: &Dev) -> Result<Vec<u64>> {
    let folder = folder(dev);
    let wheel = dist::wheel(dev, &folder).context("the wheel")?;
    let mut sizes = vec![bytes(&wheel)?];
    println!("Building the C library …");
    let log = dev.dev.join("logs").join("size-c.log");
    check(&mut dev.cargo(["build", "--quiet", "--release", "-p", "natskv-c"]), &log, LIMIT)?;
    for (file, how) in [("libnatskv.so", "--strip-all"), ("libnatskv.a", "--strip-debug")] {
        let stripped = folder.join(file);
        let mut strip = dev.command("strip");
        strip.arg(how).arg("-o").arg(&stripped).arg(dev.root.join("target/release").join(file));
        check(&mut strip, &log, LIMIT)?;
        sizes.push(bytes(&stripped)?);
    }
    Ok(sizes)
}

fn folder(dev: &Dev) -> PathBuf {
    dev.root.join("target").join("size")
}

fn bytes(file: &PathBuf) -> Result<u64> {
    Ok(fs::metadata(file).with_context(|| format!("no {}", file.display()))?.len())
}

/// The size of a file, of its gzip and of its brotli, each at its best: what a web server sends.
pub(crate) fn compressed(file: &Path) -> Result<[u64; 3]> {
    const SCRIPT: &str = r#"
        const { readFileSync } = require("fs"), { gzipSync, brotliCompressSync } = require("zlib");
        const bytes = readFileSync(process.argv[1]);
        console.log(bytes.length, gzipSync(bytes, { level: 9 }).length, brotliCompressSync(bytes).length);
    "#;
    let output = Command::new("node").args(["-e", SCRIPT]).arg(file).output().context("cannot start node")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    numbers.try_into().ok().with_context(|| format!("{}: {}", file.display(), String::from_utf8_lossy(&output.stderr)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_more_than_the_bound_is_refused() {
        let mut sizes: Vec<u64> = NPM.iter().map(|bound| bound.most).collect();
        assert!(are_bounded(&sizes).is_ok());

        sizes[3] += 1;

        assert!(are_bounded(&sizes).is_err());
    }
}
