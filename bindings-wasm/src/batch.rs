//! The way out of wasm: a run of records, made in one call and read in place by `ts/batch.ts`.
//!
//! A record is a tag and its fields, all `f64` (ids, lengths and revisions up to 2^53 are exact). Texts stand one after
//! the other in one UTF-8 run, so TypeScript decodes once and cuts; their lengths count UTF-16 units. Values are not
//! copied here at all: a record points into the entry, which the batch keeps alive until the next one is made.

use natskv_core::{
    Action, Client, Entry, Error, Event, Instant, Notice, Opened, Operation, Outcome, Reason, Scheme, Seed, State,
    TlsMode, WatchId, WatchItem, json::Value,
};

/// Record tags; `ts/batch.ts` has the same table.
mod tag {
    /// conn, pointer, length
    pub(super) const WRITE: f64 = 0.0;
    /// conn, scheme (0 nats, 1 tls, 2 ws, 3 wss), port, TLS first, texts: host, path, name of the certificate
    pub(super) const CONNECT: f64 = 1.0;
    /// conn, name
    pub(super) const START_TLS: f64 = 2.0;
    /// conn
    pub(super) const DISCONNECT: f64 = 3.0;
    /// conn, reason (0 first, 1 reconnect, 2 refused, 3 expired)
    pub(super) const CREDENTIALS: f64 = 4.0;
    /// conn, pointer and length of the seed's bytes (none: the binding knows it), nonce
    pub(super) const SIGN: f64 = 5.0;
    /// op
    pub(super) const UNIT: f64 = 6.0;
    /// op, number
    pub(super) const NUMBER: f64 = 7.0;
    /// op, ENTRY
    pub(super) const ENTRY: f64 = 8.0;
    /// op, as of which revision or 0, count, that many ENTRY
    pub(super) const ENTRIES: f64 = 9.0;
    /// op, count, that many texts
    pub(super) const NAMES: f64 = 10.0;
    /// op, text
    pub(super) const JSON: f64 = 11.0;
    /// op, bucket, whether it is read-only, texts: name, key policy, JSON list of drift
    pub(super) const OPENED: f64 = 12.0;
    /// op, count, that many: revision, or 0, code, text: JSON
    pub(super) const WRITTEN: f64 = 13.0;
    /// op, done, total
    pub(super) const PROGRESS: f64 = 14.0;
    /// op, code, text: JSON
    pub(super) const ERROR: f64 = 15.0;
    /// watch
    pub(super) const WATCH_OPEN: f64 = 16.0;
    /// watch, code, text: JSON
    pub(super) const WATCH_ERROR: f64 = 17.0;
    /// watch
    pub(super) const WATCH_READY: f64 = 18.0;
    /// state, code or 0, text: JSON of its error or empty
    pub(super) const STATE: f64 = 19.0;
    /// notice, watch or 0, text
    pub(super) const NOTICE: f64 = 20.0;
    /// watch items: ENTRY; none; none; code, text: JSON
    pub(super) const ITEM: f64 = 21.0;
    pub(super) const CAUGHT_UP: f64 = 22.0;
    pub(super) const RESET: f64 = 23.0;
    pub(super) const ENDED: f64 = 24.0;
}

/// A pull stops after so many items or value bytes: enough to make the call's cost vanish, little enough to hold.
const PULL_ITEMS: usize = 512;
const PULL_BYTES: usize = 256 << 10;

/// Capacity beyond this is given back after use, so that one large burst is not kept for ever.
const KEPT_CAPACITY: usize = 1 << 20;

#[derive(Default)]
pub(crate) struct Batch {
    /// Pointer and length of `numbers`, pointer and length of `text`, deadline in milliseconds (infinite: none).
    head: Box<[f64; 5]>,
    numbers: Vec<f64>,
    text: String,
    lent: Vec<Entry>,
    /// Lent too, until the next batch.
    seed: Option<Seed>,
    writes: Vec<Vec<u8>>,
    writes_used: usize,
}

impl Batch {
    /// Drains core: output (if `write`), actions, events, until all give nothing.
    pub(crate) fn poll(&mut self, client: &mut Client, write: bool) -> *const f64 {
        self.clear();
        loop {
            let before = self.numbers.len();
            if write {
                self.take_output(client);
            }
            while let Some(action) = client.poll_action() {
                if matches!(action, Action::Disconnect { .. }) {
                    self.take_output(client); // a last word goes out before the close, however much is buffered
                }
                self.action(&action);
            }
            while let Some(event) = client.poll_event() {
                self.event(event);
            }
            if self.numbers.len() == before {
                break;
            }
        }
        self.seal(client)
    }

