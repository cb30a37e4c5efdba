//! One attempt to connect, step by step, up to CONNECT.

use alloc::format;

use super::{Change, Phase, Session, Why};
use crate::{
    error::{Error, ErrorCode},
    event::{Action, ConnId, TlsMode},
    proto::{
        info::{ConnectOptions, connect_json},
        parser::Parser,
    },
    rng::Rng,
    session::{
        auth::{Credentials, Login, Signature, Signing},
        ending::Ending,
        pool::Scheme,
    },
    time::Instant,
};

/// What an attempt waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Credentials.
    Asking,
    /// The transport.
    Dialing,
    /// The answer of HTTP.
    Upgrading,
    /// INFO.
    Greeting,
    /// TLS.
    Securing,
    /// A signature.
    Signing,
    /// PONG.
    Handshake,
}

impl Step {
    pub(super) const fn waits(self) -> &'static str {
        match self {
            Self::Asking => "for credentials",
            Self::Dialing => "to connect",
            Self::Upgrading => "for the answer to the WebSocket upgrade",
            Self::Greeting => "for INFO (a server with handshake_first needs tls_first)",
            Self::Securing => "for TLS",
            Self::Signing => "for a signature",
            Self::Handshake => "for PONG",
        }
    }
}

impl Session {
    pub(crate) fn on_credentials(&mut self, given: Result<Credentials, Error>, rng: &mut Rng, now: Instant) -> Change {
        if self.phase != Phase::Trying(Step::Asking) {
            return Change::Nothing;
        }
        match given.and_then(|credentials| Login::of(&credentials)) {
            Ok(login) => {
                if login != self.login {
                    self.login = login;
                    self.login_version += 1;
                }
                self.connect(now);
                Change::Nothing
            }
            Err(error) => {
                let text = format!("no credentials for {}: {}", self.server_url(), error.message);
                self.on_lost(error.saying(text), Ending::Broken, rng, now)
            }
        }
    }

    pub(crate) fn on_signature(&mut self, given: Result<Signature, Error>, rng: &mut Rng, now: Instant) -> Change {
        if self.phase != Phase::Trying(Step::Signing) {
            return Change::Nothing;
        }
        match given {
            Ok(signature) => self.send_connect(Some(&signature), rng, now),
            Err(error) => {
                let text = format!("no signature for {}: {}", self.server_url(), error.message);
                self.abandon(error.saying(text), rng, now)
            }
        }
    }

    pub(crate) fn on_open(&mut self, rng: &mut Rng) {
        if self.phase != Phase::Trying(Step::Dialing) {
            return;
        }
        self.phase = Phase::Trying(Step::Greeting);
        let server = &self.pool.current().server;
        if self.config.websocket_in_core && server.scheme.is_websocket() {
            self.link.upgrade(server, rng);
            self.phase = Phase::Trying(Step::Upgrading);
        }
    }

    pub(crate) fn on_secured(&mut self, rng: &mut Rng, now: Instant) -> Change {
        if self.phase != Phase::Trying(Step::Securing) {
            return Change::Nothing;
        }
        self.is_secured = true;
        self.parser = Parser::new(self.config.max_message);
        self.authenticate(rng, now)
    }

    pub(super) fn dial(&mut self, now: Instant) {
        self.conn = ConnId(self.conn.0 + 1);
        self.parser = Parser::new(self.config.max_message);
        self.link.reset();
        self.pings.clear();
        self.proof_due = None;
        if self.asks() {
            self.phase = Phase::Trying(Step::Asking);
            self.attempt_deadline = now + self.config.connect_timeout;
            self.actions.push_back(Action::Credentials { conn: self.conn, reason: self.reason });
        } else {
            self.connect(now);
        }
    }

    /// Whether the current server is one that credentials are asked for.
    pub(super) fn asks(&self) -> bool {
        self.config.asks_credentials && self.pool.current().login == Login::Nobody
    }

    pub(super) fn connect(&mut self, now: Instant) {
        self.phase = Phase::Trying(Step::Dialing);
        self.attempt_deadline = now + self.config.connect_timeout;
        let server = self.pool.current().server.clone();
        let tls = if server.scheme == Scheme::Wss || self.config.tls_first { TlsMode::First } else { TlsMode::Later };
        self.is_secured = tls == TlsMode::First;
        self.actions.push_back(Action::Connect { conn: self.conn, server, tls });
    }

    pub(super) fn on_greeting(&mut self, rng: &mut Rng, now: Instant) -> Change {
        let id = self.info.as_ref().map(|info| info.server_id.clone()).filter(|id| !id.is_empty());
        if id.is_some() && id == self.left && self.pool.has_another() {
            let text = format!("{}: this is the server that shuts down, by another name", self.server_url());
            self.pool.current_mut().server_id = id;
            return self.abandon(Error::new(ErrorCode::ConnectFailed, text), rng, now);
        }
        self.pool.current_mut().server_id = id;
        let member = self.pool.current();
        let wants_tls = self.config.tls || member.server.scheme == Scheme::Tls;
        let (is_required, is_offered) = self
            .info
            .as_ref()
            .map_or((false, false), |info| (info.is_tls_required, info.is_tls_required || info.is_tls_available));
        if self.is_secured || member.server.scheme.is_websocket() || !(is_required || wants_tls) {
            return self.authenticate(rng, now);
        }
        if !is_offered {
            let text = format!("{}: TLS was asked for and the server does not offer it", self.server_url());
            return self.abandon(Error::new(ErrorCode::Tls, text), rng, now);
        }
        self.phase = Phase::Trying(Step::Securing);
        self.actions.push_back(Action::StartTls { conn: self.conn, server_name: member.server.tls_name.clone() });
        Change::Nothing
    }

    /// The login for the current server, and its version.
    pub(super) fn login(&self) -> (&Login, u64) {
        let own = &self.pool.current().login;
        if *own == Login::Nobody { (&self.login, self.login_version) } else { (own, 0) }
    }

    pub(super) fn authenticate(&mut self, rng: &mut Rng, now: Instant) -> Change {
        let nonce = self.info.as_ref().and_then(|info| info.nonce.as_deref());
        match self.login().0.sign(nonce) {
            Ok(Signing::Done(signature)) => self.send_connect(signature.as_ref(), rng, now),
            Ok(Signing::Asked { nonce, seed }) => {
                self.phase = Phase::Trying(Step::Signing);
                self.actions.push_back(Action::Sign { conn: self.conn, nonce, seed });
                Change::Nothing
            }
            Err(error) => {
                let text = format!("{}: {}", self.server_url(), error.message);
                self.abandon(error.saying(text), rng, now)
            }
        }
    }

    pub(super) fn send_connect(&mut self, signature: Option<&Signature>, rng: &mut Rng, now: Instant) -> Change {
        let Some(info) = &self.info else { return Change::Nothing };
        let options = ConnectOptions {
            name: self.config.name.as_deref(),
            lang: self.config.lang,
            is_tls: self.is_secured,
            echo: self.config.echo,
        };
        match self.login().0.fields(signature) {
            Ok(login) => {
                let json = connect_json(&options, &login, info);
                self.link.bytes().extend_from_slice(format!("CONNECT {json}\r\n").as_bytes());
                self.ping(Why::Handshake, now);
                self.phase = Phase::Trying(Step::Handshake);
                Change::Nothing
            }
            Err(error) => self.abandon(error, rng, now),
        }
    }
}
