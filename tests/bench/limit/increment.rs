//! W9: eight that count one key up, each reading it and writing it back until nobody came between.

use crate::{
    Result,
    measure::{Meter, Report},
    wire::{Message, Wire, inbox},
};

const TASKS: usize = 8;
/// Of each task.
const INCREMENTS: usize = 250;
const KEY: &str = "bench.counter";

/// What a task waits for.
#[derive(Clone, Copy)]
enum Task {
    Value { done: usize },
    Acknowledgement { done: usize },
    Over,
}

pub(crate) fn increments(wire: &mut Wire) -> Result<Report> {
    let meter = Meter::start();
    let mut tasks = [Task::Value { done: 0 }; TASKS];
    let mut out: Vec<u8> = (0..TASKS).flat_map(|task| get(task).into_bytes()).collect();
    let mut running = TASKS;
    while running > 0 {
        wire.write(&out)?;
        out.clear();
        wire.fill()?;
        while let Some(message) = wire.try_next()? {
            let number = message.subject.strip_prefix(inbox().as_bytes()).and_then(|digits| digits.first());
            let number = usize::from(number.ok_or("a reply to nobody")? - b'0');
            let (next, request) = step(tasks[number], number, message)?;
            tasks[number] = next;
            match request {
                Some(request) => out.extend_from_slice(request.as_bytes()),
                None => running -= 1,
            }
        }
    }
    let report = meter.stop(TASKS * INCREMENTS);
    wire.write(get(0).as_bytes())?;
    wire.take(1, |_, message| {
        let count = number_of(message)?;
        if count == TASKS * INCREMENTS { Ok(()) } else { Err(format!("counted {count}").into()) }
    })?;
    Ok(report)
}

/// What comes after an answer: the new state and the next request.
fn step(task: Task, number: usize, answer: Message<'_>) -> Result<(Task, Option<String>)> {
    Ok(match task {
        Task::Value { done } => {
            let request = update(number, number_of(answer)? + 1, answer.revision()?);
            (Task::Acknowledgement { done }, Some(request))
        }
        Task::Acknowledgement { done } => {
            let is_written = answer.payload.starts_with(b"{\"stream\"");
            if !is_written && memchr::memmem::find(answer.payload, b"\"err_code\":10071").is_none() {
                return Err(String::from_utf8_lossy(answer.payload).into());
            }
            match done + usize::from(is_written) {
                INCREMENTS => (Task::Over, None),
                done => (Task::Value { done }, Some(get(number))),
            }
        }
        Task::Over => return Err("an answer too many".into()),
    })
}

fn number_of(message: Message<'_>) -> Result<usize> {
    Ok(std::str::from_utf8(message.payload)?.parse()?)
}

fn get(task: usize) -> String {
    let inbox = inbox();
    format!("PUB $JS.API.DIRECT.GET.KV_counter.$KV.counter.{KEY} {inbox}{task} 0\r\n\r\n")
}

fn update(task: usize, value: usize, revision: u64) -> String {
    let inbox = inbox();
    let (value, headers) =
        (value.to_string(), format!("NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: {revision}\r\n\r\n"));
    let (head, whole) = (headers.len(), headers.len() + value.len());
    format!("HPUB $KV.counter.{KEY} {inbox}{task} {head} {whole}\r\n{headers}{value}\r\n")
}
