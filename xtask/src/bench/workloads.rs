//! What is measured. 128-byte values, keys `bench.k000123`, memory storage; tests/bench has the programs.

/// One of them.
#[derive(Debug)]
pub(crate) struct Workload {
    /// As on the command line.
    pub(crate) name: &'static str,
    /// For people.
    pub(crate) about: &'static str,
    /// What is done so many times a second.
    pub(crate) unit: Unit,
    /// Whether buckets have to be put in order before each measure.
    pub(crate) changes_buckets: bool,
}

/// What a measure's number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Operations, keys, calls in a second.
    PerSecond(&'static str),
    /// Milliseconds, where less is more.
    Milliseconds,
    /// Nothing but the memory.
    Memory,
}

const fn workload(name: &'static str, about: &'static str, unit: &'static str) -> Workload {
    Workload { name, about, unit: Unit::PerSecond(unit), changes_buckets: false }
}

/// In the order of the table.
pub(crate) const ALL: &[Workload] = &[
    workload("W1", "put, one in flight", "puts/s"),
    workload("W2", "get, one in flight", "gets/s"),
    workload("W3", "put, 256 in flight", "puts/s"),
    workload("W4", "get, 256 in flight", "gets/s"),
    workload("W5", "watch-all: all keys, up to the end of the initial values", "keys/s"),
    Workload {
        changes_buckets: true,
        ..workload("W6", "live watch while another process writes every key", "updates/s")
    },
    workload("W7k", "keys() of all keys", "keys/s"),
    workload("W7h", "history() of a key with 64 revisions", "calls/s"),
    workload("W8p", "put of 1 MiB", "MiB/s"),
    workload("W8g", "get of 1 MiB", "MiB/s"),
    Workload {
        changes_buckets: true,
        ..workload("W9", "8 tasks count one key up, 2,000 times in all", "increments/s")
    },
    workload("W10", "get of 1,000 given keys by the fastest public means", "keys/s"),
    workload("W10p", "put of 1,000 keys by the fastest public means", "keys/s"),
    Workload {
        unit: Unit::Milliseconds,
        ..workload("W11", "from process start (page: navigation) to the first get", "")
    },
    Workload {
        unit: Unit::Memory,
        ..workload("W0", "the runtime with an idle event loop and nothing else, for its memory", "")
    },
];
