//! WebSocket (RFC 6455) as far as nats-server speaks it: the upgrade request and its answer, and frames. No extensions.
//!
//! Frames do not line up with NATS messages in either direction, so what comes in is handed on as it comes, uncopied, and only control
//! frames are collected.

use alloc::{borrow::Cow, format, string::String, vec::Vec};

use memchr::memmem;

use crate::{
    base64::STANDARD,
    error::{Error, ErrorCode},
};

const CONTINUATION: u8 = 0;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;
const MAX_CONTROL: usize = 125;

/// The longest answer to the upgrade request that is read; servers may add headers of their operators.
const MAX_ANSWER: usize = 16 << 10;

// ── the upgrade

/// The request that turns HTTP into WebSocket, and what its answer must say.
#[derive(Debug)]
pub(crate) struct Upgrade {
    accept: String,
    /// The answer so far.
    answer: Vec<u8>,
}

impl Upgrade {
    /// Writes the request for `host` (with its port) and `path`; `nonce` is random.
    pub(crate) fn request(out: &mut Vec<u8>, host: &str, path: &str, nonce: [u8; 16]) -> Self {
        let key = STANDARD.encode(&nonce);
        let slash = if path.starts_with('/') { "" } else { "/" };
        let request = format!(
            "GET {slash}{path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        out.extend_from_slice(request.as_bytes());
        let accept = STANDARD.encode(&sha1(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes()));
        Self { accept, answer: Vec::new() }
    }

    /// Takes the bytes of the answer from `input`. True: the rest of `input` are frames. An error tells what the server said instead.
    pub(crate) fn read(&mut self, input: &mut &[u8]) -> Result<bool, Error> {
        let known = self.answer.len();
        self.answer.extend_from_slice(&input[..input.len().min(MAX_ANSWER - known)]);
        if !b"HTTP/1.".starts_with(&self.answer[..self.answer.len().min(7)]) {
            return Err(self.refused());
        }
        let Some(end) = memmem::find(&self.answer, b"\r\n\r\n").map(|end| end + 4) else {
            *input = &[];
            return if self.answer.len() == MAX_ANSWER { Err(self.refused()) } else { Ok(false) };
        };
        self.check(end)?;
        *input = &input[end - known..];
        Ok(true)
    }

    fn check(&self, end: usize) -> Result<(), Error> {
        let head = String::from_utf8_lossy(&self.answer[..end]);
        if self.answer.get(9..12) != Some(b"101") {
            return Err(self.refused());
        }
        let header = |name: &str| {
            let mut headers = head.lines().skip(1).filter_map(|line| line.split_once(':'));
            headers.find(|(its, _)| its.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
        };
        let wrong = |why: &str| Err(failed(format!("the answer to the WebSocket upgrade is wrong: {why}")));
        if !header("Upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket")) {
            return wrong("no `Upgrade: websocket`");
        }
        if header("Sec-WebSocket-Accept") != Some(&self.accept) {
            return wrong("Sec-WebSocket-Accept does not fit our key");
        }
        if header("Sec-WebSocket-Extensions").is_some() || header("Sec-WebSocket-Protocol").is_some() {
            return wrong("it chose an extension or protocol that was not offered");
        }
        Ok(())
    }

    /// What the answer was, when it was no upgrade.
    fn refused(&self) -> Error {
        if self.answer.starts_with(b"INFO ") {
            return failed("this port speaks NATS without WebSocket: use nats:// or tls:// for it");
        }
        let text = String::from_utf8_lossy(&self.answer);
        let status = text.lines().next().filter(|line| line.starts_with("HTTP/1.")).and_then(|line| line.get(9..));
        let Some(status) = status else {
            return failed("no answer to the WebSocket upgrade: this port does not speak HTTP");
        };
        let hint = match status.get(..3) {
            Some("403") => " (the server does not allow this origin)",
            Some("404") => " (the URL's path is unknown)",
            Some("401") => " (what stands before the server wants credentials)",
            Some("301" | "302" | "307" | "308") => " (redirects are not followed)",
            _ => "",
        };
        let body = text.split_once("\r\n\r\n").and_then(|(_, body)| body.lines().next()).unwrap_or_default();
        let body: Cow<'_, str> = if body.is_empty() { "".into() } else { format!(": {body:.200}").into() };
        failed(format!("the WebSocket upgrade was refused: HTTP {status}{hint}{body}"))
    }
}

fn failed(text: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorCode::ConnectFailed, text)
}

// ── frames

/// A piece of what the server sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Payload of data frames, as much as was there.
    Data(&'a [u8]),
    /// To be answered with the same payload.
    Ping(Vec<u8>),
    /// Nobody asked.
    Pong,
    /// The end, with its code (1005 when it has none) and text.
    Close(u16, String),
}

