//! W1 to W4, W7h, W8, W10: requests and their replies, so many of them in flight.

use std::time::{Duration, Instant};

use crate::{
    Result,
    measure::{Arguments, Meter, Report},
    prepare::{HISTORY, LARGE, REVISIONS, key, large, value},
    wire::{Message, Wire, inbox},
};

/// How many distinct frames there are at most; then they come again.
const FRAMES: usize = 20_000;
/// Keys of one W10.
const MANY: usize = 1000;
/// Subjects in one request of W10; more are not faster.
const SUBJECTS: usize = 250;

/// Requests of one length, one after the other, so that any run of them is one slice.
struct Frames {
    bytes: Vec<u8>,
    size: usize,
}

impl Frames {
    fn new(count: usize, mut encode: impl FnMut(usize, &mut Vec<u8>)) -> Self {
        let mut bytes = Vec::new();
        (0..count).for_each(|index| encode(index, &mut bytes));
        assert_eq!(bytes.len() % count, 0, "frames of one length");
        Self { size: bytes.len() / count, bytes }
    }

    /// Writes the requests `from..from + count`, beginning anew after the last.
    fn write(&self, wire: &mut Wire, from: usize, count: usize) -> Result<()> {
        let mut at = from * self.size % self.bytes.len();
        let mut left = count * self.size;
        while left > 0 {
            let size = left.min(self.bytes.len() - at);
            wire.write(&self.bytes[at..at + size])?;
            (at, left) = (0, left - size);
        }
        Ok(())
    }
}

fn put_frame(bucket: &str, key: &str, value: &[u8], bytes: &mut Vec<u8>) {
    let inbox = inbox();
    bytes.extend_from_slice(format!("PUB $KV.{bucket}.{key} {inbox}r {}\r\n", value.len()).as_bytes());
    bytes.extend_from_slice(value);
    bytes.extend_from_slice(b"\r\n");
}

fn get_frame(bucket: &str, key: &str, bytes: &mut Vec<u8>) {
    let inbox = inbox();
    let line = format!("PUB $JS.API.DIRECT.GET.KV_{bucket}.$KV.{bucket}.{key} {inbox}r 0\r\n\r\n");
    bytes.extend_from_slice(line.as_bytes());
}

