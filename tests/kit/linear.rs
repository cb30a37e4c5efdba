//! Whether what clients saw of one key can have happened in some order that keeps theirs: a checker over recorded histories.
//!
//! Revisions name their order, so nothing has to be searched: each write, refusal and read is held against the writes that must have
//! been before it, and those that cannot have been. A write that may have been stored is taken as stored where a read shows its value.

use std::collections::BTreeMap;

/// What a client did to a key, from when to when on one clock, and what it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub start: u64,
    pub end: u64,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Stored at this revision; `value` names what was written, None a marker.
    Wrote { revision: u64, value: Option<u64>, condition: Condition },
    /// It failed, and may have been stored.
    MayHaveWritten { value: Option<u64>, condition: Condition },
    /// Not stored, for its condition.
    Refused { condition: Condition },
    /// The newest: revision and value, or nothing or a marker.
    Read(Option<(u64, u64)>),
}

/// What has to be true for a write to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    Always,
    /// The key is at this revision.
    At(u64),
    /// The key has no value.
    Absent,
}

/// A write that was stored, or must have been.
#[derive(Debug)]
struct Stored<'a> {
    start: u64,
    /// By then it was stored.
    end: u64,
    value: Option<u64>,
    by: &'a Attempt,
}

/// Why the history of one key cannot have been; `Ok`: it can.
pub fn check(history: &[Attempt]) -> Result<(), String> {
    let stored = stored(history)?;
    let maybes: Vec<&Attempt> =
        history.iter().filter(|attempt| matches!(attempt.what, What::MayHaveWritten { .. })).collect();
    check_order(&stored)?;
    let order = Order::of(&stored);
    for attempt in history {
        match &attempt.what {
            What::Wrote { revision, condition, .. } => {
                check_condition(attempt, *revision, *condition, &stored, &maybes)?
            }
            What::Refused { condition } => check_refusal(attempt, *condition, &order, &maybes)?,
            What::Read(found) => check_read(attempt, *found, &order, &maybes)?,
            What::MayHaveWritten { .. } => {}
        }
    }
    Ok(())
}

/// The stored writes, and what makes it quick to ask which of them were over at a time: histories have a hundred thousand.
#[derive(Debug)]
struct Order<'a> {
    stored: &'a BTreeMap<u64, Stored<'a>>,
    /// By the time that a write was over: the newest revision of all that were over by then.
    newest_over: Vec<(u64, u64)>,
    /// By revision: when the first of it and all later ones began.
    first_start: BTreeMap<u64, u64>,
}

impl<'a> Order<'a> {
    fn of(stored: &'a BTreeMap<u64, Stored<'a>>) -> Self {
        let mut newest_over: Vec<(u64, u64)> = stored.iter().map(|(revision, write)| (write.end, *revision)).collect();
        newest_over.sort_unstable();
        let mut newest = 0;
        for (_, revision) in &mut newest_over {
            newest = newest.max(*revision);
            *revision = newest;
        }
        let mut first = u64::MAX;
        let from_the_end = stored.iter().rev().map(|(revision, write)| {
            first = first.min(write.start);
            (*revision, first)
        });
        Self { stored, newest_over, first_start: from_the_end.collect() }
    }

    /// The newest write that was over before this time.
    fn over_before(&self, time: u64) -> Option<(u64, &Stored<'a>)> {
        let count = self.newest_over.partition_point(|(end, _)| *end < time);
        let (_, revision) = self.newest_over.get(count.checked_sub(1)?)?;
        Some((*revision, self.stored.get(revision)?))
    }

    /// Whether a write of a later revision had begun before this time.
    fn has_later_begun(&self, revision: u64, time: u64) -> bool {
        self.first_start.range(revision + 1..).next().is_some_and(|(_, first)| *first < time)
    }
}

/// The writes that are known to be stored, by revision.
fn stored(history: &[Attempt]) -> Result<BTreeMap<u64, Stored<'_>>, String> {
    let mut stored: BTreeMap<u64, Stored<'_>> = BTreeMap::new();
    for by in history {
        let What::Wrote { revision, value, .. } = by.what else { continue };
        let write = Stored { start: by.start, end: by.end, value, by };
        if let Some(other) = stored.insert(revision, write) {
            return Err(format!("two writes are revision {revision}: {by:?} and {:?}", other.by));
        }
    }
    for read in history {
        let What::Read(Some((revision, value))) = read.what else { continue };
        match stored.get_mut(&revision) {
            Some(write) if write.value == Some(value) => write.end = write.end.min(read.end),
            Some(write) => return Err(format!("{read:?} shows another value than {:?} wrote", write.by)),
            None => {
                let is_its = |attempt: &&Attempt| matches!(attempt.what, What::MayHaveWritten { value: its, .. } if its == Some(value));
                let by = history.iter().find(is_its).ok_or_else(|| format!("{read:?} shows what nobody wrote"))?;
                stored.insert(revision, Stored { start: by.start, end: read.end, value: Some(value), by });
            }
        }
    }
    Ok(stored)
}

/// No write that was over before another began has the later revision.
fn check_order(stored: &BTreeMap<u64, Stored<'_>>) -> Result<(), String> {
    let mut earliest: Option<&Stored<'_>> = None;
    for write in stored.values().rev() {
        if let Some(later) = earliest.filter(|later| later.end < write.start) {
            return Err(format!("{:?} was over before {:?} began, and has the later revision", later.by, write.by));
        }
        if earliest.is_none_or(|later| write.end < later.end) {
            earliest = Some(write);
        }
    }
    Ok(())
}