/// The server's bytes, cut anywhere, to payload.
#[derive(Debug, Default)]
pub struct Decoder {
    head: [u8; 10],
    head_len: usize,
    /// Of the frame whose head is whole.
    opcode: u8,
    rest: u64,
    /// A message is not over yet; only continuations of it may follow.
    is_fragmented: bool,
    /// Payload of a control frame.
    control: Vec<u8>,
}

impl Decoder {
    /// The next piece of `input`, which is cut off at its front; None when all of it was taken. After an error the stream is unusable.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Piece<'a>>, Error> {
        loop {
            if self.head_len < self.head_size() {
                let Some((&byte, rest)) = input.split_first() else { return Ok(None) };
                *input = rest;
                self.head[self.head_len] = byte;
                self.head_len += 1;
                if self.head_len < 2 || self.head_len < self.head_size() {
                    continue;
                }
                self.begin()?;
            }
            let is_control = self.opcode >= CLOSE;
            let (payload, rest) = input.split_at(input.len().min(usize::try_from(self.rest).unwrap_or(usize::MAX)));
            *input = rest;
            self.rest -= payload.len() as u64;
            let is_over = self.rest == 0;
            if is_over {
                self.head_len = 0;
            }
            match (is_control, is_over, payload.is_empty()) {
                (true, true, _) => {
                    self.control.extend_from_slice(payload);
                    return Ok(Some(self.control_piece()));
                }
                (true, false, _) => {
                    self.control.extend_from_slice(payload);
                    return Ok(None);
                }
                (false, _, false) => return Ok(Some(Piece::Data(payload))),
                (false, true, true) => {}
                (false, false, true) => return Ok(None),
            }
        }
    }

    /// Whether the last message's end is still to come.
    pub fn is_fragmented(&self) -> bool {
        self.is_fragmented
    }

    /// How long the head is, as far as it is known.
    fn head_size(&self) -> usize {
        match (self.head_len, self.head[1] & !MASKED) {
            (0 | 1, _) => 2,
            (_, 126) => 4,
            (_, 127) => 10,
            _ => 2,
        }
    }

    /// Reads a head that is whole.
    fn begin(&mut self) -> Result<(), Error> {
        let wrong = |why: &str| Err(Error::protocol(format!("WebSocket: {why}")));
        let [first, second, length @ ..] = self.head;
        let is_final = first & FINAL != 0;
        self.opcode = first & 15;
        self.rest = match second & !MASKED {
            126 => u64::from(u16::from_be_bytes([length[0], length[1]])),
            127 => u64::from_be_bytes(length),
            short => u64::from(short),
        };
        if first & 0x70 != 0 {
            return wrong("a frame with reserved bits (compressed?), though no extension was agreed on");
        }
        if second & MASKED != 0 {
            return wrong("a masked frame from the server");
        }
        if self.rest > i64::MAX as u64 {
            return wrong("a frame of more than 2^63 bytes");
        }
        match self.opcode {
            CONTINUATION if !self.is_fragmented => return wrong("a continuation of nothing"),
            BINARY if self.is_fragmented => return wrong("a new message within another"),
            CONTINUATION | BINARY => self.is_fragmented = !is_final,
            CLOSE | PING | PONG if !is_final || self.rest > MAX_CONTROL as u64 => {
                return wrong("a control frame in parts, or of more than 125 bytes");
            }
            CLOSE | PING | PONG => {}
            opcode => return wrong(&format!("a frame of kind {opcode}")),
        }
        Ok(())
    }

    fn control_piece(&mut self) -> Piece<'static> {
        let payload = core::mem::take(&mut self.control);
        match (self.opcode, payload.split_first_chunk::<2>()) {
            (PING, _) => Piece::Ping(payload),
            (PONG, _) => Piece::Pong,
            (_, Some((code, reason))) => {
                Piece::Close(u16::from_be_bytes(*code), String::from_utf8_lossy(reason).into_owned())
            }
            (_, None) => Piece::Close(1005, String::new()),
        }
    }
}

/// Appends `payload` as one binary frame.
pub fn encode_data(out: &mut Vec<u8>, payload: &[u8], mask: [u8; 4]) {
    encode(out, BINARY, payload, mask);
}

/// Appends the answer to a ping.
pub(crate) fn encode_pong(out: &mut Vec<u8>, payload: &[u8], mask: [u8; 4]) {
    encode(out, PONG, payload, mask);
}

/// Appends a close frame.
pub(crate) fn encode_close(out: &mut Vec<u8>, code: u16, mask: [u8; 4]) {
    encode(out, CLOSE, &code.to_be_bytes(), mask);
}

