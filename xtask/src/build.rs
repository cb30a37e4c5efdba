//! What the suites stand on, built when they need it.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::dev::Dev;
use crate::lane::{LIMIT, Lane};
use crate::run::{check, run};

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
