//! Where natskv has to be, and where it wants to be; what the results say of each.

use serde_json::{Value, json};

use super::measure::Measure;
use super::results::Results;

/// One number to reach.
#[derive(Debug)]
pub(crate) struct Bar {
    pub(crate) workload: &'static str,
    pub(crate) client: &'static str,
    pub(crate) kind: Kind,
    /// A release reaches this.
    pub(crate) bar: Option<f64>,
    /// And this is what we are after.
    pub(crate) goal: Option<f64>,
}

/// What is compared.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// At least so many times as fast as this client. W11: as quick.
    Speed(&'static str),
    /// At most this part of that client's CPU time an operation.
    Cpu(&'static str),
    /// At most so many milliseconds.
    Milliseconds,
    /// At most so many MB in the worst moment.
    Peak,
    /// At most so many MB more than the runtime alone.
    PeakOverBare,
    /// At most this part of what that client takes beyond the runtime alone.
    PeakOverBareOf(&'static str),
}

/// A bar and what was found.
pub(crate) struct Found {
    pub(crate) value: f64,
    /// None where no bar is set.
    pub(crate) is_met: Option<bool>,
    /// None where no goal is set.
    pub(crate) is_goal_met: Option<bool>,
}

const fn both(workload: &'static str, client: &'static str, kind: Kind, bar: f64, goal: f64) -> Bar {
    Bar { workload, client, kind, bar: Some(bar), goal: Some(goal) }
}

const fn bar(workload: &'static str, client: &'static str, kind: Kind, bar: f64) -> Bar {
    Bar { workload, client, kind, bar: Some(bar), goal: None }
}

const fn goal(workload: &'static str, client: &'static str, kind: Kind, goal: f64) -> Bar {
    Bar { workload, client, kind, bar: None, goal: Some(goal) }
}

use Kind::{Cpu, Milliseconds, Peak, PeakOverBare, PeakOverBareOf, Speed};

/// All of them.
pub(crate) const BARS: &[Bar] = &[
    both("W1", "python", Speed("nats-py"), 1.4, 1.8),
    both("W1", "python", Cpu("nats-py"), 0.5, 0.333),
    both("W2", "python", Speed("nats-py"), 1.4, 1.8),
    both("W2", "python", Cpu("nats-py"), 0.5, 0.333),
    both("W3", "python", Speed("nats-py"), 3.5, 5.0),
    both("W3", "python", Cpu("nats-py"), 0.2, 0.1),
    both("W4", "python", Speed("nats-py"), 3.0, 4.5),
    both("W4", "python", Cpu("nats-py"), 0.2, 0.1),
    both("W3", "python-uvloop", Speed("nats-py-uvloop"), 3.5, 5.0),
    both("W4", "python-uvloop", Speed("nats-py-uvloop"), 3.0, 5.0),
    both("W5", "python", Speed("nats-py"), 6.0, 10.0),
    both("W5", "python", Cpu("nats-py"), 0.083, 0.042),
    both("W7k", "python", Speed("nats-py"), 6.0, 10.0),
    both("W7h", "python", Speed("nats-py"), 3.0, 5.0),
    both("W10", "python", Speed("nats-py"), 6.0, 15.0),
    goal("W10", "python", Speed("limit"), 0.6),
    bar("W10p", "python", Speed("nats-py"), 6.0),
    goal("W10p", "python", Speed("limit"), 0.6),
    both("W1", "python-blocking", Speed("limit"), 0.75, 0.95),
    both("W2", "python-blocking", Speed("limit"), 0.75, 0.95),
    bar("W1", "c", Speed("nats.c"), 1.1),
    bar("W2", "c", Speed("nats.c"), 1.1),
    both("W1", "c", Speed("limit"), 0.8, 0.95),
    both("W2", "c", Speed("limit"), 0.8, 0.95),
    bar("W4", "c", Speed("nats.c"), 3.5),
    goal("W4", "c", Speed("limit"), 0.8),
    bar("W3", "c", Speed("nats.c-async"), 1.0),
    goal("W3", "c", Speed("limit"), 0.8),
    both("W5", "c", Speed("nats.c"), 0.9, 1.4),
    goal("W5", "c", Speed("limit"), 0.85),
    both("W3", "node", Speed("nats.js"), 4.0, 7.0),
    both("W4", "node", Speed("nats.js"), 2.5, 4.0),
    both("W3", "node", Speed("nats.js-no-stack"), 1.3, 2.0),
    both("W4", "node", Speed("nats.js-no-stack"), 1.3, 2.0),
    both("W5", "node", Speed("nats.js"), 1.7, 2.6),
    bar("W3", "chromium", Speed("nats.js-chromium"), 2.3),
    bar("W4", "chromium", Speed("nats.js-chromium"), 1.7),
    bar("W5", "chromium", Speed("nats.js-chromium"), 1.15),
    goal("W3", "chromium", Speed("limit-chromium"), 0.9),
    goal("W4", "chromium", Speed("limit-chromium"), 0.9),
    goal("W5", "chromium", Speed("limit-chromium"), 0.9),
    both("W9", "python", Speed("nats-py"), 2.0, 5.0),
    both("W11", "python", Speed("nats-py"), 1.67, 2.5),
    both("W11", "c", Milliseconds, 10.0, 4.0),
    goal("W11", "chromium", Milliseconds, 50.0),
    bar("W5", "python", PeakOverBare, 10.0),
    bar("W5", "c", Peak, 12.0),
    bar("W5", "chromium", PeakOverBareOf("nats.js-chromium"), 0.5),
];

impl Bar {
    /// What the results say of it, if they say anything.
    pub(crate) fn found(&self, results: &Results) -> Option<Found> {
        let value = self.value(results)?;
        let is_met = |bar| if matches!(self.kind, Speed(_)) { value >= bar } else { value <= bar };
        Some(Found { value, is_met: self.bar.map(is_met), is_goal_met: self.goal.map(is_met) })
    }

    /// In words, with the number in place of `#`.
    pub(crate) fn words(&self) -> String {
        match self.kind {
            Speed("limit") => "# of the limit".to_owned(),
            Speed("limit-chromium") => "# of what a page can".to_owned(),
            Speed(peer) => format!("# x {peer}"),
            Cpu(peer) => format!("# of the CPU time of {peer}"),
            Milliseconds => "# ms".to_owned(),
            Peak => "# MB of memory".to_owned(),
            PeakOverBare => "# MB over the bare runtime".to_owned(),
            PeakOverBareOf(peer) => format!("# of the memory of {peer} over the bare runtime"),
        }
    }

    fn value(&self, results: &Results) -> Option<f64> {
        let median = |workload, client, number: fn(&Measure) -> f64| {
            results.spread(workload, client, number).map(|spread| spread.median)
        };
        let over_bare =
            |client| Some(median(self.workload, client, |m| m.peak)? - median("W0", self.client, |m| m.peak)?);
        match self.kind {
            Speed(peer) => results.ratio(self.workload, self.client, peer, |m| m.speed).map(|ratio| ratio.median),
            Cpu(peer) => results.ratio(self.workload, self.client, peer, |m| m.cpu).map(|ratio| ratio.median),
            Milliseconds => Some(1e3 / median(self.workload, self.client, |m| m.speed)?),
            Peak => median(self.workload, self.client, |m| m.peak),
            PeakOverBare => over_bare(self.client),
            PeakOverBareOf(peer) => Some(over_bare(self.client)? / over_bare(peer)?),
        }
    }
}

/// All that were measured, for programs.
pub(crate) fn json(results: &Results) -> Value {
    let rows = BARS.iter().filter_map(|bar| {
        let Found { value, is_met, is_goal_met } = bar.found(results)?;
        Some(json!({
            "workload": bar.workload, "client": bar.client, "of": bar.words(), "value": value, "bar": bar.bar, "goal": bar.goal,
            "is_met": is_met, "is_goal_met": is_goal_met,
        }))
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::clients;

    #[test]
    fn bars_name_clients_that_have_the_workload() {
        for bar in BARS {
            let others = match bar.kind {
                Speed(other) | Cpu(other) | PeakOverBareOf(other) => vec![other],
                Milliseconds | Peak | PeakOverBare => Vec::new(),
            };
            for name in others.into_iter().chain([bar.client]) {
                let client = clients::named(name).unwrap_or_else(|| panic!("no client {name}"));
                assert!(client.has(bar.workload), "{name} has no {}", bar.workload);
            }
        }
    }
}