fn encode(out: &mut Vec<u8>, opcode: u8, payload: &[u8], mask: [u8; 4]) {
    out.reserve(payload.len() + 14);
    out.push(FINAL | opcode);
    match payload.len() {
        short @ 0..=125 => out.push(MASKED | short as u8),
        medium @ 126..=0xffff => {
            out.push(MASKED | 126);
            out.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            out.push(MASKED | 127);
            out.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    let start = out.len();
    out.extend_from_slice(payload);
    apply_mask(&mut out[start..], mask);
}

/// XOR with the mask, over and over; words of 8 bytes, which the compiler makes wider still.
fn apply_mask(bytes: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut words = bytes.chunks_exact_mut(8);
    for word in &mut words {
        if let Ok(word) = <&mut [u8; 8]>::try_from(word) {
            *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
        }
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

/// What a close code means, in the words of PROTOCOL: nats-server's.
pub(crate) fn close_text(code: u16, reason: &str) -> String {
    let meaning = match code {
        1000 => "closed",
        1001 => "the server goes away, or counted the connection as stale",
        1002 => "protocol error",
        1008 => "refused: authorization, or a limit",
        1009 => "message too large",
        1011 => "error inside the server",
        1015 => "TLS failed",
        _ => "no reason known",
    };
    let quote = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    format!("WebSocket closed by the server with {code}, {meaning}{quote}")
}

/// SHA-1, which the upgrade's answer is made with. It protects nothing here, or anywhere.
fn sha1(message: &[u8]) -> [u8; 20] {
    let mut padded = message.to_vec();
    padded.push(0x80);
    padded.resize(padded.len().next_multiple_of(64), 0);
    if padded.len() - message.len() < 9 {
        padded.resize(padded.len() + 64, 0);
    }
    let at = padded.len() - 8;
    padded[at..].copy_from_slice(&(message.len() as u64 * 8).to_be_bytes());
    let mut hash = [0x6745_2301_u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    for block in padded.chunks_exact(64) {
        let mut words = [0_u32; 80];
        for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
            *word = bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
        }
        for at in 16..80 {
            words[at] = (words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16]).rotate_left(1);
        }
        let [mut a, mut b, mut c, mut d, mut e] = hash;
        for (at, word) in words.iter().enumerate() {
            let (mixed, constant) = match at / 20 {
                0 => (b & c | !b & d, 0x5a82_7999),
                1 => (b ^ c ^ d, 0x6ed9_eba1),
                2 => (b & c | b & d | c & d, 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let next = a.rotate_left(5).wrapping_add(mixed).wrapping_add(e).wrapping_add(constant).wrapping_add(*word);
            (a, b, c, d, e) = (next, a, b.rotate_left(30), c, d);
        }
        for (sum, part) in hash.iter_mut().zip([a, b, c, d, e]) {
            *sum = sum.wrapping_add(part);
        }
    }
    let mut bytes = [0; 20];
    for (four, word) in bytes.chunks_exact_mut(4).zip(hash) {
        four.copy_from_slice(&word.to_be_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn sha1_of_all_lengths_around_a_block() {
        assert_eq!(hex(&sha1(b"abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(hex(&sha1(&[b'a'; 1000])), "291e9a6c66994949b57ba5e650361e98fc36b1ba");
        for (length, hash) in [
            (55, "c1c8bbdc22796e28c0e15163d20899b65621d65a"),
            (56, "c2db330f6083854c99d4b5bfb6e8f29f201be699"),
            (64, "0098ba824b5c16427bd7a1122a5a442a25ec644d"),
        ] {
            assert_eq!(hex(&sha1(&vec![b'a'; length])), hash, "{length}");
        }
    }

    /// What a server would send: the same frames without a mask.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode(&mut out, first & 15, payload, [0; 4]);
        out[0] = first;
        out[1] &= !MASKED;
        let mask_at = match out[1] {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        out.drain(mask_at..mask_at + 4);
        out
    }

    fn decoded(chunks: &[&[u8]]) -> Result<(Vec<u8>, Vec<Piece<'static>>), Error> {
        let mut decoder = Decoder::default();
        let (mut data, mut rest) = (Vec::new(), Vec::new());
        for chunk in chunks {
            let mut input = *chunk;
            while let Some(piece) = decoder.next(&mut input)? {
                match piece {
                    Piece::Data(bytes) => data.extend_from_slice(bytes),
                    Piece::Ping(payload) => rest.push(Piece::Ping(payload)),
                    Piece::Pong => rest.push(Piece::Pong),
                    Piece::Close(code, reason) => rest.push(Piece::Close(code, reason)),
                }
            }
            assert!(input.is_empty());
        }
        Ok((data, rest))
    }

    #[test]
    #[cfg_attr(miri, ignore = "an interpreter has not the time for long frames")]
    fn every_cut_gives_the_same() {
        let long = vec![7; 70_000];
        let parts = [
            frame(0x82, b"PI"),
            frame(0x82, b""),
            frame(0x02, b"NG\r"),
            frame(0x89, b"are you there"),
            frame(0x80, b"\n"),
            frame(0x8a, b""),
            frame(0x82, &[1; 300]),
            frame(0x82, &long),
            frame(0x88, b"\x03\xe9bye"),
        ];
        let stream = parts.concat();
        let whole = decoded(&[&stream]).expect("valid");
        assert_eq!(whole.0.len(), 6 + 300 + 70_000);
        let close = Piece::Close(1001, "bye".into());
        assert_eq!(whole.1, [Piece::Ping(b"are you there".to_vec()), Piece::Pong, close]);
        for at in (0..400).chain(69_900..stream.len()).filter(|at| *at <= stream.len()) {
            let (a, b) = stream.split_at(at);
            assert!(decoded(&[a, b]).expect("valid") == whole, "cut at {at}");
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert!(decoded(&bytes).expect("valid") == whole);
    }

    #[test]
    fn what_is_no_frame_for_a_client_is_refused() {
        for (what, bytes) in [
            ("text", frame(0x81, b"x")),
            ("reserved", frame(0xc2, b"x")),
            ("continuation", frame(0x80, b"x")),
            ("unknown control", frame(0x8b, b"")),
            ("long ping", frame(0x89, &[0; 126])),
            ("cut ping", frame(0x09, b"x")),
            ("nested", [frame(0x02, b"x"), frame(0x82, b"y")].concat()),
            ("masked", vec![0x82, 0x81, 0, 0, 0, 0, 0]),
            ("endless", vec![0x82, 127, 0xff, 0, 0, 0, 0, 0, 0, 0]),
        ] {
            let error = decoded(&[&bytes]).expect_err(what);
            assert_eq!(error.code, ErrorCode::Protocol, "{what}");
        }
    }

    #[test]
    fn masking_is_the_same_at_every_length() {
        let mask = [0x11, 0x22, 0x33, 0x44];
        for length in 0..70 {
            let payload: Vec<u8> = (0..length).map(|at| at as u8 * 3).collect();
            let mut masked = payload.clone();
            apply_mask(&mut masked, mask);
            let expected: Vec<u8> = payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]).collect();
            assert_eq!(masked, expected, "{length}");
        }
    }

    fn answered(answer: &str) -> Result<bool, Error> {
        let mut out = Vec::new();
        // RFC 6455 §1.3: the key "dGhlIHNhbXBsZSBub25jZQ==" is answered with "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".
        let mut upgrade = Upgrade::request(&mut out, "h:80", "", *b"the sample nonce");
        assert!(String::from_utf8_lossy(&out).starts_with("GET / HTTP/1.1\r\nHost: h:80\r\n"));
        let mut last = Ok(false);
        for byte in answer.as_bytes().chunks(1) {
            last = upgrade.read(&mut &*byte);
            if last != Ok(false) {
                break;
            }
        }
        let mut whole = answer.as_bytes();
        let at_once = Upgrade::request(&mut out, "h:80", "", *b"the sample nonce").read(&mut whole);
        assert_eq!(at_once.is_ok(), last.is_ok(), "{answer}");
        at_once
    }

    #[test]
    #[cfg_attr(miri, ignore = "an interpreter has not the time for an endless answer")]
    fn the_upgrade() {
        let good = "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nX-Own: 1\r\n\r\n";
        assert_eq!(answered(good), Ok(true));
        for (answer, part) in [
            (good.replace("s3pP", "xxxx"), "does not fit"),
            (good.replace("X-Own: 1", "Sec-WebSocket-Extensions: permessage-deflate"), "not offered"),
            (good.replace("upgrade: WebSocket\r\n", ""), "no `Upgrade"),
            ("HTTP/1.1 403 Forbidden\r\n\r\norigin not allowed\n".into(), "403 Forbidden (the server does not allow"),
            ("HTTP/1.1 404 Not Found\r\n\r\n".into(), "path is unknown"),
            ("HTTP/1.1 400 Bad Request\r\n\r\ninvalid key".into(), "400 Bad Request: invalid key"),
            ("HTTP/1.0 502 Bad Gateway\r\n\r\n".into(), "502"),
            ("INFO {}\r\n".into(), "use nats://"),
            ("SSH-2.0\r\n".into(), "does not speak HTTP"),
            (format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(MAX_ANSWER)), "200 OK"),
        ] {
            let error = answered(&answer).expect_err(part);
            assert!(error.code == ErrorCode::ConnectFailed && error.message.contains(part), "{part}: {error}");
        }
    }
}
