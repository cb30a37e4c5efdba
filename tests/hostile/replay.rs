//! A client at the other end of a conversation that went wrong.

use std::{collections::BTreeMap, time::Duration};

use natskv_core::{Action, Client, ConnId, Event, HandleOptions, Instant, Lost, OpId, State, WatchId, WatchItem};
use natskv_kit::ledger::{self, AtWork};

use crate::record::{Call, Step, Transcript, config};

/// How long after all was said the last operation must have ended: the longest of them wait for silence, several times.
const PATIENCE: Duration = Duration::from_secs(120);

/// A client that is closed waits no longer than this for answers.
const LINGER: Duration = Duration::from_secs(1);

/// A client wakes no more often than this in that time, and writes no more than that.
const MOST_WAKES: u32 = 20_000;
const MOST_WRITTEN: usize = 16 << 20;

/// What it may hold: what `config` bounds, with buffers that double, and its tables.
const MOST_BYTES: i64 = 4 << 20;

/// How it went.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Operations and watches that failed.
    pub(crate) errors: u32,
    pub(crate) connects: u32,
}

struct Player {
    client: Client,
    now: Instant,
    conn: ConnId,
    is_up: bool,
    ops: BTreeMap<OpId, u32>,
    watches: BTreeMap<WatchId, Watch>,
    wakes: u32,
    written: usize,
    is_closed: bool,
    told: Told,
}

#[derive(Default)]
struct Watch {
    opened: u32,
    is_failed: bool,
    is_ended: bool,
}

/// Plays the steps to a client. `is_original`: nothing may fail for want of an answer.
pub(crate) fn play(transcript: &Transcript, steps: &[Step], is_original: bool) -> Result<Told, String> {
    ledger::forget();
    let now = Instant::from_nanos(1);
    let mut client = {
        let _at_work = AtWork::of(1);
        let config = natskv_core::Config { randomize_servers: false, ..config() };
        Client::new(config, [42; 32], now).map_err(|error| error.to_string())?
    };
    let bucket = client.bind("b", &HandleOptions::default()).map_err(|error| error.to_string())?;
    let mut player = Player {
        client,
        now,
        conn: ConnId(0),
        is_up: false,
        ops: BTreeMap::new(),
        watches: BTreeMap::new(),
        wakes: 0,
        written: 0,
        is_closed: false,
        told: Told::default(),
    };
    player.pump()?;
    player.open()?;
    for step in steps {
        match step {
            Step::Call(at) => match transcript.calls[*at] {
                Call::Op(call) => {
                    if let Ok(op) = player.call(|client, now| call(client, bucket, now))? {
                        player.ops.entry(op).or_default();
                    }
                }
                Call::Watch(call) => {
                    if let Ok(watch) = player.call(|client, now| call(client, bucket, now))? {
                        player.watches.entry(watch).or_default();
                    }
                }
            },
            Step::Bytes(bytes) => {
                player.open()?;
                player.receive(bytes)?;
            }
            Step::Read => player.read()?,
            Step::Wait(time) => player.pass(*time)?,
            Step::Lose => player.lose()?,
        }
    }
    if is_original && let Some(op) = player.ops.iter().find(|(_, done)| **done != 1) {
        return Err(format!("{op:?} is not done"));
    }
    let told = std::mem::take(&mut player.told);
    player.end().map(|()| told)
}

impl Player {
    fn call<T>(&mut self, call: impl FnOnce(&mut Client, Instant) -> T) -> Result<T, String> {
        let result = self.at_work(call);
        self.pump()?;
        Ok(result)
    }

    fn at_work<T>(&mut self, call: impl FnOnce(&mut Client, Instant) -> T) -> T {
        let _at_work = AtWork::of(1);
        call(&mut self.client, self.now)
    }

