//! What stands between NATS and the transport's bytes, both ways: nothing, or, where core speaks WebSocket itself, its frames.

use alloc::vec::Vec;
use core::fmt;

use crate::{
    error::Error,
    rng::Rng,
    session::{pool::Server, web::Web},
};

/// The bytes of one connection. Debug shows none: CONNECT is among them.
#[derive(Default)]
pub(crate) struct Link {
    /// NATS that is not handed out yet.
    bytes: Vec<u8>,
    /// NATS bytes handed out on this connection so far.
    handed: u64,
    web: Option<Web>,
}

/// What the transport's bytes turned out to be.
#[derive(Debug)]
#[cfg_attr(not(feature = "websocket"), expect(dead_code, reason = "all of it is NATS"))]
pub(crate) enum Inbound<'a> {
    /// All was taken.
    Nothing,
    /// The server speaks WebSocket, and INFO may come.
    Upgraded,
    Nats(&'a [u8]),
    Lost(Error),
}

impl Link {
    /// For a new connection.
    pub(crate) fn reset(&mut self) {
        self.clear();
        self.handed = 0;
        self.web = None;
    }

    /// Drops what is not handed out.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        if let Some(web) = &mut self.web {
            web.clear();
        }
    }

    /// Where NATS is written.
    pub(crate) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// How much `take` would give, but for the heads of frames.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() + self.web.as_ref().map_or(0, Web::len)
    }

    pub(crate) fn handed(&self) -> u64 {
        self.handed
    }

    /// How many NATS bytes have been written on this connection, handed out or not.
    pub(crate) fn written(&self) -> u64 {
        self.handed + self.bytes.len() as u64
    }

    /// Hands out all there is, swapped into `buf`; how many bytes of NATS are in it. `rng` is for masks.
    pub(crate) fn take(&mut self, buf: &mut Vec<u8>, rng: &mut Rng) -> u64 {
        let count = self.bytes.len() as u64;
        self.handed += count;
        buf.clear();
        match &mut self.web {
            Some(web) => web.write(&mut self.bytes, buf, rng),
            None => core::mem::swap(buf, &mut self.bytes),
        }
        count
    }

    /// Takes bytes of the transport from the front of `input`.
    pub(crate) fn read<'a>(&mut self, input: &mut &'a [u8], rng: &mut Rng) -> Inbound<'a> {
        match &mut self.web {
            Some(web) => web.read(input, rng),
            None if input.is_empty() => Inbound::Nothing,
            None => Inbound::Nats(core::mem::take(input)),
        }
    }

    /// Asks the server to speak WebSocket from now on.
    pub(crate) fn upgrade(&mut self, server: &Server, rng: &mut Rng) {
        self.web = Web::new(server, rng);
    }

    /// Says goodbye behind what is written: for a connection that is closed in peace.
    pub(crate) fn leave(&mut self) {
        if let Some(web) = &mut self.web {
            web.leave();
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({} bytes to write, {} handed out)", self.len(), self.handed)
    }
}