/// Sends requests from number `from` on until the time is over, `window` of them in flight, and looks at each reply; says how many.
fn run(
    wire: &mut Wire,
    frames: &Frames,
    from: usize,
    limit: Limit,
    window: usize,
    waits: &mut Vec<Duration>,
    mut check: impl FnMut(Message<'_>) -> Result<()>,
) -> Result<usize> {
    let mut began = Instant::now();
    let mut sent = window;
    let mut done = 0;
    frames.write(wire, from, sent)?;
    while done < sent {
        wire.fill()?;
        let mut came = 0;
        while let Some(message) = wire.try_next()? {
            check(message)?;
            came += 1;
        }
        let now = Instant::now();
        if window == 1 && came == 1 {
            waits.push(now - began);
            began = now;
        }
        done += came;
        let more = match limit {
            Limit::Until(end) => {
                if now < end {
                    came
                } else {
                    0
                }
            }
            Limit::Count(count) => came.min(count - sent),
        };
        frames.write(wire, from + sent, more)?;
        sent += more;
    }
    Ok(sent)
}

/// When enough was sent.
#[derive(Clone, Copy)]
enum Limit {
    Until(Instant),
    Count(usize),
}

/// Warms up for a fifth of the time, then measures; also tells how many requests that were in all.
fn measured(
    wire: &mut Wire,
    arguments: &Arguments,
    frames: &Frames,
    window: usize,
    mut check: impl FnMut(Message<'_>) -> Result<()>,
) -> Result<(Report, usize)> {
    let mut waits = Vec::with_capacity(100_000);
    let end = Instant::now() + Duration::from_secs_f64(arguments.seconds / 5.0);
    let warm = run(wire, frames, 0, Limit::Until(end), window, &mut waits, &mut check)?;
    waits.clear();
    let meter = Meter::start();
    let end = Instant::now() + Duration::from_secs_f64(arguments.seconds);
    let count = run(wire, frames, warm, Limit::Until(end), window, &mut waits, &mut check)?;
    let report = meter.stop(count);
    Ok((if window == 1 { report.with_waits(waits) } else { report }, warm + count))
}

/// Revisions of writes that follow each other without a gap, however their replies were ordered.
#[derive(Default)]
struct Revisions {
    lowest: Option<u64>,
    highest: u64,
    count: u64,
}

impl Revisions {
    fn add(&mut self, revision: u64) {
        self.lowest = Some(self.lowest.map_or(revision, |lowest| lowest.min(revision)));
        self.highest = self.highest.max(revision);
        self.count += 1;
    }

    fn check(&self) -> Result<()> {
        let span = self.highest + 1 - self.lowest.unwrap_or(0);
        if span == self.count { Ok(()) } else { Err(format!("{} writes, {span} revisions", self.count).into()) }
    }
}

fn value_of(wire: &mut Wire, bucket: &str, key: &str) -> Result<Vec<u8>> {
    let mut request = Vec::new();
    get_frame(bucket, key, &mut request);
    wire.write(&request)?;
    let mut found = Vec::new();
    wire.take(1, |_, message| {
        message.revision()?;
        found = message.payload.to_vec();
        Ok(())
    })?;
    Ok(found)
}

fn expect(found: &[u8], wanted: &[u8], what: &str) -> Result<()> {
    if found == wanted { Ok(()) } else { Err(format!("{what} has a wrong value").into()) }
}

pub(crate) fn puts(wire: &mut Wire, arguments: &Arguments, window: usize) -> Result<Report> {
    let count = arguments.keys.min(FRAMES);
    let frames = Frames::new(count, |index, bytes| put_frame("puts", &key(index), &value(index), bytes));
    let mut revisions = Revisions::default();
    let (report, done) = measured(wire, arguments, &frames, window, |message| {
        revisions.add(message.sequence()?);
        Ok(())
    })?;
    revisions.check()?;
    let last = (done - 1) % count;
    expect(&value_of(wire, "puts", &key(last))?, &value(last), &key(last))?;
    Ok(report)
}

pub(crate) fn gets(wire: &mut Wire, arguments: &Arguments, window: usize) -> Result<Report> {
    let count = arguments.keys.min(FRAMES);
    let frames = Frames::new(count, |index, bytes| get_frame("bench", &key(index), bytes));
    let wanted = value(0).len();
    let (report, _) = measured(wire, arguments, &frames, window, |message| {
        let is_whole = message.payload.len() == wanted && message.status().is_none();
        if is_whole { Ok(()) } else { Err("a get found nothing".into()) }
    })?;
    expect(&value_of(wire, "bench", &key(count - 1))?, &value(count - 1), "the last key")?;
    Ok(report)
}

pub(crate) fn large_puts(wire: &mut Wire, arguments: &Arguments) -> Result<Report> {
    let frames =
        Frames::new(LARGE, |index, bytes| put_frame("large", &format!("bench.large{index}"), &large(index), bytes));
    let mut revisions = Revisions::default();
    let (report, _) = measured(wire, arguments, &frames, 1, |message| {
        revisions.add(message.sequence()?);
        Ok(())
    })?;
    revisions.check()?;
    expect(&value_of(wire, "large", "bench.large0")?, &large(0), "bench.large0")?;
    Ok(report)
}

pub(crate) fn large_gets(wire: &mut Wire, arguments: &Arguments) -> Result<Report> {
    let frames = Frames::new(LARGE, |index, bytes| get_frame("large", &format!("bench.large{index}"), bytes));
    let wanted = large(0).len();
    let (report, _) = measured(wire, arguments, &frames, 1, |message| {
        if message.payload.len() == wanted { Ok(()) } else { Err("a get found nothing".into()) }
    })?;
    expect(&value_of(wire, "large", "bench.large1")?, &large(1), "bench.large1")?;
    Ok(report)
}

/// W7h: one direct get of a run of messages, and the status that ends it.
pub(crate) fn histories(wire: &mut Wire, arguments: &Arguments) -> Result<Report> {
    let inbox = inbox();
    let body = format!("{{\"batch\":{REVISIONS},\"seq\":1,\"next_by_subj\":\"$KV.history.{HISTORY}\"}}");
    let request = format!("PUB $JS.API.DIRECT.GET.KV_history {inbox}r {}\r\n{body}\r\n", body.len());
    repeated(arguments, 1, || {
        wire.write(request.as_bytes())?;
        wire.take(REVISIONS + 1, |at, message| match (at < REVISIONS, message.status()) {
            (true, None) | (false, Some(b"204")) => Ok(()),
            _ => Err(format!("message {at} of a history: {}", String::from_utf8_lossy(message.headers)).into()),
        })
    })
}

/// W10: as few requests as are fastest, each for many subjects.
pub(crate) fn many_gets(wire: &mut Wire, arguments: &Arguments) -> Result<Report> {
    let inbox = inbox();
    let mut request = String::new();
    for group in 0..MANY / SUBJECTS {
        let keys = (group * SUBJECTS..(group + 1) * SUBJECTS).map(|index| format!("\"$KV.bench.{}\"", key(index)));
        let body = format!("{{\"multi_last\":[{}]}}", keys.collect::<Vec<_>>().join(","));
        request += &format!("PUB $JS.API.DIRECT.GET.KV_bench {inbox}r {}\r\n{body}\r\n", body.len());
    }
    repeated(arguments, MANY, || {
        wire.write(request.as_bytes())?;
        let (mut found, mut ends) = (0, 0);
        wire.take(MANY + MANY / SUBJECTS, |_, message| {
            match message.status() {
                None => found += 1,
                Some(b"204") => ends += 1,
                Some(_) => return Err(String::from_utf8_lossy(message.headers).into()),
            }
            Ok(())
        })?;
        if (found, ends) == (MANY, MANY / SUBJECTS) { Ok(()) } else { Err(format!("{found} of {MANY} keys").into()) }
    })
}

/// W10p: all at once, and wait for all.
pub(crate) fn many_puts(wire: &mut Wire, arguments: &Arguments) -> Result<Report> {
    let frames = Frames::new(MANY, |index, bytes| put_frame("puts", &key(index), &value(index + 1), bytes));
    let mut revisions = Revisions::default();
    let report = repeated(arguments, MANY, || {
        run(wire, &frames, 0, Limit::Count(MANY), MANY, &mut Vec::new(), |message| {
            revisions.add(message.sequence()?);
            Ok(())
        })?;
        Ok(())
    })?;
    revisions.check()?;
    expect(&value_of(wire, "puts", &key(MANY - 1))?, &value(MANY), "the last key")?;
    Ok(report)
}

/// W11.
pub(crate) fn one_get(wire: &mut Wire) -> Result<()> {
    expect(&value_of(wire, "bench", &key(0))?, &value(0), "the first key")
}

/// Calls that each do `ops` operations, for as long as is asked.
fn repeated(arguments: &Arguments, ops: usize, mut call: impl FnMut() -> Result<()>) -> Result<Report> {
    let warm = Instant::now();
    while warm.elapsed().as_secs_f64() < arguments.seconds / 5.0 {
        call()?;
    }
    let meter = Meter::start();
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed().as_secs_f64() < arguments.seconds {
        call()?;
        count += ops;
    }
    Ok(meter.stop(count))
}
