//! What was measured: every record, and what they say of a client and of two side by side.

use std::fmt;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::bars;
use super::clients::{self, Client};
use super::measure::Measure;
use super::workloads::{self, Unit, Workload};

/// One measure of one client.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) round: u32,
    pub(crate) workload: &'static Workload,
    pub(crate) client: &'static Client,
    /// Consumers that it left on the server.
    pub(crate) left: u64,
    /// Or why there is none.
    pub(crate) result: Result<Measure, String>,
}

/// All of them, and under which circumstances.
#[derive(Debug)]
pub(crate) struct Results {
    pub(crate) rounds: u32,
    pub(crate) seconds: f64,
    pub(crate) keys: u32,
    pub(crate) date: String,
    pub(crate) machine: String,
    /// The load average after each round: 1 for each process that wanted a processor.
    pub(crate) load: Vec<f64>,
    pub(crate) versions: Vec<(String, String)>,
    records: Vec<Record>,
}

/// A number as all rounds tell it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) lowest: f64,
    pub(crate) highest: f64,
}

impl Spread {
    /// None of nothing; what is not a number is left out.
    pub(crate) fn of(numbers: impl Iterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = numbers.filter(|number| number.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let (lowest, highest) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 };
        Some(Self { median, lowest, highest })
    }
}

impl Results {
    /// None yet.
    pub(crate) fn new(rounds: u32, seconds: f64, keys: u32, versions: Vec<(String, String)>) -> Self {
        let (date, machine) = (said(&["date", "-u", "+%Y-%m-%d %H:%M UTC"]), machine());
        Self { rounds, seconds, keys, date, machine, load: Vec::new(), versions, records: Vec::new() }
    }

    /// What `json` told, for tables to be made anew. Whom nobody knows any more is left out.
    pub(crate) fn from_json(told: &Value) -> Option<Self> {
        let text = |name: &str| told[name].as_str().map(str::to_owned);
        let versions = told["versions"].as_object()?.iter();
        let record = |row: &Value| -> Option<Record> {
            let number = |name: &str| row[name].as_f64().unwrap_or(f64::NAN);
            let waits = [number("p50"), number("p99")];
            let measure = Measure { speed: number("speed"), cpu: number("cpu"), peak: number("peak"), waits };
            Some(Record {
                round: row["round"].as_u64()?.try_into().ok()?,
                workload: workloads::ALL.iter().find(|workload| row["workload"] == workload.name)?,
                client: clients::ALL.iter().find(|client| row["client"] == client.name)?,
                left: row["left_behind"].as_u64()?,
                result: row["failed"].as_str().map_or(Ok(measure), |why| Err(why.to_owned())),
            })
        };
        Some(Self {
            rounds: told["rounds"].as_u64()?.try_into().ok()?,
            seconds: told["seconds"].as_f64()?,
            keys: told["keys"].as_u64()?.try_into().ok()?,
            date: text("date")?,
            machine: text("machine")?,
            load: told["load"].as_array()?.iter().filter_map(Value::as_f64).collect(),
            versions: versions
                .map(|(name, version)| (name.clone(), version.as_str().unwrap_or_default().into()))
                .collect(),
            records: told["records"].as_array()?.iter().filter_map(record).collect(),
        })
    }

    pub(crate) fn add(&mut self, record: Record) {
        self.records.push(record);
    }

    /// Notes how busy the machine is.
    pub(crate) fn end_round(&mut self) {
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        self.load.extend(load.split(' ').next().and_then(|load| load.parse::<f64>().ok()));
    }

    /// Whether no client of ours failed or left a consumer behind.
    pub(crate) fn is_good(&self) -> bool {
        let ours = self.records.iter().filter(|record| record.client.is_ours());
        ours.into_iter().all(|record| record.result.is_ok() && record.left == 0)
    }

