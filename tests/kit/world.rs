//! A whole world in one thread: clients, the links between them and a FakeServer, and one clock that jumps from event to event.
//!
//! Links delay, cut bytes anywhere, break, or go on as if nothing had happened while all is lost (half-open). Everything is drawn
//! from the seed: the same seed is the same history.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
    ops::Range,
    time::Duration,
};

use natskv_core::{Action, Client, Config, ConnId, Error, Event, Instant, Lost, OpId, Outcome, State};

use crate::{
    dice::Dice,
    fake::{FakeServer, Output, Publish, Settings, Tap},
    ledger::{self, AtWork},
};

/// A client that has to be woken more often at one time is going round in circles.
const MOST_WAKES: u32 = 1000;

/// How bytes are cut on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunks {
    /// As they were written.
    Whole,
    /// What is there together, cut at a few places.
    Any,
    /// Byte by byte.
    Single,
}

/// How the world treats its clients; nanoseconds, and chances in a thousand.
#[derive(Clone, Debug)]
pub struct Weather {
    /// Of each write, each way.
    pub latency: Range<u64>,
    pub dial: Range<u64>,
    /// Dialling is refused, or never answered.
    pub refusals: u64,
    pub black_holes: u64,
    /// How much later than its deadline a client is woken.
    pub lateness: Range<u64>,
    pub chunks: Chunks,
    /// Calls that a binding need not make, but may.
    pub mischief: u64,
}

impl Default for Weather {
    fn default() -> Self {
        Self {
            latency: 0..1,
            dial: 0..1,
            refusals: 0,
            black_holes: 0,
            lateness: 0..1,
            chunks: Chunks::Whole,
            mischief: 0,
        }
    }
}

/// How a connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Both sides know; of what is on its way to the server some may still arrive.
    Reset,
    /// Nothing arrives any more, neither way, and nobody is told; the server finds out after this time.
    Silent {
        server_after: u64,
    },
    /// The same, one way.
    Deaf,
    Mute,
}

#[derive(Debug)]
struct Segment {
    at: u64,
    bytes: Vec<u8>,
    is_idle: bool,
}

/// One direction of a link.
#[derive(Debug, Default)]
struct Pipe {
    segments: VecDeque<Segment>,
    last_at: u64,
    /// What is written vanishes.
    is_lossy: bool,
}

#[derive(Debug)]
struct Link {
    seat: usize,
    conn: ConnId,
    up: Pipe,
    down: Pipe,
    tap: Tap,
    /// The client has closed it, or knows that it is gone.
    is_left: bool,
}

/// A client at its place in the world.
#[derive(Debug)]
pub struct Seat {
    pub client: Client,
    /// What the client told, to be taken.
    pub events: VecDeque<Event>,
    /// What was handed to a transport: writes into streams.
    pub written: Vec<Publish>,
    link: Option<u64>,
    wake_at: Option<u64>,
    /// When it was woken last, and how often at that time.
    woken: (u64, u32),
    /// The transport takes no bytes now.
    is_blocked: bool,
    /// When something came that was more than a sign of life.
    pub last_news: u64,
    /// It told that it is closed, and gave out what ends the connection.
    is_over: bool,
    last_conn: ConnId,
}

#[derive(Debug)]
enum Happening {
    Dialled { seat: usize, conn: ConnId, node: Option<usize> },
    Up { link: u64 },
    Down { link: u64 },
    ServerLost { link: u64 },
    ClientLost { link: u64, why: Lost },
    Wake { seat: usize },
    Unblock { seat: usize },
    Script { token: u64 },
}

#[derive(Debug)]
struct Due {
    at: u64,
    order: u64,
    happening: Happening,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

#[derive(Debug)]
pub struct World {
    pub now: u64,
    pub dice: Dice,
    pub server: FakeServer,
    pub seats: Vec<Seat>,
    pub weather: Weather,
    agenda: BinaryHeap<Reverse<Due>>,
    order: u64,
    links: BTreeMap<u64, Link>,
    last_link: u64,
    /// How many events there were.
    pub steps: u64,
    /// What a client did that none may: the end of a simulation.
    pub broken: Vec<String>,
    /// The story, if somebody wants to read it.
    pub story: Option<Vec<String>>,
}

impl World {
    pub fn new(seed: u64, settings: Settings, weather: Weather) -> Self {
        let mut dice = Dice::new(seed);
        Self {
            now: 1,
            server: FakeServer::new(settings, dice.fork()),
            dice,
            seats: Vec::new(),
            weather,
            agenda: BinaryHeap::new(),
            order: 0,
            links: BTreeMap::new(),
            last_link: 0,
            steps: 0,
            broken: Vec::new(),
            story: None,
        }
    }