fn check_condition(
    write: &Attempt,
    revision: u64,
    condition: Condition,
    stored: &BTreeMap<u64, Stored<'_>>,
    maybes: &[&Attempt],
) -> Result<(), String> {
    let before = stored.range(..revision).next_back();
    let may_be_between = maybes.iter().any(|maybe| maybe.start < write.end);
    let is_true = match (condition, before) {
        (Condition::Always, _) => true,
        (Condition::At(expected), Some((last, _))) => *last == expected || (*last < expected && may_be_between),
        (Condition::At(_), None) => may_be_between,
        (Condition::Absent, Some((_, last))) => last.value.is_none() || may_be_between,
        (Condition::Absent, None) => true,
    };
    if is_true { Ok(()) } else { Err(format!("{write:?} was stored, although before it was {before:?}")) }
}

fn check_refusal(
    refused: &Attempt,
    condition: Condition,
    order: &Order<'_>,
    maybes: &[&Attempt],
) -> Result<(), String> {
    if maybes.iter().any(|maybe| maybe.start < refused.end) {
        return Ok(());
    }
    // The condition held all the time if the last write that was over before, none of the others having begun, makes it true.
    let was_over = order.over_before(refused.start);
    let last = was_over.map_or(0, |(revision, _)| revision);
    let has_changed = order.has_later_begun(last, refused.end);
    let holds = match condition {
        Condition::Always => true,
        // A marker may be gone: operators and purge_deletes remove them.
        Condition::At(expected) => expected == last && was_over.is_some_and(|(_, write)| write.value.is_some()),
        Condition::Absent => was_over.is_none_or(|(_, write)| write.value.is_none()),
    };
    if holds && !has_changed {
        return Err(format!("{refused:?}, but the last write was {was_over:?}"));
    }
    Ok(())
}

fn check_read(read: &Attempt, found: Option<(u64, u64)>, order: &Order<'_>, maybes: &[&Attempt]) -> Result<(), String> {
    let newest_over = order.over_before(read.start);
    match found {
        Some((revision, _)) => {
            if let Some((newer, write)) = newest_over.filter(|(newest, _)| *newest > revision) {
                return Err(format!("{read:?} is stale: {:?} was over before, revision {newer}", write.by));
            }
            match order.stored.get(&revision).filter(|write| write.start > read.end) {
                Some(write) => Err(format!("{read:?} shows {:?}, which began later", write.by)),
                None => Ok(()),
            }
        }
        None => {
            let had_value = newest_over.is_some_and(|(_, write)| write.value.is_some());
            let last = newest_over.map_or(0, |(revision, _)| revision);
            let may_be_gone =
                order.stored.range(last + 1..).any(|(_, write)| write.value.is_none() && write.start < read.end);
            let is_in_doubt = maybes
                .iter()
                .any(|maybe| matches!(maybe.what, What::MayHaveWritten { value: None, .. }) && maybe.start < read.end);
            if had_value && !may_be_gone && !is_in_doubt {
                return Err(format!("{read:?}, but the last write was {newest_over:?}"));
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: u64, end: u64, what: What) -> Attempt {
        Attempt { start, end, what }
    }

    fn wrote(start: u64, end: u64, revision: u64, condition: Condition) -> Attempt {
        at(start, end, What::Wrote { revision, value: Some(revision * 10), condition })
    }

    #[test]
    fn what_can_have_happened_passes() {
        let history = [
            wrote(0, 5, 1, Condition::Absent),
            wrote(1, 9, 3, Condition::At(1)),
            at(2, 8, What::Refused { condition: Condition::At(1) }),
            at(2, 4, What::Read(None)),
            at(6, 9, What::Read(Some((1, 10)))),
            at(7, 8, What::MayHaveWritten { value: Some(77), condition: Condition::At(3) }),
            at(20, 22, What::Read(Some((5, 77)))),
            at(30, 31, What::Wrote { revision: 6, value: None, condition: Condition::At(5) }),
            wrote(32, 33, 7, Condition::Absent),
        ];
        assert_eq!(check(&history), Ok(()));
    }

    #[test]
    fn what_cannot_have_happened_is_found() {
        let first = || wrote(0, 5, 1, Condition::Absent);
        let cases = [
            vec![first(), wrote(6, 9, 1, Condition::Always)],
            vec![wrote(0, 5, 2, Condition::Always), wrote(6, 9, 1, Condition::Always)],
            vec![first(), wrote(6, 9, 2, Condition::Always), wrote(10, 12, 3, Condition::At(1))],
            vec![first(), wrote(6, 9, 2, Condition::Absent)],
            vec![first(), at(6, 9, What::Refused { condition: Condition::At(1) })],
            vec![at(6, 9, What::Refused { condition: Condition::Absent })],
            vec![first(), wrote(6, 9, 2, Condition::Always), at(10, 11, What::Read(Some((1, 10))))],
            vec![first(), at(6, 7, What::Read(None))],
            vec![first(), at(6, 7, What::Read(Some((1, 11))))],
            vec![first(), at(6, 7, What::Read(Some((2, 20))))],
            vec![wrote(8, 9, 1, Condition::Always), at(6, 7, What::Read(Some((1, 10))))],
        ];
        for history in cases {
            assert!(check(&history).is_err(), "{history:?}");
        }
    }
}