    /// The items of one watch that are there, up to a bound.
    pub(crate) fn pull(&mut self, client: &mut Client, watch: WatchId, now: Instant) -> *const f64 {
        self.clear();
        let mut bytes = 0;
        for _ in 0..PULL_ITEMS {
            let Some(item) = client.watch_next(watch, now) else { break };
            match item {
                WatchItem::Entry(entry) => {
                    bytes += entry.value().len();
                    self.numbers.push(tag::ITEM);
                    self.entry(entry);
                }
                WatchItem::CaughtUp => self.numbers.push(tag::CAUGHT_UP),
                WatchItem::Reset => self.numbers.push(tag::RESET),
                WatchItem::Ended(error) => {
                    self.numbers.push(tag::ENDED);
                    self.error(&error);
                }
            }
            if bytes >= PULL_BYTES {
                break;
            }
        }
        self.seal(client)
    }

    fn clear(&mut self) {
        self.numbers.clear();
        self.text.clear();
        self.lent.clear();
        self.seed = None;
        self.numbers.shrink_to(KEPT_CAPACITY / size_of::<f64>());
        self.text.shrink_to(KEPT_CAPACITY);
        self.lent.shrink_to(KEPT_CAPACITY / size_of::<Entry>());
        for buffer in &mut self.writes[..self.writes_used] {
            buffer.clear();
            buffer.shrink_to(KEPT_CAPACITY);
        }
        self.writes_used = 0;
    }

    fn seal(&mut self, client: &Client) -> *const f64 {
        let deadline = client.deadline().map_or(f64::INFINITY, |deadline| deadline.as_nanos() as f64 / 1e6);
        *self.head = [
            self.numbers.as_ptr() as usize as f64,
            self.numbers.len() as f64,
            self.text.as_ptr() as usize as f64,
            self.text.len() as f64,
            deadline,
        ];
        self.head.as_ptr()
    }

    fn take_output(&mut self, client: &mut Client) {
        loop {
            if self.writes_used == self.writes.len() {
                self.writes.push(Vec::new());
            }
            let buffer = &mut self.writes[self.writes_used];
            let Some(conn) = client.poll_transmit(buffer) else { return };
            self.numbers.extend([tag::WRITE, conn.0 as f64, buffer.as_ptr() as usize as f64, buffer.len() as f64]);
            self.writes_used += 1;
        }
    }

    fn action(&mut self, action: &Action) {
        match action {
            Action::Connect { conn, server, tls } => {
                let scheme = match server.scheme {
                    Scheme::Nats => 0.0,
                    Scheme::Tls => 1.0,
                    Scheme::Ws => 2.0,
                    Scheme::Wss => 3.0,
                };
                let tls_first = if *tls == TlsMode::First { 1.0 } else { 0.0 };
                self.numbers.extend([tag::CONNECT, conn.0 as f64, scheme, f64::from(server.port), tls_first]);
                self.text(&server.host);
                self.text(&server.path);
                self.text(&server.tls_name);
            }
            Action::Credentials { conn, reason } => {
                let reason = match reason {
                    Reason::First => 0.0,
                    Reason::Reconnect => 1.0,
                    Reason::Refused => 2.0,
                    Reason::Expired => 3.0,
                };
                self.numbers.extend([tag::CREDENTIALS, conn.0 as f64, reason]);
            }
            Action::Sign { conn, nonce, seed } => {
                self.seed.clone_from(seed);
                let bytes: &[u8] = self.seed.as_ref().map_or(&[], |seed| seed.bytes());
                let at = bytes.as_ptr() as usize as f64;
                self.numbers.extend([tag::SIGN, conn.0 as f64, at, bytes.len() as f64]);
                self.text(nonce);
            }
            Action::StartTls { conn, server_name } => {
                self.numbers.extend([tag::START_TLS, conn.0 as f64]);
                self.text(server_name);
            }
            Action::Disconnect { conn } => self.numbers.extend([tag::DISCONNECT, conn.0 as f64]),
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Done { op, result: Ok(outcome) } => self.outcome(op.0 as f64, outcome),
            Event::Done { op, result: Err(error) } => {
                self.numbers.extend([tag::ERROR, op.0 as f64]);
                self.error(&error);
            }
            Event::WatchOpen { watch, result: Ok(()) } => self.numbers.extend([tag::WATCH_OPEN, watch.0 as f64]),
            Event::WatchOpen { watch, result: Err(error) } => {
                self.numbers.extend([tag::WATCH_ERROR, watch.0 as f64]);
                self.error(&error);
            }
            Event::WatchReady(watch) => self.numbers.extend([tag::WATCH_READY, watch.0 as f64]),
            Event::Progress { op, done, total } => {
                self.numbers.extend([tag::PROGRESS, op.0 as f64, done as f64, total as f64]);
            }
            Event::State(state) => self.state(&state),
            Event::Notice(notice) => self.notice(&notice),
        }
    }

