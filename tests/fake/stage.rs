//! Where a scenario is played: in a world with a FakeServer, or on a real nats-server.

use std::time::{Duration, Instant as Clock};

use natskv_core::{Client, Config, Error, Event, Instant, OpId, Outcome, WatchId, WatchItem};
use natskv_kit::{
    fake::Settings,
    live::Live,
    world::{Weather, World},
};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) trait Stage {
    /// Calls into the client, and lets out what comes of it.
    fn call<T>(&mut self, call: impl FnOnce(&mut Client, Instant) -> T) -> T;

    /// Runs an operation to its end.
    fn run(&mut self, start: impl FnOnce(&mut Client, Instant) -> Result<OpId, Error>) -> Result<Outcome, Error>;

    /// How establishing a watch ended.
    fn opened(&mut self, watch: WatchId) -> Result<(), Error>;

    /// The next item of a watch, or None when nothing comes for so long.
    fn next(&mut self, watch: WatchId, patience: Duration) -> Option<WatchItem>;
}

/// One client in a world in which nothing goes wrong.
#[derive(Debug)]
pub(crate) struct Model {
    world: World,
    seat: usize,
}

impl Model {
    pub(crate) fn new(level: u64) -> Self {
        let mut world = World::new(1, Settings { level, ..Settings::default() }, Weather::default());
        let seat = world.seat(Config::default()).expect("a plain configuration");
        Self { world, seat }
    }
}

impl Stage for Model {
    fn call<T>(&mut self, call: impl FnOnce(&mut Client, Instant) -> T) -> T {
        self.world.call(self.seat, call)
    }

    fn run(&mut self, start: impl FnOnce(&mut Client, Instant) -> Result<OpId, Error>) -> Result<Outcome, Error> {
        self.world.run(self.seat, start)
    }

    fn opened(&mut self, watch: WatchId) -> Result<(), Error> {
        let until = self.world.now + PATIENCE.as_nanos() as u64;
        loop {
            let events = &mut self.world.seats[self.seat].events;
            let is_its = |event: &Event| matches!(event, Event::WatchOpen { watch: opened, .. } if *opened == watch);
            let at = events.iter().position(is_its);
            if let Some(Event::WatchOpen { result, .. }) = at.and_then(|at| events.remove(at)) {
                return result;
            }
            assert!(self.world.step().is_some() && self.world.now < until, "{watch:?} is never established");
        }
    }

    fn next(&mut self, watch: WatchId, patience: Duration) -> Option<WatchItem> {
        let until = self.world.now + patience.as_nanos() as u64;
        loop {
            let item = self.call(|client, now| client.watch_next(watch, now));
            if item.is_some() {
                return item;
            }
            if self.world.next_at().is_none_or(|at| at > until) {
                self.world.now = until;
                return None;
            }
            self.world.step();
        }
    }
}

/// One client of a real server.
#[derive(Debug)]
pub(crate) struct Real(Live);

impl Real {
    pub(crate) fn new(port: u16) -> Self {
        Self(Live::connect(port, Config::default()).expect("the server is up"))
    }
}

impl Stage for Real {
    fn call<T>(&mut self, call: impl FnOnce(&mut Client, Instant) -> T) -> T {
        let now = self.0.now();
        let result = call(&mut self.0.client, now);
        self.0.pump();
        result
    }

    fn run(&mut self, start: impl FnOnce(&mut Client, Instant) -> Result<OpId, Error>) -> Result<Outcome, Error> {
        self.0.run(start)
    }

    fn opened(&mut self, watch: WatchId) -> Result<(), Error> {
        let until = Clock::now() + PATIENCE;
        loop {
            if let Some(result) = self.0.opened.remove(&watch.0) {
                return result;
            }
            assert!(Clock::now() < until, "{watch:?} is never established");
            self.0.turn(PATIENCE);
        }
    }

    fn next(&mut self, watch: WatchId, patience: Duration) -> Option<WatchItem> {
        self.0.next(watch, patience)
    }
}