    /// One more client; it dials at once.
    pub fn seat(&mut self, config: Config) -> Result<usize, Error> {
        let nodes = 0..self.server.settings.nodes;
        let servers = nodes.map(|node| format!("nats://n{node}:4222")).collect();
        let (config, entropy, now) = (Config { servers, ..config }, self.dice.entropy(), self.instant());
        let client = {
            let _at_work = AtWork::of(self.seats.len() + 1);
            Client::new(config, entropy, now)?
        };
        self.seats.push(Seat {
            client,
            events: VecDeque::new(),
            written: Vec::new(),
            link: None,
            wake_at: None,
            woken: (0, 0),
            is_blocked: false,
            last_news: self.now,
            is_over: false,
            last_conn: ConnId(0),
        });
        let seat = self.seats.len() - 1;
        self.pump(seat);
        Ok(seat)
    }

    /// Calls into a client, whose memory is booked to it.
    fn at_work<T>(&mut self, seat: usize, call: impl FnOnce(&mut Client) -> T) -> T {
        let _at_work = AtWork::of(seat + 1);
        call(&mut self.seats[seat].client)
    }

    /// Bytes that a client holds, where `Ledger` is the program's allocator.
    pub fn bytes_of(&self, seat: usize) -> i64 {
        ledger::bytes_of(seat + 1)
    }

    pub const fn instant(&self) -> Instant {
        Instant::from_nanos(self.now)
    }

    /// A line of the story.
    pub fn tell(&mut self, line: impl FnOnce() -> String) {
        let now = self.now;
        if let Some(story) = &mut self.story {
            story.push(format!("{:>12.6}  {}", now as f64 / 1e9, line()));
        }
    }

    /// Runs a command and drains.
    pub fn call<T>(&mut self, seat: usize, call: impl FnOnce(&mut Client, Instant) -> T) -> T {
        let now = self.instant();
        let result = self.at_work(seat, |client| call(client, now));
        self.pump(seat);
        result
    }

    /// Runs an operation to its end, letting the world go on meanwhile; what else is told is put aside.
    pub fn run(
        &mut self,
        seat: usize,
        start: impl FnOnce(&mut Client, Instant) -> Result<OpId, Error>,
    ) -> Result<Outcome, Error> {
        let op = self.call(seat, start)?;
        loop {
            let is_end = |event: &Event| matches!(event, Event::Done { op: done, .. } if *done == op);
            let at = self.seats[seat].events.iter().position(is_end);
            if let Some(Event::Done { result, .. }) = at.and_then(|at| self.seats[seat].events.remove(at)) {
                return result;
            }
            assert!(self.step().is_some(), "the world stands still before {op:?} has ended");
        }
    }

    /// Lets so much time pass.
    pub fn pass(&mut self, time: Duration) {
        let until = self.now + time.as_nanos() as u64;
        while self.next_at().is_some_and(|at| at <= until) {
            self.step();
        }
        self.now = until;
    }

    /// Comes back as `Some(token)` from `step`, at this time.
    pub fn script(&mut self, at: u64, token: u64) {
        self.at(at, Happening::Script { token });
    }

    pub fn next_at(&self) -> Option<u64> {
        let agenda = self.agenda.peek().map(|Reverse(due)| due.at);
        agenda.into_iter().chain(self.server.deadline()).min()
    }

    /// The next event; the token of a script, or 0. None: nothing will ever happen.
    pub fn step(&mut self) -> Option<u64> {
        let at = self.next_at()?;
        self.now = self.now.max(at);
        self.steps += 1;
        if self.server.deadline().is_some_and(|at| at <= self.now) {
            self.server.handle_timeout(self.now);
            self.drain_server();
            return Some(0);
        }
        let Reverse(due) = self.agenda.pop()?;
        Some(self.happen(due.happening))
    }

    fn at(&mut self, at: u64, happening: Happening) {
        self.order += 1;
        self.agenda.push(Reverse(Due { at, order: self.order, happening }));
    }

    fn happen(&mut self, happening: Happening) -> u64 {
        match happening {
            Happening::Dialled { seat, conn, node } => self.dialled(seat, conn, node),
            Happening::Up { link } => self.arrive_up(link),
            Happening::Down { link } => self.arrive_down(link),
            Happening::ServerLost { link } => {
                self.server.lost(link, self.now);
                self.drain_server();
            }
            Happening::ClientLost { link, why } => {
                if let Some(link) = self.links.get(&link).filter(|link| !link.is_left) {
                    let (seat, conn) = (link.seat, link.conn);
                    self.lose(seat, conn, why);
                }
            }
            Happening::Wake { seat } => self.wake(seat),
            Happening::Unblock { seat } => {
                self.seats[seat].is_blocked = false;
                self.pump(seat);
            }
            Happening::Script { token } => return token,
        }
        0
    }

