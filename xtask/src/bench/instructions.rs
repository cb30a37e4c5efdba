//! Instructions of core's hot paths, counted by callgrind: the same number in every run of the same code, on a busy machine too.
//!
//! They are those of x86-64 and of the pinned rustc's release profile. Input is fixed, core has no clock and no entropy of its own,
//! and glibc is told to copy bytes as on the plainest processor.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::dev::Dev;
use crate::lane::LIMIT;
use crate::run::check;
use crate::setup::{Need, setup};

/// What was counted when it was last decided to keep it.
const KEPT: &str = "tests/bench/instructions.json";
/// How much more is still taken for the same.
const GROWTH: f64 = 0.03;
/// The function of tests/bench/instructions whose calls are counted, each by itself.
const MEASURED: &str = "natskv_measured";
/// Which copying routines glibc picks depends on the processor, if it is not told.
const PLAIN: &str = "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX2,-AVX,-ERMS,-FSRM,-AVX_Fast_Unaligned_Load";

/// What, how many of it in one go, and the instructions of all of them.
type Counts = BTreeMap<String, BTreeMap<usize, u64>>;

/// `cargo xtask bench instructions`: counts and tells; with `is_kept` writes the file, else compares with it.
pub(crate) fn instructions(dev: &Dev, is_kept: bool) -> Result<()> {
    if let Some(why) = setup(dev, &[Need::Valgrind]).get(&Need::Valgrind) {
        bail!("{why}");
    }
    let counts = count(dev)?;
    let kept = kept(dev).unwrap_or_default();
    println!("{:<18}{:>8}{:>14}{:>14}{:>9}", "", "at once", "instructions", "of each", "change");
    for (what, depth, found) in all(&counts) {
        let change =
            number(&kept, what, depth).map_or_else(String::new, |old| format!("{:+.1} %", growth(found, old) * 100.0));
        println!("{what:<18}{depth:>8}{found:>14}{:>14.0}{change:>9}", found as f64 / depth as f64);
    }
    if !is_kept {
        return compare(&counts, &kept);
    }
    let text = serde_json::to_string_pretty(&json!(counts))?;
    fs::write(dev.root.join(KEPT), text + "\n").with_context(|| format!("cannot write {KEPT}"))?;
    println!("{KEPT} written");
    Ok(())
}

/// Why nothing can be counted here, though valgrind is there.
pub(crate) fn hindrance() -> Option<&'static str> {
    (!cfg!(all(target_arch = "x86_64", target_os = "linux"))).then_some("the counts are those of Linux on x86-64")
}

/// Fails when one grew by more than `GROWTH`.
pub(crate) fn have_not_grown(dev: &Dev) -> Result<()> {
    compare(&count(dev)?, &kept(dev)?)
}

fn compare(counts: &Counts, kept: &Counts) -> Result<()> {
    let mut grown = Vec::new();
    for (what, depth, found) in all(counts) {
        match number(kept, what, depth) {
            None => grown.push(format!("{what}, {depth} at once: not in {KEPT}")),
            Some(old) if growth(found, old) > GROWTH => {
                grown.push(format!(
                    "{what}, {depth} at once: {old} grew to {found}, by {:.1} %",
                    growth(found, old) * 100.0
                ));
            }
            Some(_) => {}
        }
    }
    let gone = all(kept).filter(|(what, depth, _)| number(counts, what, *depth).is_none());
    grown.extend(gone.map(|(what, depth, _)| format!("{what}, {depth} at once: is not counted any more")));
    ensure!(
        grown.is_empty(),
        "{}\nIf that is meant, commit what `cargo xtask bench instructions --keep` writes",
        grown.join("\n")
    );
    Ok(())
}

fn all(counts: &Counts) -> impl Iterator<Item = (&str, usize, u64)> {
    counts.iter().flat_map(|(what, depths)| depths.iter().map(move |(depth, count)| (what.as_str(), *depth, *count)))
}