    /// What it dialled is there.
    fn open(&mut self) -> Result<(), String> {
        if self.is_up {
            return Ok(());
        }
        self.is_up = true;
        let conn = self.conn;
        self.call(|client, now| client.transport_open(conn, now))
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<(), String> {
        let conn = self.conn;
        self.call(|client, now| client.receive(conn, bytes, now))
    }

    fn lose(&mut self) -> Result<(), String> {
        self.is_up = false;
        let conn = self.conn;
        self.call(|client, now| client.transport_closed(conn, Lost::Eof, now))
    }

    /// Wakes it at each of its deadlines.
    fn pass(&mut self, time: Duration) -> Result<(), String> {
        let end = self.now + time;
        while let Some(deadline) = self.client.deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.wakes += 1;
            if self.wakes > MOST_WAKES {
                return Err(format!("woken {MOST_WAKES} times"));
            }
            self.call(|client, now| client.handle_timeout(now))?;
        }
        self.now = end;
        Ok(())
    }

    fn read(&mut self) -> Result<(), String> {
        for watch in self.watches.keys().copied().collect::<Vec<_>>() {
            while let Some(item) = self.call(|client, now| client.watch_next(watch, now))? {
                let state = self.watches.entry(watch).or_default();
                if state.is_ended || state.is_failed {
                    return Err(format!("{item:?} of {watch:?}, which has ended"));
                }
                state.is_ended = matches!(item, WatchItem::Ended(_));
            }
        }
        Ok(())
    }

    fn pump(&mut self) -> Result<(), String> {
        let mut buffer = Vec::new();
        loop {
            let mut is_idle = true;
            while self.at_work(|client, _| client.poll_transmit(&mut buffer)).is_some() {
                is_idle = false;
                self.written += buffer.len();
            }
            while let Some(action) = self.at_work(|client, _| client.poll_action()) {
                is_idle = false;
                self.perform(&action)?;
            }
            while let Some(event) = self.at_work(|client, _| client.poll_event()) {
                is_idle = false;
                self.take(event)?;
            }
            if is_idle {
                break;
            }
        }
        if self.written > MOST_WRITTEN {
            return Err(format!("wrote {} bytes", self.written));
        }
        let held = ledger::bytes_of(1);
        if held > MOST_BYTES {
            return Err(format!("holds {held} bytes"));
        }
        Ok(())
    }

    fn perform(&mut self, action: &Action) -> Result<(), String> {
        if self.is_closed && !matches!(action, Action::Disconnect { .. }) {
            return Err(format!("{action:?} after it was closed"));
        }
        match action {
            Action::Connect { conn, .. } => {
                self.conn = *conn;
                self.is_up = false;
                self.told.connects += 1;
            }
            Action::Disconnect { conn } if *conn == self.conn => self.is_up = false,
            _ => {}
        }
        Ok(())
    }

    fn take(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Done { op, result } => {
                self.told.errors += u32::from(result.is_err());
                let done = self.ops.entry(op).or_default();
                *done += 1;
                if *done > 1 {
                    return Err(format!("{op:?} is done twice"));
                }
            }
            Event::WatchOpen { watch, result } => {
                let state = self.watches.entry(watch).or_default();
                state.opened += 1;
                state.is_failed = result.is_err();
                if state.opened > 1 {
                    return Err(format!("{watch:?} is open twice"));
                }
            }
            Event::State(State::Closed(_)) => self.is_closed = true,
            _ => {}
        }
        Ok(())
    }

    /// The server says no more: everything ends in its time, and then the client.
    fn end(&mut self) -> Result<(), String> {
        self.pass(PATIENCE)?;
        self.read()?;
        if let Some((op, _)) = self.ops.iter().find(|(_, done)| **done == 0) {
            return Err(format!("{op:?} has not ended after {PATIENCE:?} of silence"));
        }
        if let Some((watch, _)) = self.watches.iter().find(|(_, watch)| watch.opened == 0) {
            return Err(format!("{watch:?} is neither established nor failed after {PATIENCE:?} of silence"));
        }
        self.call(|client, now| client.close(now))?;
        self.pass(LINGER)?;
        self.read()?;
        if !self.is_closed {
            return Err("it does not close".into());
        }
        match self.client.deadline() {
            None => Ok(()),
            Some(deadline) => Err(format!("it is closed, and waits for {deadline:?}")),
        }
    }
}