    /// Why measures of this client failed, if any did.
    pub(crate) fn failures<'a>(&'a self, workload: &'a str, client: &'a str) -> Vec<&'a str> {
        self.records_of(workload, client)
            .filter_map(|record| record.result.as_ref().err())
            .map(String::as_str)
            .collect()
    }

    /// The most consumers that it left behind.
    pub(crate) fn left(&self, workload: &str, client: &str) -> u64 {
        self.records_of(workload, client).map(|record| record.left).max().unwrap_or(0)
    }

    /// One of the numbers of a client.
    pub(crate) fn spread(&self, workload: &str, client: &str, number: fn(&Measure) -> f64) -> Option<Spread> {
        Spread::of(self.measures(workload, client).map(|(_, measure)| number(measure)))
    }

    /// A client's number over the other's in the same round.
    pub(crate) fn ratio(
        &self,
        workload: &str,
        client: &str,
        other: &str,
        number: fn(&Measure) -> f64,
    ) -> Option<Spread> {
        let pairs = self.measures(workload, client).filter_map(|(round, measure)| {
            let (_, beside) = self.measures(workload, other).find(|(its, _)| *its == round)?;
            Some(number(measure) / number(beside))
        });
        Spread::of(pairs)
    }

    /// Whether anything is known of it.
    pub(crate) fn has(&self, workload: &str, client: &str) -> bool {
        self.records_of(workload, client).next().is_some()
    }

    fn measures<'a>(&'a self, workload: &'a str, client: &'a str) -> impl Iterator<Item = (u32, &'a Measure)> {
        self.records_of(workload, client).filter_map(|record| Some((record.round, record.result.as_ref().ok()?)))
    }

    fn records_of<'a>(&'a self, workload: &'a str, client: &'a str) -> impl Iterator<Item = &'a Record> {
        self.records.iter().filter(move |record| record.workload.name == workload && record.client.name == client)
    }

    /// Everything, for programs. Speeds are operations a second, CPU is microseconds an operation, peaks are MB.
    pub(crate) fn json(&self) -> Value {
        let spread = |spread: Option<Spread>| spread.map(|s| json!([s.median, s.lowest, s.highest]));
        let records = self.records.iter().map(|record| {
            let mut row = json!({
                "round": record.round, "workload": record.workload.name, "client": record.client.name, "left_behind": record.left,
            });
            match &record.result {
                Ok(measure) => {
                    let Measure { speed, cpu, peak, waits: [p50, p99] } = measure;
                    for (name, value) in [("speed", speed), ("cpu", cpu), ("peak", peak), ("p50", p50), ("p99", p99)] {
                        row[name] = json!(value); // null where it is not a number
                    }
                }
                Err(why) => row["failed"] = json!(why),
            }
            row
        });
        let summary =
            workloads::ALL.iter().flat_map(|workload| clients::ALL.iter().map(move |client| (workload, client)));
        let summary =
            summary.filter(|(workload, client)| self.has(workload.name, client.name)).map(|(workload, client)| {
                let beside = client.beside.iter().map(|other| {
                    json!({
                        "client": other, "speed": spread(self.ratio(workload.name, client.name, other, |m| m.speed)),
                        "cpu": spread(self.ratio(workload.name, client.name, other, |m| m.cpu)),
                    })
                });
                json!({
                    "workload": workload.name, "client": client.name, "beside": beside.collect::<Value>(),
                    "speed": spread(self.spread(workload.name, client.name, |m| m.speed)),
                    "cpu": spread(self.spread(workload.name, client.name, |m| m.cpu)),
                    "peak": spread(self.spread(workload.name, client.name, |m| m.peak)),
                    "of_limit": spread(self.ratio(workload.name, client.name, client.limit, |m| m.speed)),
                })
            });
        json!({
            "date": self.date, "machine": self.machine, "load": self.load, "rounds": self.rounds, "seconds": self.seconds, "keys": self.keys,
            "versions": self.versions.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
            "summary": summary.collect::<Value>(), "bars": bars::json(self), "records": records.collect::<Value>(),
        })
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:<5} {:<18} ", self.round + 1, self.workload.name, self.client.name)?;
        match &self.result {
            Err(why) => write!(f, "FAILED: {why}")?,
            Ok(measure) => match self.workload.unit {
                Unit::PerSecond(unit) => write!(f, "{:>10.0} {unit}, {:.2} us CPU", measure.speed, measure.cpu)?,
                Unit::Milliseconds => write!(f, "{:>10.1} ms", 1e3 / measure.speed)?,
                Unit::Memory => write!(f, "{:>10.1} MB", measure.peak)?,
            },
        }
        if self.left > 0 { write!(f, ", {} consumers left behind", self.left) } else { Ok(()) }
    }
}

