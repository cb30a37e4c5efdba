//! A connection that is up: whether it still lives, and when it is better left.

use alloc::format;
use core::time::Duration;

use super::{Change, Phase, Ping, Session, Why};
use crate::{
    error::{Error, ErrorCode},
    event::{Action, State},
    rng::Rng,
    time::{Instant, nanos},
};

/// A deadline that is noticed later than this was slept through: by the machine, a frozen page, a process that stood still.
const LATE_AFTER: Duration = Duration::from_secs(1);

/// A server in lame duck mode closes the first connections after 10 s by default. Clients leave one by one, so that not all knock at
/// the next server together, and all before that.
const LEAVE_WITHIN: Duration = Duration::from_secs(4);

/// How long what is in flight may hold up the leaving.
const LEAVE_PATIENCE: Duration = Duration::from_secs(3);

impl Session {
    pub(super) fn ping(&mut self, why: Why, now: Instant) {
        self.link.bytes().extend_from_slice(b"PING\r\n");
        self.pings.push_back(Ping { sent: now, why });
    }

    pub(super) fn keep_alive(&mut self, rng: &mut Rng, now: Instant) -> Change {
        if let Some(due) = self.proof_due.filter(|due| *due <= now) {
            if now.since(due) <= LATE_AFTER || self.is_proof_extended {
                let text = format!("{}: stale connection, no answer after waking", self.server_url());
                return self.abandon(Error::new(ErrorCode::Disconnected, text), rng, now);
            }
            // The answer may lie in the socket: it gets a little time to be read, once.
            self.proof_due = Some(now + LATE_AFTER);
            self.is_proof_extended = true;
            return Change::Nothing;
        }
        let quiet_until = self.last_inbound + self.config.ping_interval;
        if quiet_until > now {
            self.next_ping = quiet_until; // whatever came in proves the server alive
            return Change::Nothing;
        }
        if self.next_ping > now {
            return Change::Nothing;
        }
        if now.since(self.next_ping) > LATE_AFTER {
            // This machine or page stood still. What was to be answered meanwhile says nothing; a PING of now does.
            self.wake(now);
            self.next_ping = now + self.config.ping_interval;
            return Change::Nothing;
        }
        // Not the flushes: one that was just sent says nothing about the silence before it.
        let unanswered = self.pings.iter().filter(|ping| ping.why == Why::KeepAlive).count();
        if unanswered as u64 >= u64::from(self.config.max_pings_out) {
            let text = format!("{}: stale connection, {unanswered} pings unanswered", self.server_url());
            return self.abandon(Error::new(ErrorCode::Disconnected, text), rng, now);
        }
        self.ping(Why::KeepAlive, now);
        self.next_ping = now + self.config.ping_interval;
        Change::Nothing
    }

    /// Gives the connection up, and makes no other until `wake`.
    pub(crate) fn sleep(&mut self, rng: &mut Rng, now: Instant) -> Change {
        let mut change = Change::Nothing;
        match self.phase {
            Phase::Closed => return change,
            Phase::Waiting { .. } => {}
            Phase::Ready { .. } | Phase::Leaving { .. } => {
                let text = format!("connection to {} given up to sleep", self.server_url());
                change = self.abandon(Error::new(ErrorCode::Disconnected, text), rng, now);
            }
            Phase::Trying(_) => {
                self.actions.push_back(Action::Disconnect { conn: self.conn });
                self.link.clear();
                self.pings.clear();
            }
        }
        if self.phase != Phase::Closed {
            self.phase = Phase::Waiting { until: None };
        }
        change
    }

    /// Ends a wait between attempts, the next one too if one is being made, and asks a connection for proof that it lives.
    pub(crate) fn wake(&mut self, now: Instant) {
        match self.phase {
            Phase::Waiting { .. } => self.phase = Phase::Waiting { until: Some(now) },
            Phase::Ready { .. } if self.proof_due.is_none() => {
                self.ping(Why::Wake, now);
                self.proof_due = Some(now + self.config.connect_timeout);
                self.is_proof_extended = false;
            }
            Phase::Trying(_) => self.is_hurried = true,
            Phase::Ready { .. } | Phase::Leaving { .. } | Phase::Closed => {}
        }
    }

    /// Away from a server that shuts down, if there is another.
    pub(super) fn plan_to_leave(&mut self, rng: &mut Rng, now: Instant) {
        if self.pool.has_another() {
            let delay = rng.below(nanos(LEAVE_WITHIN));
            self.leave_at = Some(now + Duration::from_nanos(delay));
        }
    }

    /// From now on only what is in flight.
    pub(super) fn begin_to_leave(&mut self, since: Instant, now: Instant) -> Change {
        self.leave_at = None;
        self.phase = Phase::Leaving { since, until: now + LEAVE_PATIENCE };
        Change::Leaving
    }

    /// The patience is over.
    pub(super) fn leave_anyway(&mut self, rng: &mut Rng, now: Instant) -> Change {
        let text = format!("{} shuts down (lame duck), and what was in flight took too long", self.server_url());
        self.abandon(Error::new(ErrorCode::Disconnected, text), rng, now)
    }

    /// Whether the connection is to be left, and nothing of the session's own is in flight.
    pub(crate) fn may_leave(&self) -> bool {
        matches!(self.phase, Phase::Leaving { .. }) && self.pings.is_empty()
    }

    /// Leaves for another server. Nothing is in flight.
    pub(crate) fn leave(&mut self, now: Instant) -> Change {
        let text = format!("{} shuts down (lame duck), on to another server", self.server_url());
        let error = Error::new(ErrorCode::Disconnected, text);
        self.link.leave();
        self.actions.push_back(Action::Disconnect { conn: self.conn });
        self.states.extend([State::Disconnected(error.clone()), State::Reconnecting]);
        self.failures = 0;
        self.avoid_current();
        self.phase = Phase::Waiting { until: Some(now) };
        Change::Lost(error)
    }

    /// Goes on to the next server that is another than the current one.
    pub(super) fn avoid_current(&mut self) {
        self.left.clone_from(&self.pool.current().server_id);
        self.pool.rotate_to_another();
    }
}