    // ── clients

    fn wake(&mut self, seat: usize) {
        if self.seats[seat].wake_at.is_none_or(|at| at > self.now) {
            return; // an earlier wake-up came in between
        }
        self.seats[seat].wake_at = None;
        let now = self.instant();
        self.at_work(seat, |client| client.handle_timeout(now));
        self.pump(seat);
        let (at, count) = self.seats[seat].woken;
        self.seats[seat].woken = (self.now, if at == self.now { count + 1 } else { 0 });
        if count > MOST_WAKES {
            self.broken
                .push(format!("client {seat}: handle_timeout leaves a deadline that has passed, again and again"));
        }
        if self.weather.mischief > 0 && self.dice.permille(self.weather.mischief) {
            self.mischief(seat);
        }
    }

    /// Calls that are allowed and mean nothing: twice, too early, too late, about connections of the past.
    fn mischief(&mut self, seat: usize) {
        let (now, conn) = (self.instant(), self.seats[seat].last_conn);
        let old = ConnId(conn.0.saturating_sub(1));
        let past = Instant::from_nanos(self.now / 2);
        let is_linked = self.seats[seat].link.is_some();
        let which = self.dice.below(6);
        self.at_work(seat, |client| match which {
            0 => client.handle_timeout(past),
            1 => client.transport_closed(old, Lost::Reset, now),
            2 => client.receive(old, b"PONG\r\n-ERR 'old'\r\nMSG", now),
            3 => client.transport_open(old, past),
            4 if is_linked => client.transport_open(conn, now),
            _ => client.handle_timeout(now),
        });
        self.pump(seat);
    }

    /// Drains a client's outputs, in the contract's order.
    pub fn pump(&mut self, seat: usize) {
        let mut buffer = Vec::new();
        loop {
            let mut is_idle = true;
            while !self.seats[seat].is_blocked
                && let Some(conn) = self.at_work(seat, |client| client.poll_transmit(&mut buffer))
            {
                is_idle = false;
                self.write(seat, conn, &buffer);
            }
            while let Some(action) = self.at_work(seat, Client::poll_action) {
                is_idle = false;
                if self.seats[seat].is_over {
                    self.broken.push(format!("client {seat}: {action:?} after it was closed"));
                }
                self.perform(seat, action);
            }
            while let Some(event) = self.at_work(seat, Client::poll_event) {
                is_idle = false;
                self.tell(|| format!("client {seat} {}", told(&event)));
                self.seats[seat].events.push_back(event);
            }
            if is_idle {
                break;
            }
        }
        let is_over = matches!(self.seats[seat].client.state(), State::Closed(_)) && !self.seats[seat].is_blocked;
        self.seats[seat].is_over |= is_over;
        if let Some(deadline) = self.seats[seat].client.deadline().map(Instant::as_nanos) {
            if is_over {
                self.broken.push(format!("client {seat}: a deadline after it was closed"));
            }
            let late = self.dice.within(&self.weather.lateness.clone());
            let at = deadline.max(self.now) + late;
            if self.seats[seat].wake_at.is_none_or(|armed| armed > at) {
                self.seats[seat].wake_at = Some(at);
                self.at(at, Happening::Wake { seat });
            }
        }
    }

    fn perform(&mut self, seat: usize, action: Action) {
        match action {
            Action::Connect { conn, server, .. } => {
                self.leave(seat);
                self.seats[seat].last_conn = conn;
                let node = server.host.strip_prefix('n').and_then(|node| node.parse().ok());
                let wait = self.dice.within(&self.weather.dial.clone());
                if !self.dice.permille(self.weather.black_holes) {
                    let is_refused = self.dice.permille(self.weather.refusals);
                    let node = node.filter(|_| !is_refused);
                    self.at(self.now + wait, Happening::Dialled { seat, conn, node });
                }
            }
            Action::Disconnect { conn } => {
                let link = self.seats[seat].link.and_then(|link| self.links.get(&link));
                if link.is_some_and(|link| link.conn == conn) {
                    self.leave(seat);
                }
            }
            Action::Credentials { .. } | Action::Sign { .. } | Action::StartTls { .. } => {
                self.broken.push(format!("client {seat}: nobody asked for {action:?}"));
            }
        }
    }

