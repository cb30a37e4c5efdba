//! What hurts natskv on purpose: the simulation, and what else takes as long as one lets it.

use std::process::Command;

use anyhow::{Context, Result};

use crate::dev::Dev;
use crate::run::words;

/// The simulation with these arguments; without any it plays its fixed seeds.
pub(crate) fn sim(dev: &Dev, arguments: &[String]) -> Command {
    let mut cargo = dev.cargo(["test", "--profile", "sim", "-p", "natskv-tests", "--test", "sim", "--"]);
    cargo.args(arguments);
    cargo
}

/// Explores for so long, or plays one seed; whether nothing failed.
pub(crate) fn explore(dev: &Dev, minutes: Option<u64>, seed: Option<u64>) -> Result<bool> {
    let minutes = if seed.is_none() { minutes.or(Some(5)) } else { minutes };
    let options = [("--minutes", minutes), ("--seed", seed)];
    let given = options.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let arguments: Vec<String> = given.flat_map(|(name, value)| [name.to_owned(), value.to_string()]).collect();
    here(&mut sim(dev, &arguments))
}

/// Runs a command whose output is for whoever sits here; whether it ended well.
fn here(command: &mut Command) -> Result<bool> {
    let status = command.status().with_context(|| format!("cannot start {}", words(command)))?;
    Ok(status.success())
}
