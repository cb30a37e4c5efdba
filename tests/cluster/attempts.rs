//! What the clients attempted, and whether it can have been.

use std::collections::{BTreeMap, BTreeSet};

use natskv_core::Entry;
use natskv_kit::linear::{self, Attempt, Condition, What};

#[derive(Debug, Default)]
pub(crate) struct Attempts {
    by_key: BTreeMap<String, Vec<Attempt>>,
    /// Ends of writes that were acknowledged: when they were begun, and when that was told.
    pub(crate) written: BTreeMap<usize, Vec<(u64, u64)>>,
    counts: BTreeMap<String, u64>,
}

impl Attempts {
    /// Takes in what a client told; false: that is no attempt.
    pub(crate) fn learn(&mut self, client: usize, line: &str) -> bool {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok());
        let condition = |expected: Option<u64>| {
            if expected == Some(0) { Condition::Absent } else { Condition::At(expected.unwrap_or(0)) }
        };
        let what = match words[0] {
            "wrote" => {
                let times = (number(2).unwrap_or_default(), number(3).unwrap_or_default());
                self.written.entry(client).or_default().push(times);
                // Peers put, and expect nothing.
                let Some(expected) = number(6) else { return true };
                let (value, revision) = (number(4), number(5).unwrap_or_default());
                What::Wrote { revision, value, condition: condition(Some(expected)) }
            }
            "maybe" => What::MayHaveWritten { value: number(4), condition: condition(number(5)) },
            // Who is not told what was in the way may have met a write that was lost with its leader.
            "refused" if number(5) == Some(0) => {
                self.count("refused, by what is not told");
                return true;
            }
            "refused" => What::Refused { condition: condition(number(4)) },
            "read" => What::Read(number(4).zip(number(5)).filter(|(revision, _)| *revision > 0)),
            "failed" => {
                self.count(&format!("failed {}", words.last().unwrap_or(&"")));
                return true;
            }
            _ => return false,
        };
        self.count(words[0]);
        let (start, end) = (number(2).unwrap_or_default(), number(3).unwrap_or_default());
        self.by_key.entry(words[1].to_owned()).or_default().push(Attempt { start, end, what });
        true
    }

    fn count(&mut self, what: &str) {
        *self.counts.entry(what.to_owned()).or_default() += 1;
    }

    pub(crate) fn sum(&self) -> String {
        let counts: Vec<String> = self.counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
        counts.join(", ")
    }

    /// The newest moment that anybody told of.
    pub(crate) fn now(&self) -> u64 {
        self.written.values().filter_map(|times| times.last()).map(|(_, end)| *end).max().unwrap_or_default()
    }

    pub(crate) fn check_history(&self) -> Result<(), String> {
        for (key, history) in &self.by_key {
            linear::check(history).map_err(|why| format!("{key}: {why}"))?;
        }
        Ok(())
    }

    /// What the bucket keeps has every acknowledged write, from the oldest that it keeps of a key on.
    pub(crate) fn check_kept(&self, kept: &[Entry]) -> Result<(), String> {
        for (key, history) in &self.by_key {
            let of_key: BTreeSet<(u64, u64)> = kept
                .iter()
                .filter(|entry| entry.key() == key)
                .map(|entry| (entry.revision, String::from_utf8_lossy(entry.value()).parse().unwrap_or_default()))
                .collect();
            let oldest = of_key.first().map_or(u64::MAX, |(revision, _)| *revision);
            let newest = of_key.last().map_or(0, |(revision, _)| *revision);
            for attempt in history {
                let What::Wrote { revision, value, .. } = &attempt.what else { continue };
                let is_kept = value.is_some_and(|value| of_key.contains(&(*revision, value)));
                if (*revision >= oldest || *revision > newest) && !is_kept {
                    return Err(format!("{key} at {revision} was acknowledged, and is not there: {attempt:?}"));
                }
            }
        }
        Ok(())
    }
}