/// Processors, memory, system.
fn machine() -> String {
    let field = |file: &str, name: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name)).and_then(|line| line.split_once(':'));
        line.map_or_else(String::new, |(_, value)| value.trim().to_owned())
    };
    let memory: u64 = field("/proc/meminfo", "MemTotal").split(' ').next().and_then(|kb| kb.parse().ok()).unwrap_or(0);
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let (model, system) = (field("/proc/cpuinfo", "model name"), said(&["uname", "-sr"]));
    format!("{cpus} CPUs ({model}), {:.1} GB, {system}", memory as f64 / 1e6)
}

fn said(words: &[&str]) -> String {
    let output = Command::new(words[0]).args(&words[1..]).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::table;

    fn results(speeds: &[(&'static str, [f64; 3])]) -> Results {
        let mut results = Results::new(3, 1.0, 10, Vec::new());
        for (client, speeds) in speeds {
            for (round, speed) in speeds.iter().enumerate() {
                let measure = Measure { speed: *speed, cpu: f64::NAN, peak: 1.0, waits: [f64::NAN; 2] };
                results.add(Record {
                    round: round as u32,
                    workload: &workloads::ALL[0],
                    client: clients::named(client).expect("a client"),
                    left: 0,
                    result: Ok(measure),
                });
            }
        }
        results
    }

    #[test]
    fn ratios_are_those_of_one_round() {
        let results = results(&[("python", [200.0, 900.0, 300.0]), ("nats-py", [100.0, 300.0, 200.0])]);

        let ratio = results.ratio("W1", "python", "nats-py", |measure| measure.speed);

        assert_eq!(ratio, Some(Spread { median: 2.0, lowest: 1.5, highest: 3.0 }));
        assert_eq!(results.ratio("W1", "python", "limit", |measure| measure.speed), None);
    }

    #[test]
    fn what_is_told_as_json_makes_the_same_tables() {
        let some = results(&[("python", [200.0, 900.0, 300.0]), ("nats-py", [100.0, 300.0, 200.0])]);

        let again = Results::from_json(&some.json()).expect("results");

        assert_eq!(table::markdown(&again), table::markdown(&some));
        assert!(table::markdown(&some).contains("2.00 x nats-py"));
    }

    #[test]
    fn what_is_not_a_number_is_left_out() {
        assert_eq!(Spread::of([f64::NAN, 1.0, 3.0].into_iter()).map(|spread| spread.median), Some(2.0));
        assert_eq!(Spread::of([f64::NAN].into_iter()), None);
    }

    #[test]
    fn a_failure_of_ours_and_what_it_left_are_not_good() {
        let mut some = results(&[("nats-py", [1.0; 3])]);
        let record = |client, left, result| Record {
            round: 0,
            workload: &workloads::ALL[0],
            client: clients::named(client).expect("a client"),
            left,
            result,
        };
        some.add(record("nats-py", 1, Err("wrong".to_owned())));
        assert!(some.is_good());

        some.add(record("python", 0, Err("wrong".to_owned())));
        assert!(!some.is_good());
        assert_eq!(some.failures("W1", "python"), ["wrong"]);
    }
}
