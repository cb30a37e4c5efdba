//! `cargo xtask peers`: natskv and the clients that others wrote take the same checks; tests/peers has them.

use anyhow::{Context, Result, bail};

use crate::build;
use crate::dev::Dev;
use crate::setup::{Need, setup};

/// Prints who passes what; whether natskv passes all.
pub(crate) fn peers(dev: &Dev) -> Result<bool> {
    let missing = setup(dev, &[Need::Server, Need::Python, Need::NatsKeyValue, Need::Node, Need::Wasm]);
    if let Some((_, why)) = missing.iter().find(|(need, _)| **need != Need::NatsKeyValue) {
        bail!("set-up failed: {why}");
    }
    build::python(dev)?;
    build::web(dev)?;
    let mut table = dev.command(dev.venv("python"));
    let status = table.arg("tests/peers/table.py").status().context("tests/peers/table.py does not start")?;
    Ok(status.success())
}