    fn dialled(&mut self, seat: usize, conn: ConnId, node: Option<usize>) {
        if self.seats[seat].last_conn != conn {
            return; // given up meanwhile
        }
        let now = self.instant();
        let Some(node) = node.filter(|node| self.server.is_up(*node)) else {
            self.tell(|| format!("client {seat} is refused"));
            self.at_work(seat, |client| client.transport_closed(conn, Lost::Refused, now));
            return self.pump(seat);
        };
        self.last_link += 1;
        let id = self.last_link;
        self.tell(|| format!("client {seat} is connected to node {node}: link {id}"));
        let tap = Tap::new(id);
        let link = Link { seat, conn, up: Pipe::default(), down: Pipe::default(), tap, is_left: false };
        self.links.insert(id, link);
        self.seats[seat].link = Some(id);
        self.at_work(seat, |client| client.transport_open(conn, now));
        self.pump(seat);
        self.server.accept(id, node, self.now);
        self.drain_server();
    }

    /// The client's side closes its link: what it wrote still arrives.
    fn leave(&mut self, seat: usize) {
        let Some(id) = self.seats[seat].link.take() else { return };
        let now = self.now;
        let Some(link) = self.links.get_mut(&id) else { return };
        link.is_left = true;
        let at = link.up.last_at.max(now);
        if !link.up.is_lossy {
            self.at(at, Happening::ServerLost { link: id });
        }
    }

    fn lose(&mut self, seat: usize, conn: ConnId, why: Lost) {
        if let Some(link) = self.seats[seat].link.take().and_then(|id| self.links.get_mut(&id)) {
            link.is_left = true;
        }
        let now = self.instant();
        self.tell(|| format!("client {seat} lost its connection: {why:?}"));
        self.at_work(seat, |client| client.transport_closed(conn, why, now));
        self.pump(seat);
    }

    // ── links

    fn write(&mut self, seat: usize, conn: ConnId, bytes: &[u8]) {
        if self.seats[seat].is_over {
            self.broken.push(format!("client {seat}: writes after it was closed"));
        }
        let latency = self.dice.within(&self.weather.latency.clone());
        let now = self.now;
        let Some(id) = self.seats[seat].link else { return };
        let Some(link) = self.links.get_mut(&id).filter(|link| link.conn == conn) else { return };
        self.seats[seat].written.extend(link.tap.feed(bytes));
        let is_lossy = if link.up.is_lossy { " (into the void)" } else { "" };
        if let Some(story) = &mut self.story {
            let text = brief(&String::from_utf8_lossy(bytes), 300);
            story.push(format!("{:>12.6}  client {seat} ->{is_lossy} {text}", now as f64 / 1e9));
        }
        if let Some(at) = link.up.push(bytes.to_vec(), false, now + latency) {
            self.at(at, Happening::Up { link: id });
        }
    }

    fn drain_server(&mut self) {
        while let Some(output) = self.server.poll() {
            match output {
                Output::Bytes { conn, bytes, is_idle } => {
                    let latency = self.dice.within(&self.weather.latency.clone());
                    let now = self.now;
                    let Some(link) = self.links.get_mut(&conn) else { continue };
                    if let Some(at) = link.down.push(bytes, is_idle, now + latency) {
                        self.at(at, Happening::Down { link: conn });
                    }
                }
                Output::Close { conn } => {
                    let Some(link) = self.links.get(&conn) else { continue };
                    if !link.down.is_lossy {
                        let at = link.down.last_at.max(self.now);
                        self.at(at, Happening::ClientLost { link: conn, why: Lost::Eof });
                    }
                }
            }
        }
    }

    fn arrive_up(&mut self, id: u64) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let segments = link.up.due(self.now);
        for chunk in self.chunks(segments) {
            self.server.receive(id, &chunk.bytes, self.now);
        }
        self.drain_server();
    }

