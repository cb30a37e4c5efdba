//! Direct get: what any replica answers from the messages it has, raw, with the metadata in headers behind those stored.

use std::{fmt::Write, rc::Rc};

use natskv_core::to_rfc3339;
use serde_json::{Map, Value};

use super::{
    Settings,
    connection::{is_filter, matches},
    store::{Message, Store},
};

/// Header block and payload of one answer; there may be several to one request.
pub(super) type Answer = (Vec<u8>, Vec<u8>);

/// The answers of a replica with these messages.
pub(super) fn answers(stream: &str, store: &Store, request: &Map<String, Value>, settings: &Settings) -> Vec<Answer> {
    let number = |name: &str| request.get(name).and_then(Value::as_u64);
    let text = |name: &str| request.get(name).and_then(Value::as_str);
    let from = number("seq");
    let has_batches = settings.level >= 1;
    if let Some(list) = request.get("multi_last").and_then(Value::as_array).filter(|_| has_batches) {
        let filters: Vec<String> = list.iter().filter_map(|subject| subject.as_str().map(String::from)).collect();
        return multi(stream, store, &filters, from, number("up_to_seq"), settings);
    }
    if let Some(batch) = number("batch").filter(|_| has_batches) {
        let filter = text("next_by_subj").unwrap_or(">");
        return run(stream, store, filter, from.unwrap_or(1), batch as usize, settings);
    }
    let found = match (text("last_by_subj"), text("next_by_subj"), from) {
        (Some(subject), _, _) => store.last_of(subject),
        (None, Some(filter), from) => {
            let mut behind = store.messages.range(from.unwrap_or(1)..).map(|(_, message)| message);
            behind.find(|message| matches(filter, &message.subject))
        }
        (None, None, Some(seq)) => store.messages.get(&seq),
        (None, None, None) => return vec![status("408 Empty Request", "")],
    };
    match found {
        Some(message) => vec![answer(stream, message, "")],
        None => vec![status("404 Message Not Found", "")],
    }
}

/// The last message of each subject.
fn multi(
    stream: &str,
    store: &Store,
    filters: &[String],
    from: Option<u64>,
    up_to: Option<u64>,
    settings: &Settings,
) -> Vec<Answer> {
    let up_to = up_to.filter(|seq| *seq > 0).unwrap_or(store.last_seq);
    let all = store.last_seqs(filters, up_to);
    // Smaller limits are for wildcards: clients count the subjects that they name.
    let limit = if filters.iter().any(|filter| is_filter(filter)) { settings.multi_limit } else { 1024 };
    if all.len() > limit {
        return vec![status("413 Too Many Results", "")];
    }
    let seqs: Vec<u64> = all.into_iter().filter(|seq| *seq >= from.unwrap_or_default()).collect();
    if seqs.is_empty() {
        return vec![status("404 No Results", "")];
    }
    let page = seqs.len().min(settings.page);
    let messages = seqs[..page].iter().filter_map(|seq| store.messages.get(seq));
    series(stream, messages, seqs.len(), 0, &format!("Nats-UpTo-Sequence: {up_to}\r\n"))
}

/// Message after message of one filter.
fn run(stream: &str, store: &Store, filter: &str, from: u64, batch: usize, settings: &Settings) -> Vec<Answer> {
    let behind = store.messages.range(from..).map(|(_, message)| message);
    let found: Vec<&Rc<Message>> = behind.filter(|message| matches(filter, &message.subject)).collect();
    if found.is_empty() {
        return vec![status("404 Message Not Found", "")];
    }
    let page = found.len().min(batch).min(settings.page);
    // 2.11 tells one too many on the messages, and the right number at the end.
    let surplus = usize::from(settings.level == 1);
    series(stream, found[..page].iter().copied(), found.len(), surplus, "")
}

fn series<'a>(
    stream: &str,
    messages: impl Iterator<Item = &'a Rc<Message>>,
    total: usize,
    surplus: usize,
    end: &str,
) -> Vec<Answer> {
    let (mut answers, mut last, mut left) = (Vec::new(), 0, total);
    for message in messages {
        left -= 1;
        let more = format!("Nats-Num-Pending: {}\r\nNats-Last-Sequence: {last}\r\n", left + surplus);
        answers.push(answer(stream, message, &more));
        last = message.seq;
    }
    answers.push(status("204 EOB", &format!("Nats-Num-Pending: {left}\r\nNats-Last-Sequence: {last}\r\n{end}")));
    answers
}

fn answer(stream: &str, message: &Message, more: &str) -> Answer {
    let mut block = match message.headers.len().checked_sub(2) {
        Some(end) => String::from_utf8_lossy(&message.headers[..end]).into_owned(),
        None => String::from("NATS/1.0\r\n"),
    };
    let Message { subject, seq, time_ns, .. } = message;
    let time = to_rfc3339(*time_ns);
    let written = write!(
        block,
        "Nats-Stream: {stream}\r\nNats-Subject: {subject}\r\nNats-Sequence: {seq}\r\nNats-Time-Stamp: {time}\r\n{more}\r\n"
    );
    debug_assert!(written.is_ok(), "a String takes all");
    (block.into_bytes(), message.payload.clone())
}

fn status(status: &str, more: &str) -> Answer {
    (format!("NATS/1.0 {status}\r\n{more}\r\n").into_bytes(), Vec::new())
}
