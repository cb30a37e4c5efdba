//! What must hold of the pure rules for any input, against oracles that are written from PROTOCOL.md and not from core.
//!
//! A counterexample is kept in regressions.txt and tried first from then on.

mod codecs;
mod configs;
mod filters;
mod headers;
mod keys;
mod oracle;

use proptest::test_runner::{Config, FileFailurePersistence};

/// So many inputs for a property.
fn tries(cases: u32) -> Config {
    let kept = FileFailurePersistence::Direct("properties/regressions.txt");
    Config { cases, failure_persistence: Some(Box::new(kept)), ..Config::default() }
}