    fn arrive_down(&mut self, id: u64) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let segments = link.down.due(self.now);
        if link.is_left {
            return;
        }
        let (seat, conn) = (link.seat, link.conn);
        for Segment { bytes, .. } in segments.iter().filter(|segment| !segment.is_idle) {
            self.tell(|| format!("client {seat} <- {}", brief(&String::from_utf8_lossy(bytes), 200)));
        }
        for chunk in self.chunks(segments) {
            if !chunk.is_idle {
                self.seats[seat].last_news = self.now;
            }
            let now = self.instant();
            self.at_work(seat, |client| client.receive(conn, &chunk.bytes, now));
            self.pump(seat);
        }
    }

    /// Segments as they are handed over: together or in pieces.
    fn chunks(&mut self, segments: Vec<Segment>) -> Vec<Segment> {
        let mut pieces = Vec::new();
        for Segment { at, bytes, is_idle } in segments {
            let most = match self.weather.chunks {
                Chunks::Whole => usize::MAX,
                Chunks::Any if self.dice.permille(700) => usize::MAX,
                Chunks::Any => 1 + self.dice.below(bytes.len() as u64) as usize,
                Chunks::Single => 1,
            };
            pieces.extend(bytes.chunks(most).map(|piece| Segment { at, bytes: piece.to_vec(), is_idle }));
        }
        pieces
    }

    // ── what goes wrong

    /// Whether a client has a link now.
    pub fn is_linked(&self, seat: usize) -> bool {
        self.seats[seat].link.is_some()
    }

    /// Whether a client's transport takes no bytes now.
    pub fn is_blocked(&self, seat: usize) -> bool {
        self.seats[seat].is_blocked
    }

    /// Breaks a client's connection.
    pub fn cut(&mut self, seat: usize, cut: Cut) {
        let Some(id) = self.seats[seat].link else { return };
        self.tell(|| format!("link {id} of client {seat} breaks: {cut:?}"));
        let now = self.now;
        let Some(link) = self.links.get_mut(&id) else { return };
        // Of what is on its way a part arrives, cut anywhere.
        let mut crop = |pipe: &mut Pipe| {
            let total: usize = pipe.segments.iter().map(|segment| segment.bytes.len()).sum();
            let mut kept = self.dice.below(total as u64 + 1) as usize;
            for segment in &mut pipe.segments {
                let part = kept.min(segment.bytes.len());
                segment.bytes.truncate(part);
                kept -= part;
            }
            pipe.is_lossy = true;
        };
        if cut != Cut::Deaf {
            crop(&mut link.up);
        }
        if cut != Cut::Mute {
            crop(&mut link.down);
        }
        let (conn, last) = (link.conn, link.up.last_at.max(now));
        match cut {
            Cut::Reset => {
                self.at(last, Happening::ServerLost { link: id });
                self.lose(seat, conn, Lost::Reset);
            }
            Cut::Silent { server_after } => self.at(last.max(now + server_after), Happening::ServerLost { link: id }),
            Cut::Deaf | Cut::Mute => {}
        }
    }

    /// A client's transport takes no bytes for a while.
    pub fn block(&mut self, seat: usize, time: u64) {
        self.tell(|| format!("client {seat} can write nothing for {} ms", time / 1_000_000));
        self.seats[seat].is_blocked = true;
        self.at(self.now + time, Happening::Unblock { seat });
    }

    /// Lets something happen to the server, and what follows from it.
    pub fn serve<T>(&mut self, call: impl FnOnce(&mut FakeServer, u64) -> T) -> T {
        let result = call(&mut self.server, self.now);
        self.drain_server();
        result
    }

    /// Whose connection it is, or was.
    pub fn seat_of(&self, conn: u64) -> Option<usize> {
        self.links.get(&conn).map(|link| link.seat)
    }
}

impl Pipe {
    /// When what was written arrives; None: never.
    fn push(&mut self, bytes: Vec<u8>, is_idle: bool, at: u64) -> Option<u64> {
        if self.is_lossy {
            return None;
        }
        let at = self.last_at.max(at);
        self.last_at = at;
        self.segments.push_back(Segment { at, bytes, is_idle });
        Some(at)
    }

    /// What has arrived.
    fn due(&mut self, now: u64) -> Vec<Segment> {
        let count = self.segments.iter().take_while(|segment| segment.at <= now).count();
        self.segments.drain(..count).filter(|segment| !segment.bytes.is_empty()).collect()
    }
}

/// An operation's number as people can tell it from others.
pub fn op_name(op: OpId) -> String {
    format!("op {}.{}", op.0 & 0xff_ffff, op.0 >> 24)
}

/// As much of a text as one wants to read.
fn brief(text: &str, most: usize) -> String {
    let is_longer = text.chars().nth(most).is_some();
    let end = if is_longer { "…" } else { "" };
    format!("{}{end}", text.chars().take(most).collect::<String>().escape_debug())
}

/// An event in few words.
fn told(event: &Event) -> String {
    match event {
        Event::Done { op, result: Ok(outcome) } => format!("{}: {}", op_name(*op), brief(&format!("{outcome:?}"), 400)),
        Event::Done { op, result: Err(error) } => {
            let maybe = if error.maybe_applied { ", maybe applied" } else { "" };
            format!("{}: {} ({}{maybe})", op_name(*op), error.code.name(), error.message)
        }
        other => format!("{other:?}"),
    }
}