fn number(counts: &Counts, what: &str, depth: usize) -> Option<u64> {
    counts.get(what)?.get(&depth).copied()
}

fn growth(new: u64, old: u64) -> f64 {
    new as f64 / old as f64 - 1.0
}

fn kept(dev: &Dev) -> Result<Counts> {
    let text = fs::read_to_string(dev.root.join(KEPT)).with_context(|| format!("no {KEPT}"))?;
    let value: Value = serde_json::from_str(&text).with_context(|| format!("{KEPT} is no JSON"))?;
    let rows = value.as_object().with_context(|| format!("{KEPT} is no object"))?;
    let depths = |depths: &Value| -> Option<BTreeMap<usize, u64>> {
        depths.as_object()?.iter().map(|(depth, count)| Some((depth.parse().ok()?, count.as_u64()?))).collect()
    };
    let counts = rows.iter().map(|(what, row)| Some((what.clone(), depths(row)?)));
    counts.collect::<Option<Counts>>().with_context(|| format!("{KEPT} holds something else than numbers of numbers"))
}

/// callgrind writes a file for each call of `MEASURED`, in the order in which the program prints their names.
fn count(dev: &Dev) -> Result<Counts> {
    let logs = dev.dev.join("logs");
    let mut build = dev.cargo(["build", "--quiet", "--release", "-p", "natskv-instructions"]);
    check(&mut build, &logs.join("bench-build-instructions.log"), LIMIT)?;
    let folder = dev.dev.join("callgrind");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let out = folder.join("out");
    let mut valgrind = dev.command("valgrind");
    valgrind.env("GLIBC_TUNABLES", PLAIN);
    valgrind.args(["--quiet", "--tool=callgrind", "--collect-atstart=no"]);
    valgrind.arg(format!("--toggle-collect={MEASURED}")).arg(format!("--dump-after={MEASURED}"));
    valgrind.arg(format!("--callgrind-out-file={}", out.display())).arg(dev.root.join("target/release/instructions"));
    let ran = check(&mut valgrind, &logs.join("bench-instructions.log"), LIMIT)?;
    let mut counts = Counts::new();
    for (at, line) in ran.output.lines().filter(|line| line.contains('\t')).enumerate() {
        let (what, depth) = line.split_once('\t').context("a line without a tab")?;
        let total = total(&folder.join(format!("out.{}", at + 1)))?;
        counts.entry(what.to_owned()).or_default().insert(depth.parse().with_context(|| line.to_owned())?, total);
    }
    ensure!(!counts.is_empty(), "nothing was counted: {}", ran.output);
    Ok(counts)
}

fn total(file: &Path) -> Result<u64> {
    let text = fs::read_to_string(file).with_context(|| format!("no {}", file.display()))?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok());
    total.filter(|total| *total > 0).with_context(|| format!("{} tells no total", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(rows: &[(&str, usize, u64)]) -> Counts {
        let mut counts = Counts::new();
        for (what, depth, count) in rows {
            counts.entry((*what).to_owned()).or_default().insert(*depth, *count);
        }
        counts
    }

    #[test]
    fn what_grows_by_more_than_three_percent_is_refused() {
        let kept = counts(&[("a get", 1, 1000), ("a get", 64, 50_000)]);

        assert!(compare(&counts(&[("a get", 1, 1029), ("a get", 64, 10)]), &kept).is_ok());
        assert!(compare(&counts(&[("a get", 1, 1031), ("a get", 64, 50_000)]), &kept).is_err());
    }

    #[test]
    fn what_is_new_and_what_is_gone_is_refused() {
        let kept = counts(&[("a get", 1, 1000)]);

        assert!(compare(&counts(&[("a get", 1, 1000), ("a put", 1, 1)]), &kept).is_err());
        assert!(compare(&counts(&[]), &kept).is_err());
    }
}
