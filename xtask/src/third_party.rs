//! The licences of the crates that are inside what a release publishes, with their texts, as these ask for.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::dev::Dev;

/// What the file is called beside LICENSE: npm and maturin take whatever begins so.
pub(crate) const FILE: &str = "LICENSE.third-party.txt";

/// The text for what is built of `package`, for `target` if not for this machine.
pub(crate) fn licences(dev: &Dev, package: &str, target: Option<&str>) -> Result<String> {
    let mut tree = dev.cargo(["tree", "--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}"]);
    tree.args(["--package", package]).args(target.map(|target| format!("--target={target}")));
    let tree = tree.output().context("cargo tree")?;
    ensure!(tree.status.success(), "cargo tree: {}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout)?;
    // "name v1.2.3", with a path behind it for those of this repository
    let mut crates: Vec<(&str, &str)> = tree
        .lines()
        .filter(|line| !line.contains(" (/"))
        .filter_map(|line| line.trim_end_matches(" (*)").split_once(" v"))
        .collect();
    crates.sort_unstable();
    crates.dedup();
    ensure!(!crates.is_empty(), "cargo tree names no crate in {package}");
    let output = dev.cargo(["metadata", "--format-version", "1"]).output().context("cargo metadata")?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata gave no JSON")?;
    let known = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    let mut text = format!("{package} contains these works of others, each under its own licence:\n\n");
    let mut texts: Vec<(String, Vec<&str>)> = Vec::new(); // many share one
    for (name, version) in crates {
        let found = known.iter().find(|known| known["name"] == name && known["version"] == version);
        let found = found.with_context(|| format!("cargo metadata knows no {name} {version}"))?;
        let manifest = Path::new(found["manifest_path"].as_str().context("a path")?);
        let _ = writeln!(text, "{name} {version}: {}", found["license"].as_str().unwrap_or("see below"));
        for file in files(manifest.parent().context("a folder")?)? {
            let terms = fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
            match texts.iter_mut().find(|(known, _)| *known == terms) {
                Some((_, names)) => names.push(name),
                None => texts.push((terms, vec![name])),
            }
        }
    }
    for (terms, names) in texts {
        let _ = write!(text, "\n{}\n{}\n\n{}\n", "=".repeat(80), names.join(", "), terms.trim_end());
    }
    Ok(text)
}

/// The files of a crate that hold its licence.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("{}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        if path.is_file() && ["LICENSE", "LICENCE", "COPYING", "NOTICE"].iter().any(|start| name.starts_with(start)) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inside_is_named_with_its_text() {
        let text = licences(&Dev::new(), "natskv-c", None).expect("licences");
        for name in ["ring", "rustls", "rustls-webpki", "ed25519-compact"] {
            assert!(text.contains(&format!("\n{name} ")), "{name} is missing: {text}");
        }
        assert!(text.contains("Permission to use, copy, modify, and/or distribute this software"), "ring's terms");
        assert!(!text.contains("proc-macro2") && !text.contains("natskv-core"));
    }
}
