//! The history of each key as clients saw it, for the checker that knows nothing of the server.

use std::collections::BTreeMap;

use natskv_core::{Error, ErrorCode, Outcome};
use natskv_kit::linear::{self, Attempt, Condition, What};

use crate::{judge::Name, plan::BucketPlan, work::Call};

#[derive(Debug, Default)]
pub(crate) struct Recorder {
    clock: u64,
    /// By stream and key.
    histories: BTreeMap<(u64, String), Vec<Attempt>>,
}

/// Where an operation was at work.
#[derive(Debug)]
pub(crate) struct Recorded<'a> {
    pub(crate) stream: u64,
    pub(crate) bucket: &'a BucketPlan,
    pub(crate) keys: &'a [&'static str],
    pub(crate) reads_leader: bool,
}

fn number(value: &[u8]) -> Option<u64> {
    match Name::of(&[], value) {
        Name::Value(number) => Some(number),
        _ => None,
    }
}

impl Recorder {
    /// A moment of its own.
    pub(crate) const fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    pub(crate) fn record(&mut self, at: &Recorded<'_>, call: &Call, start: u64, result: &Result<Outcome, Error>) {
        let end = self.tick();
        let mut add = |key: &str, what: What| {
            let history = self.histories.entry((at.stream, key.to_owned())).or_default();
            history.push(Attempt { start, end, what });
        };
        let condition = |expected: &Option<u64>| expected.map_or(Condition::Always, Condition::At);
        match call {
            Call::Put { key, value, .. } => write(&mut add, key, number(value), Condition::Always, result),
            Call::Update { key, value, expected } => {
                write(&mut add, key, number(value), Condition::At(*expected), result);
            }
            Call::Create { key, value, .. } => write(&mut add, key, number(value), Condition::Absent, result),
            Call::Delete { key, expected } | Call::Purge { key, expected, .. } => {
                write(&mut add, key, None, condition(expected), result);
            }
            Call::PutMany { items } => {
                for (index, (key, value)) in items.iter().enumerate() {
                    let of_item = match result {
                        Ok(Outcome::Written(results)) => results[index].clone().map(Outcome::Revision),
                        Ok(_) => continue,
                        Err(error) => Err(error.clone()),
                    };
                    write(&mut add, key, number(value), Condition::Always, &of_item);
                }
            }
            Call::Clear { prefix } => {
                let filters = [at.bucket.subject(prefix), at.bucket.subject(&format!("{prefix}.>"))];
                let is_its = |key: &&&str| {
                    filters.iter().any(|filter| natskv_kit::fake::matches(filter, &at.bucket.subject(key)))
                };
                for key in at.keys.iter().filter(is_its) {
                    add(key, What::MayHaveWritten { value: None, condition: Condition::Always });
                }
            }
            Call::Get { key, revision: None } | Call::Entry { key } if at.reads_leader => match result {
                Ok(Outcome::Entry(entry)) if !entry.is_marker() => {
                    add(key, What::Read(number(entry.value()).map(|value| (entry.revision, value))));
                }
                Ok(_) => add(key, What::Read(None)),
                Err(error) if error.code == ErrorCode::KeyNotFound => add(key, What::Read(None)),
                Err(_) => {}
            },
            _ => {}
        }
    }

    pub(crate) fn check(&self, is_wanted: impl Fn(u64) -> bool) -> Result<(), String> {
        for ((_, key), history) in self.histories.iter().filter(|((stream, _), _)| is_wanted(*stream)) {
            linear::check(history).map_err(|why| format!("the history of {key:?} cannot have been: {why}"))?;
        }
        Ok(())
    }
}

fn write(
    add: &mut impl FnMut(&str, What),
    key: &str,
    value: Option<u64>,
    condition: Condition,
    result: &Result<Outcome, Error>,
) {
    match result {
        Ok(Outcome::Revision(revision)) => add(key, What::Wrote { revision: *revision, value, condition }),
        Err(error) if error.maybe_applied => add(key, What::MayHaveWritten { value, condition }),
        // Whoever lost several rounds, or to a write that was lost in an election, has not seen what was in the way.
        Err(error)
            if matches!(error.code, ErrorCode::WrongRevision | ErrorCode::KeyExists)
                && error.revision.is_some()
                && condition != Condition::Always =>
        {
            add(key, What::Refused { condition });
        }
        _ => {}
    }
}