    fn outcome(&mut self, op: f64, outcome: Outcome) {
        match outcome {
            Outcome::Unit => self.numbers.extend([tag::UNIT, op]),
            Outcome::Revision(number) | Outcome::Purged(number) | Outcome::Count(number) => {
                self.numbers.extend([tag::NUMBER, op, number as f64])
            }
            Outcome::Opened(opened) => {
                let Opened { bucket, status, drift } = *opened;
                let is_read_only = f64::from(u8::from(status.read_only.is_some()));
                self.numbers.extend([tag::OPENED, op, f64::from(bucket.0), is_read_only]);
                self.text(&status.bucket);
                self.text(status.keys.name());
                self.text(&Value::from(drift).to_string());
            }
            Outcome::RoundTrip(time) => self.numbers.extend([tag::NUMBER, op, time.as_nanos() as f64 / 1e6]),
            Outcome::Entry(entry) => {
                self.numbers.extend([tag::ENTRY, op]);
                self.entry(entry);
            }
            Outcome::Entries(entries) => self.entries(op, entries, None),
            Outcome::Many { entries, as_of } => self.entries(op, entries, as_of),
            Outcome::Written(results) => {
                self.numbers.extend([tag::WRITTEN, op, results.len() as f64]);
                for result in results {
                    match result {
                        Ok(revision) => self.numbers.push(revision as f64),
                        Err(error) => {
                            self.numbers.push(0.0);
                            self.error(&error);
                        }
                    }
                }
            }
            Outcome::Names(names) => {
                self.numbers.extend([tag::NAMES, op, names.len() as f64]);
                names.iter().for_each(|name| self.text(name));
            }
            Outcome::Status(status) => self.json(op, &status.to_json()),
            Outcome::Statuses(statuses) => {
                let all: Vec<_> = statuses.iter().map(|status| status.to_json()).collect();
                self.json(op, &format!("[{}]", all.join(",")));
            }
            Outcome::Json(text) => self.json(op, &text),
        }
    }

    fn json(&mut self, op: f64, text: &str) {
        self.numbers.extend([tag::JSON, op]);
        self.text(text);
    }

    fn entries(&mut self, op: f64, entries: Vec<Entry>, as_of: Option<u64>) {
        self.numbers.extend([tag::ENTRIES, op, as_of.unwrap_or(0) as f64, entries.len() as f64]);
        entries.into_iter().for_each(|entry| self.entry(entry));
    }

    /// ENTRY: revision, created in whole milliseconds, nanoseconds after that, delta, operation (0 PUT, 1 DEL, 2 PURGE),
    /// length, value's pointer, value's length, its TTL in milliseconds or NaN, when it expires in milliseconds since 1970 or NaN,
    /// key, key as stored
    fn entry(&mut self, entry: Entry) {
        let operation = match entry.operation {
            Operation::Put => 0.0,
            Operation::Delete => 1.0,
            Operation::Purge => 2.0,
        };
        let value = entry.value();
        self.numbers.extend([
            entry.revision as f64,
            entry.created_ns.div_euclid(1_000_000) as f64,
            entry.created_ns.rem_euclid(1_000_000) as f64,
            entry.delta as f64,
            operation,
            entry.length as f64,
            value.as_ptr() as usize as f64,
            value.len() as f64,
            entry.ttl().map_or(f64::NAN, |ttl| ttl.as_nanos() as f64 / 1e6),
            entry.expires_ns.map_or(f64::NAN, |at| at as f64 / 1e6),
        ]);
        self.text(entry.key());
        let raw_key = entry.raw_key();
        self.text(if raw_key == entry.key() { "" } else { raw_key });
        self.lent.push(entry); // its bytes are boxed, so the pointer stays good while it moves
    }

    fn state(&mut self, state: &State) {
        let (number, error) = match state {
            State::Connecting => (0.0, None),
            State::Connected => (1.0, None),
            State::Disconnected(error) => (2.0, Some(error)),
            State::Reconnecting => (3.0, None),
            State::Draining => (4.0, None),
            State::Closed(error) => (5.0, error.as_ref()),
        };
        self.numbers.extend([tag::STATE, number]);
        match error {
            Some(error) => self.error(error),
            None => self.numbers.extend([0.0, 0.0]),
        }
    }

    fn notice(&mut self, notice: &Notice) {
        let (number, watch, text) = match notice {
            Notice::ServerError(text) => (0.0, 0, text.as_str()),
            Notice::LameDuck => (1.0, 0, ""),
            Notice::WatchResumed(watch, why) => (2.0, watch.0, *why),
            Notice::WatchOverflow(watch) => (3.0, watch.0, ""),
            Notice::WatchReset(watch) => (4.0, watch.0, ""),
        };
        self.numbers.extend([tag::NOTICE, number, watch as f64]);
        self.text(text);
    }

    fn error(&mut self, error: &Error) {
        self.numbers.push(f64::from(error.code.number()));
        self.text(&error.to_json());
    }

    fn text(&mut self, text: &str) {
        let units = if text.is_ascii() { text.len() } else { text.encode_utf16().count() };
        self.numbers.push(units as f64);
        self.text.push_str(text);
    }
}
