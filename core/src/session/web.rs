//! The session's side of WebSocket: frames around what it writes, and out of what it reads. `Decoder` and `Upgrade` know the format.

use alloc::vec::Vec;

use crate::{
    error::{Error, ErrorCode},
    proto::websocket::{self, Decoder, Piece, Upgrade},
    rng::Rng,
    session::{link::Inbound, pool::Server},
};

/// The longest frame made: who stands between may have a limit, and the server reads longer ones in parts anyway.
const MAX_FRAME: usize = 64 << 10;

/// One connection's WebSocket.
pub(crate) struct Web {
    /// What goes out as it is: the request, and control frames.
    control: Vec<u8>,
    /// None: frames are spoken.
    upgrade: Option<Upgrade>,
    decoder: Decoder,
    is_leaving: bool,
}

impl Web {
    pub(crate) fn new(server: &Server, rng: &mut Rng) -> Option<Self> {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&rng.next().to_le_bytes());
        nonce[8..].copy_from_slice(&rng.next().to_le_bytes());
        let mut control = Vec::new();
        let upgrade = Upgrade::request(&mut control, &server.authority(), &server.path, nonce);
        Some(Self { control, upgrade: Some(upgrade), decoder: Decoder::default(), is_leaving: false })
    }

    pub(crate) fn clear(&mut self) {
        self.control.clear();
        self.is_leaving = false;
    }

    pub(crate) fn len(&self) -> usize {
        self.control.len() + usize::from(self.is_leaving)
    }

    /// Moves what is ready and then `bytes`, in frames, into `buf`.
    pub(crate) fn write(&mut self, bytes: &mut Vec<u8>, buf: &mut Vec<u8>, rng: &mut Rng) {
        buf.append(&mut self.control);
        for part in bytes.chunks(MAX_FRAME) {
            websocket::encode_data(buf, part, mask(rng));
        }
        bytes.clear();
        if core::mem::take(&mut self.is_leaving) {
            websocket::encode_close(buf, 1000, mask(rng));
        }
    }

    pub(crate) fn leave(&mut self) {
        self.is_leaving = self.upgrade.is_none();
    }

    pub(crate) fn read<'a>(&mut self, input: &mut &'a [u8], rng: &mut Rng) -> Inbound<'a> {
        if let Some(upgrade) = &mut self.upgrade {
            return match upgrade.read(input) {
                Ok(false) => Inbound::Nothing,
                Ok(true) => {
                    self.upgrade = None;
                    Inbound::Upgraded
                }
                Err(error) => Inbound::Lost(error),
            };
        }
        loop {
            match self.decoder.next(input) {
                Ok(None) => return Inbound::Nothing,
                Ok(Some(Piece::Data(nats))) => return Inbound::Nats(nats),
                Ok(Some(Piece::Ping(payload))) => websocket::encode_pong(&mut self.control, &payload, mask(rng)),
                Ok(Some(Piece::Pong)) => {}
                Ok(Some(Piece::Close(code, reason))) => {
                    return Inbound::Lost(Error::new(ErrorCode::Disconnected, websocket::close_text(code, &reason)));
                }
                Err(error) => return Inbound::Lost(error),
            }
        }
    }
}

/// Unforeseeable as far as it takes to keep caches in between from mistaking payload for HTTP, which is what masks are for.
fn mask(rng: &mut Rng) -> [u8; 4] {
    (rng.next() as u32).to_le_bytes()
}
