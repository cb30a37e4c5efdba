//! The results for people: Markdown, the bars first.

use std::fmt::Write;

use super::bars::{BARS, Found};
use super::clients::{self, Client};
use super::results::{Results, Spread};
use super::workloads::{self, Unit, Workload};

/// All tables.
pub(crate) fn markdown(results: &Results) -> String {
    let mut text = format!(
        "# natskv beside its peers and beside the limit\n\n\
         {}. {}. Client and server on the same machine.\n\
         {} rounds, in which the clients took turns with a fresh process for each measure; {} s a measure where that is free; \
         {} keys; values of 128 bytes where nothing else is said; memory storage. Load average after each round: {}.\n\
         Absolute numbers change with the machine and its load; ratios are medians of those within a round, and last.\n\n",
        results.date,
        results.machine,
        results.rounds,
        results.seconds,
        results.keys,
        results.load.iter().map(|load| short(*load)).collect::<Vec<_>>().join(", ")
    );
    let versions = results.versions.iter().map(|(name, version)| format!("{name} {version}"));
    let _ = writeln!(text, "{}.", versions.collect::<Vec<_>>().join("; "));
    bars(results, &mut text);
    for workload in workloads::ALL {
        of_workload(results, workload, &mut text);
    }
    text
}

fn bars(results: &Results, text: &mut String) {
    let found: Vec<_> = BARS.iter().filter_map(|bar| Some((bar, bar.found(results)?))).collect();
    if found.is_empty() {
        return;
    }
    let count = |is: fn(&Found) -> Option<bool>| {
        let known: Vec<bool> = found.iter().filter_map(|(_, found)| is(found)).collect();
        format!("{} of {}", known.iter().filter(|is_met| **is_met).count(), known.len())
    };
    let (bars, goals) = (count(|found| found.is_met), count(|found| found.is_goal_met));
    let _ = write!(
        text,
        "\n## Bars\n\nA release reaches the bars, the goals are what we are after. Reached: {bars} bars, {goals} goals.\n\n\
         | | client | found | bar | goal | |\n|---|---|---|---|---|---|\n",
    );
    for (bar, Found { value, is_met, is_goal_met }) in found {
        let value = bar.words().replace('#', &short(value));
        let limits = [bar.bar, bar.goal].map(|limit| limit.map_or_else(String::new, short));
        let verdict = match (is_met, is_goal_met) {
            (_, Some(true)) => "goal",
            (Some(true), _) => "bar",
            (Some(false), _) => "**under**",
            (None, _) => "not yet",
        };
        let _ = writeln!(text, "| {} | {} | {value} | {} | {verdict} |", bar.workload, bar.client, limits.join(" | "));
    }
}

fn of_workload(results: &Results, workload: &Workload, text: &mut String) {
    let rows: Vec<&Client> = clients::ALL.iter().filter(|client| results.has(workload.name, client.name)).collect();
    if rows.is_empty() {
        return;
    }
    let (unit, columns) = match workload.unit {
        Unit::PerSecond(unit) => (unit, " x peer | of the limit | CPU us/op | p50; p99 us |"),
        Unit::Milliseconds => ("ms", " x peer |"),
        Unit::Memory => ("", ""),
    };
    let memory = " peak MB |";
    let _ = write!(text, "\n## {}: {}\n\n| |", workload.name, workload.about);
    if !unit.is_empty() {
        let _ = write!(text, " {unit} (min-max) |");
    }
    let count = columns.matches('|').count() + 2 + usize::from(!unit.is_empty());
    let _ = writeln!(text, "{columns}{memory}\n|{}", "---|".repeat(count));
    for client in rows {
        let _ = writeln!(text, "{}", row(results, workload, client));
    }
}

fn row(results: &Results, workload: &Workload, client: &Client) -> String {
    let name = workload.name;
    let mut row = if client.is_ours() { format!("| **{}** |", client.name) } else { format!("| {} |", client.name) };
    let failures = results.failures(name, client.name);
    let Some(speed) = results.spread(name, client.name, |m| if m.speed.is_nan() { 0.0 } else { m.speed }) else {
        let _ = write!(row, " failed: {} |", failures.first().unwrap_or(&"").replace('|', "/"));
        return row;
    };
    let median = |number: fn(&super::measure::Measure) -> f64| {
        results.spread(name, client.name, number).map_or_else(|| "-".to_owned(), |spread| short(spread.median))
    };
    let peers = client.beside.iter().filter_map(|peer| results.ratio(name, client.name, peer, |m| m.speed));
    let peers: Vec<String> = peers.map(|ratio| short(ratio.median)).collect();
    match workload.unit {
        Unit::PerSecond(_) => {
            let limit = results.ratio(name, client.name, client.limit, |m| m.speed);
            let limit = limit.filter(|_| client.name != client.limit).map_or_else(String::new, |r| short(r.median));
            let waits = [median(|m| m.waits[0]), median(|m| m.waits[1])].join("; ");
            let _ =
                write!(row, " {} | {} | {limit} | {} | {waits} |", spread(speed), peers.join(", "), median(|m| m.cpu));
        }
        Unit::Milliseconds => {
            let Spread { median, lowest, highest } = speed;
            let time = Spread { median: 1e3 / median, lowest: 1e3 / highest, highest: 1e3 / lowest };
            let _ = write!(row, " {} | {} |", spread(time), peers.join(", "));
        }
        Unit::Memory => {}
    }
    let _ = write!(row, " {} |", median(|m| m.peak));
    if !failures.is_empty() {
        let _ = write!(row, " {} failed: {}", failures.len(), failures[0].replace('|', "/"));
    }
    let left = results.left(name, client.name);
    if left > 0 {
        let _ = write!(row, " left {left} consumers behind");
    }
    row
}

fn spread(Spread { median, lowest, highest }: Spread) -> String {
    format!("{} ({}-{})", short(median), short(lowest), short(highest))
}

/// Three figures, and thousands apart.
fn short(number: f64) -> String {
    match number.abs() {
        size if size >= 1000.0 => {
            let digits = format!("{number:.0}");
            let groups: Vec<&str> =
                digits.as_bytes().rchunks(3).rev().filter_map(|part| str::from_utf8(part).ok()).collect();
            groups.join(",")
        }
        size if size >= 100.0 => format!("{number:.0}"),
        size if size >= 10.0 => format!("{number:.1}"),
        size if size >= 0.1 => format!("{number:.2}"),
        _ => format!("{number:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn numbers_have_three_figures_and_groups() {
        let numbers = [1_234_567.8, 999.6, 12.34, 1.234, 0.0832];
        assert_eq!(numbers.map(short), ["1,234,568", "1000", "12.3", "1.23", "0.083"]);
    }
}
