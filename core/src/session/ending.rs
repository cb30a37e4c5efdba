//! How connections and attempts end, and what follows: another attempt, now or after a wait, or the end of all.

use alloc::format;
use core::time::Duration;

use super::{Change, Phase, Session};
use crate::{
    error::{Error, ErrorCode},
    event::{Action, Lost, State},
    rng::Rng,
    session::{attempt::Step, auth::Reason},
    time::Instant,
};

/// A connection that is lost sooner than this after its PONG counts as a failed attempt: servers accept expired credentials
/// with a PONG and refuse them right after (seen on 2.15.1).
const PROVEN_AFTER: Duration = Duration::from_secs(1);

/// How a connection or an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Broken,
    /// The server wants other credentials.
    Refused,
    /// Trying again cannot help.
    Hopeless,
}

impl Session {
    pub(crate) fn on_closed(&mut self, why: Lost, rng: &mut Rng, now: Instant) -> Change {
        let server = self.server_url();
        let error = match (self.is_up(), why) {
            (_, Lost::Tls(text)) => {
                let hint = if self.config.tls_first {
                    " (tls_first was asked for; a server without handshake_first says INFO before)"
                } else {
                    ""
                };
                Error::new(ErrorCode::Tls, format!("{server}: TLS: {text}{hint}"))
            }
            (true, why) => {
                Error::new(ErrorCode::Disconnected, format!("connection to {server} lost: {}", lost_text(&why)))
            }
            (false, why) => {
                let is_greeting = self.phase == Phase::Trying(Step::Greeting);
                let hint =
                    if is_greeting { " before INFO (a server with handshake_first needs tls_first)" } else { "" };
                Error::new(ErrorCode::ConnectFailed, format!("{server}: {}{hint}", lost_text(&why)))
            }
        };
        self.on_lost(error, Ending::Broken, rng, now)
    }

    /// Gives up a connection that the transport still holds.
    pub(crate) fn abandon(&mut self, error: Error, rng: &mut Rng, now: Instant) -> Change {
        self.actions.push_back(Action::Disconnect { conn: self.conn });
        self.on_lost(error, Ending::Broken, rng, now)
    }

    /// The one place that decides what follows from the end of a connection or an attempt.
    pub(super) fn on_lost(&mut self, error: Error, ending: Ending, rng: &mut Rng, now: Instant) -> Change {
        let was_up = self.is_up();
        let was_asked_once = self.asks() && self.reason == Reason::First;
        let is_leaving = matches!(self.phase, Phase::Leaving { .. });
        let is_proven = match self.phase {
            Phase::Ready { since } | Phase::Leaving { since, .. } => now.since(since) >= PROVEN_AFTER,
            Phase::Waiting { .. } | Phase::Trying(_) | Phase::Closed => false,
        };
        self.link.clear();
        self.pings.clear();
        if is_proven {
            self.failures = 0;
            self.pool.current_mut().refused = None;
        }
        let is_hopeless = match ending {
            Ending::Broken => false,
            Ending::Refused => self.on_refused(was_up),
            Ending::Hopeless => true,
        };
        // Credentials that were asked for may only be old: a first refusal is a reason to ask for fresh ones.
        let may_ask_again = ending == Ending::Refused && was_asked_once;
        let round = self.pool.len() as u32;
        let is_first_round_over =
            !self.was_connected && !self.config.retry_first_connect && self.failures + 1 >= round && !may_ask_again;
        let is_used_up =
            !is_proven && self.was_connected && self.config.max_reconnects.is_some_and(|max| self.failures + 1 >= max);
        let is_unwanted = self.was_connected && !self.config.reconnect;
        if is_hopeless || is_first_round_over || is_used_up || is_unwanted {
            self.phase = Phase::Closed;
            return Change::Closed(error);
        }
        if was_up {
            self.states.push_back(State::Disconnected(error.clone()));
            self.states.push_back(State::Reconnecting);
        }
        let is_hurried = core::mem::take(&mut self.is_hurried);
        let wait = if was_up && is_proven || is_hurried { Duration::ZERO } else { self.next_wait(rng) };
        if !is_proven {
            self.failures += 1;
        }
        if is_leaving {
            self.avoid_current();
        } else {
            self.pool.rotate();
        }
        self.phase = Phase::Waiting { until: Some(now + wait) };
        if was_up { Change::Lost(error) } else { Change::Nothing }
    }

    /// Remembers that the server refused the login; whether it has done so before.
    pub(super) fn on_refused(&mut self, was_up: bool) -> bool {
        self.reason = if was_up { Reason::Expired } else { Reason::Refused };
        let version = self.login().1;
        self.pool.current_mut().refused.replace(version) == Some(version)
    }

    /// No wait within the first round over the pool; then `reconnect_wait` doubling at each round, jitter ±25 %.
    pub(super) fn next_wait(&self, rng: &mut Rng) -> Duration {
        let round = (self.failures + 1) / self.pool.len() as u32;
        if !(self.failures + 1).is_multiple_of(self.pool.len() as u32) {
            return Duration::ZERO;
        }
        let base =
            self.config.reconnect_wait.saturating_mul(1 << (round - 1).min(20)).min(self.config.max_reconnect_wait);
        base * 3 / 4 + base.saturating_mul(rng.below(1024) as u32) / 2048
    }
}

fn lost_text(why: &Lost) -> &str {
    match why {
        Lost::Refused => "connection refused",
        Lost::Unreachable => "host not found or unreachable",
        Lost::Eof => "closed by the server",
        Lost::Reset => "broken connection",
        Lost::Tls(text) | Lost::Other(text) => text,
    }
}
