//! Traces of a watch: what comes from the server, and what the watch makes of it.

use natskv_core::wire::{self, CreateFailure, Policy, Tracker, Verdict};
use serde_json::{Value, json};

use super::{Read, answer, kind, number, only, text};

pub(super) fn trace(input: &Value) -> Read {
    only(input, &["policy", "events", "ignore_deletes", "history", "opt_start_seq"])?;
    let policy = match text(input, "policy")? {
        "last_per_subject" => Policy::LastPerSubject,
        "all" => Policy::All,
        "new" => Policy::New,
        "by_start_sequence" => Policy::ByStartSequence(number(input, "opt_start_seq")?),
        other => return Err(format!("policy {other} is unknown")),
    };
    let mut watch = Watch {
        tracker: Tracker::new(policy, input["history"] == 1),
        ignores_deletes: input["ignore_deletes"] == true,
        out: Vec::new(),
    };
    for event in input["events"].as_array().ok_or("`events` is not a list")? {
        watch.take(text(&json!({"name": event[0]}), "name")?, &event[1])?;
    }
    answer(json!({"out": watch.out}))
}

struct Watch {
    tracker: Tracker,
    ignores_deletes: bool,
    out: Vec<Value>,
}

impl Watch {
    fn take(&mut self, name: &str, event: &Value) -> Result<(), String> {
        match name {
            "created" => {
                only(event, &["num_pending", "delivered_stream_seq"])?;
                let caught_up =
                    self.tracker.on_created(number(event, "num_pending")?, number(event, "delivered_stream_seq")?);
                self.caught_up(caught_up);
            }
            "msg" => {
                only(event, &["sseq", "cseq", "pending", "op", "key"])?;
                let sseq = number(event, "sseq")?;
                let verdict = self.tracker.on_message(sseq, number(event, "cseq")?, number(event, "pending")?);
                let is_marker = matches!(event["op"].as_str(), Some("DEL" | "PURGE"));
                if matches!(verdict, Verdict::Deliver { .. }) && !(is_marker && self.ignores_deletes) {
                    self.out.push(format!("entry {sseq}").into());
                }
                self.follow(verdict);
            }
            "heartbeat" => {
                only(event, &["last_consumer", "stalled"])?;
                let is_stalled = !matches!(event["stalled"], Value::Null | Value::Bool(false));
                let verdict = self.tracker.on_heartbeat(event["last_consumer"].as_u64(), is_stalled);
                self.follow(verdict);
            }
            "hb_missed" | "request_timeout" => self.recreate(),
            "create_error" => {
                let err_code = u32::try_from(number(event, "err_code")?).map_err(|error| error.to_string())?;
                let error = wire::ApiError { code: 0, err_code, description: String::new() };
                match error.create_failure() {
                    CreateFailure::Final => self.out.push(json!({"closed": kind(error.to_error().code, &[])})),
                    CreateFailure::Retry | CreateFailure::FiltersCross => self.recreate(),
                }
            }
            other => return Err(format!("event {other} is unknown")),
        }
        Ok(())
    }

    fn follow(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Deliver { caught_up } | Verdict::Skip { caught_up } => self.caught_up(caught_up),
            Verdict::Lost(_) => self.recreate(),
        }
    }

    fn caught_up(&mut self, caught_up: bool) {
        if caught_up {
            self.out.push("eoid".into());
        }
    }

    fn recreate(&mut self) {
        self.tracker.restart();
        let policy = match self.tracker.policy() {
            Policy::LastPerSubject => "last_per_subject".to_owned(),
            Policy::All => "all".to_owned(),
            Policy::New => "new".to_owned(),
            Policy::ByStartSequence(sequence) => format!("by_start_sequence {sequence}"),
        };
        self.out.push(format!("recreate {policy}").into());
    }
}
