//! Server bytes to frames. Whole frames are parsed where they lie in the caller's slice; only a tail that is cut off is kept,
//! and no byte of it is looked at twice.
//!
//! The surprising part: verbs are case-insensitive, fields are separated by any run of spaces and tabs, and a bare LF ends
//! a line as well as CRLF does (seen on nats-server 2.10–2.15).

use alloc::{format, vec::Vec};
use core::ops::Range;

use memchr::{memchr, memchr2_iter};

use crate::{error::Error, number::parse_u64, proto::headers::Headers, shown::Quoted};

/// The longest control line accepted; INFO with many cluster members is far longer than the 4096 that servers accept.
const MAX_LINE: usize = 64 << 10;

/// The largest buffer for cut messages that is kept whatever comes. A larger one stays while messages come that need it: to ask the
/// system for a mebibyte each time costs more than to read it.
const KEPT_CAPACITY: usize = 64 << 10;

/// One frame, borrowed from where it was received.
#[derive(Debug)]
pub(crate) enum Frame<'a> {
    Message(Message<'a>),
    Info(&'a [u8]),
    Ping,
    Pong,
    Ok,
    /// The text of -ERR without its quotes.
    Err(&'a [u8]),
}

/// MSG or HMSG.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    pub(crate) subject: &'a [u8],
    pub(crate) sid: &'a [u8],
    pub(crate) reply: Option<&'a [u8]>,
    pub(crate) headers: Headers<'a>,
    pub(crate) payload: &'a [u8],
}

/// Keeps what `Frames` could not finish.
#[derive(Debug)]
pub(crate) struct Parser {
    partial: Vec<u8>,
    /// Of a message whose line is whole: its head, with ranges into `partial`.
    head: Option<Head>,
    max_message: usize,
}

/// A message's control line; ranges are offsets from the start of the frame.
#[derive(Clone, Debug)]
struct Head {
    subject: Range<usize>,
    sid: Range<usize>,
    reply: Option<Range<usize>>,
    body: usize,
    headers_len: usize,
    total: usize,
}

impl Head {
    /// Offset behind the payload, where the CRLF stands.
    fn payload_end(&self) -> usize {
        self.body + self.total
    }
}

/// What a control line turned out to be; ranges from the start of the line.
enum Line {
    Message(Head),
    Info(Range<usize>),
    Ping,
    Pong,
    Ok,
    Err(Range<usize>),
}

impl Parser {
    pub(crate) fn new(max_message: usize) -> Self {
        Self { partial: Vec::new(), head: None, max_message }
    }

    /// The frames of `input`, together with what was kept from before. To be read to the end.
    pub(crate) fn frames<'a>(&'a mut self, input: &'a [u8]) -> Frames<'a> {
        Frames { parser: self, input, at: 0, is_partial_read: false }
    }
}

pub(crate) struct Frames<'a> {
    parser: &'a mut Parser,
    input: &'a [u8],
    at: usize,
    /// The frame last given out lies in `partial`, which is to be emptied.
    is_partial_read: bool,
}

impl Frames<'_> {
    /// The next whole frame; None when the rest is kept for later. After an error the stream is unusable.
    pub(crate) fn next(&mut self) -> Option<Result<Frame<'_>, Error>> {
        if self.is_partial_read {
            self.is_partial_read = false;
            let Parser { partial, .. } = &mut *self.parser;
            if partial.capacity() > KEPT_CAPACITY && partial.len() < partial.capacity() / 2 {
                *partial = Vec::new();
            }
            partial.clear();
            self.parser.head = None;
        }
        if !self.parser.partial.is_empty() {
            return self.finish_partial();
        }
        let rest = &self.input[self.at..];
        if rest.is_empty() {
            return None;
        }
        let Some(end) = memchr(b'\n', rest) else { return self.keep(None) };
        let line = match parse_line(rest, end, self.parser.max_message) {
            Ok(line) => line,
            Err(error) => return Some(Err(error)),
        };
        if let Line::Message(head) = &line {
            match message_end(head, rest) {
                Ok(Some(frame_end)) => {
                    self.at += frame_end;
                    return Some(Ok(Frame::Message(message(head, rest))));
                }
                Ok(None) => return self.keep(Some(head.clone())),
                Err(error) => return Some(Err(error)),
            }
        }
        self.at += end + 1;
        Some(Ok(simple(&line, rest)))
    }

    /// Stores the tail of the input; a message gets all the room it will need.
    fn keep(&mut self, head: Option<Head>) -> Option<Result<Frame<'_>, Error>> {
        let rest = &self.input[self.at..];
        if head.is_none() && rest.len() > MAX_LINE {
            return Some(Err(too_long()));
        }
        if let Some(head) = &head {
            self.parser.partial.reserve_exact(head.payload_end() + 2);
        }
        self.parser.partial.extend_from_slice(rest);
        self.parser.head = head;
        self.at = self.input.len();
        None
    }

    fn finish_partial(&mut self) -> Option<Result<Frame<'_>, Error>> {
        let Parser { partial, head, max_message } = &mut *self.parser;
        if head.is_none() {
            let rest = &self.input[self.at..];
            let Some(end) = memchr(b'\n', rest) else {
                if partial.len() + rest.len() > MAX_LINE {
                    return Some(Err(too_long()));
                }
                partial.extend_from_slice(rest);
                self.at = self.input.len();
                return None;
            };
            partial.extend_from_slice(&rest[..=end]);
            self.at += end + 1;
            match parse_line(partial, partial.len() - 1, *max_message) {
                Ok(Line::Message(message)) => {
                    partial.reserve_exact((message.payload_end() + 2).saturating_sub(partial.len()));
                    *head = Some(message);
                }
                Ok(line) => {
                    self.is_partial_read = true;
                    return Some(Ok(simple(&line, &self.parser.partial)));
                }
                Err(error) => return Some(Err(error)),
            }
        }
        let message_head = head.as_ref()?;
        // Payload and line end: one byte more at a time at the end, since the line may end in LF alone.
        loop {
            match message_end(message_head, partial) {
                Ok(Some(_)) => break,
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
            let wanted = (message_head.payload_end() + 1).saturating_sub(partial.len()).max(1);
            let rest = &self.input[self.at..];
            if rest.is_empty() {
                return None;
            }
            let taken = &rest[..wanted.min(rest.len())];
            partial.extend_from_slice(taken);
            self.at += taken.len();
        }
        self.is_partial_read = true;
        let Parser { partial, head, .. } = &*self.parser;
        Some(Ok(Frame::Message(message(head.as_ref()?, partial))))
    }
}

/// Where the frame ends, if all of it is there.
fn message_end(head: &Head, bytes: &[u8]) -> Result<Option<usize>, Error> {
    let end = head.payload_end();
    match bytes.get(end..) {
        Some([b'\r', b'\n', ..]) => Ok(Some(end + 2)),
        Some([b'\n', ..]) => Ok(Some(end + 1)),
        None | Some([] | [b'\r']) => Ok(None),
        Some(_) => Err(Error::protocol("a message's payload is not followed by a line end")),
    }
}

fn message<'a>(head: &Head, bytes: &'a [u8]) -> Message<'a> {
    let body = &bytes[head.body..head.payload_end()];
    let (headers, payload) = body.split_at(head.headers_len);
    Message {
        subject: &bytes[head.subject.clone()],
        sid: &bytes[head.sid.clone()],
        reply: head.reply.clone().map(|range| &bytes[range]),
        headers: Headers::parse(headers),
        payload,
    }
}

fn simple<'a>(line: &Line, bytes: &'a [u8]) -> Frame<'a> {
    match line {
        Line::Info(json) => Frame::Info(&bytes[json.clone()]),
        Line::Ping => Frame::Ping,
        Line::Pong => Frame::Pong,
        Line::Ok | Line::Message(_) => Frame::Ok,
        Line::Err(text) => Frame::Err(unquote(bytes[text.clone()].trim_ascii())),
    }
}

fn unquote(text: &[u8]) -> &[u8] {
    let text = text.strip_prefix(b"'").unwrap_or(text);
    text.strip_suffix(b"'").unwrap_or(text)
}

/// `bytes[..end]` is the line without its LF.
fn parse_line(bytes: &[u8], end: usize, max_message: usize) -> Result<Line, Error> {
    if end > MAX_LINE {
        return Err(too_long());
    }
    let end = if end > 0 && bytes[end - 1] == b'\r' { end - 1 } else { end };
    let line = &bytes[..end];
    let verb_end = line.iter().position(|b| matches!(b, b' ' | b'\t')).unwrap_or(end);
    let verb = &line[..verb_end];
    if verb.eq_ignore_ascii_case(b"MSG") {
        return message_line(line, verb_end, false, max_message, bytes);
    }
    if verb.eq_ignore_ascii_case(b"HMSG") {
        return message_line(line, verb_end, true, max_message, bytes);
    }
    if verb.eq_ignore_ascii_case(b"PING") {
        return Ok(Line::Ping);
    }
    if verb.eq_ignore_ascii_case(b"PONG") {
        return Ok(Line::Pong);
    }
    if verb.eq_ignore_ascii_case(b"+OK") {
        return Ok(Line::Ok);
    }
    let rest = verb_end..end;
    if verb.eq_ignore_ascii_case(b"INFO") {
        return Ok(Line::Info(rest));
    }
    if verb.eq_ignore_ascii_case(b"-ERR") {
        return Ok(Line::Err(rest));
    }
    Err(Error::protocol(format!(
        "unknown operation {}",
        Quoted(&alloc::string::String::from_utf8_lossy(&verb[..verb.len().min(32)]))
    )))
}

fn message_line(
    line: &[u8],
    verb_end: usize,
    has_headers: bool,
    max_message: usize,
    bytes: &[u8],
) -> Result<Line, Error> {
    let mut fields: [Range<usize>; 5] = [const { 0..0 }; 5];
    let mut count = 0;
    let mut start = verb_end;
    let spaces = memchr2_iter(b' ', b'\t', &line[verb_end..]).map(|at| verb_end + at);
    for end in spaces.chain([line.len()]) {
        if start < end {
            *fields.get_mut(count).ok_or_else(|| bad_line(line))? = start..end;
            count += 1;
        }
        start = end + 1;
    }
    let sizes = if has_headers { 2 } else { 1 };
    let Some(names @ 2..=3) = count.checked_sub(sizes) else { return Err(bad_line(line)) };
    let size = |field: &Range<usize>| {
        parse_u64(&line[field.clone()]).and_then(|n| usize::try_from(n).ok()).ok_or_else(|| bad_line(line))
    };
    let total = size(&fields[count - 1])?;
    let headers_len = if has_headers { size(&fields[count - 2])? } else { 0 };
    if headers_len > total {
        return Err(bad_line(line));
    }
    if total > max_message {
        return Err(Error::protocol(format!("a message of {total} bytes is over the limit of {max_message}")));
    }
    let body = if bytes.get(line.len()) == Some(&b'\r') { line.len() + 2 } else { line.len() + 1 };
    Ok(Line::Message(Head {
        subject: fields[0].clone(),
        sid: fields[1].clone(),
        reply: (names == 3).then(|| fields[2].clone()),
        body,
        headers_len,
        total,
    }))
}

fn bad_line(line: &[u8]) -> Error {
    Error::protocol(format!(
        "malformed line {}",
        Quoted(&alloc::string::String::from_utf8_lossy(&line[..line.len().min(128)]))
    ))
}

fn too_long() -> Error {
    Error::protocol(format!("a control line of more than {MAX_LINE} bytes"))
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::String, vec::Vec};

    use super::*;

    const STREAM: &[u8] = b"INFO {\"a\":1} \r\nPING\r\n+OK\nMSG a.b 7 5\r\nhello\r\nmsg\tx  9 r.1\t0\r\n\r\n\
        HMSG s 1 r 12 14\r\nNATS/1.0\r\n\r\nhi\r\n-ERR 'Stale Connection'\r\nPONG\r\nMSG lf 2 2\nok\n";

    fn frames(chunks: &[&[u8]]) -> Vec<String> {
        let mut parser = Parser::new(1 << 20);
        let mut seen = Vec::new();
        for chunk in chunks {
            let mut frames = parser.frames(chunk);
            while let Some(frame) = frames.next() {
                let frame = frame.map(|frame| match frame {
                    Frame::Message(m) => format!(
                        "{}|{}|{:?}|{}|{}",
                        String::from_utf8_lossy(m.subject),
                        String::from_utf8_lossy(m.sid),
                        m.reply.map(String::from_utf8_lossy),
                        m.headers.block().len(),
                        String::from_utf8_lossy(m.payload)
                    ),
                    Frame::Err(text) | Frame::Info(text) => format!("{}", String::from_utf8_lossy(text)),
                    other => format!("{other:?}"),
                });
                let is_err = frame.is_err();
                seen.push(frame.unwrap_or_else(|e| format!("{e}")));
                if is_err {
                    return seen;
                }
            }
        }
        seen
    }

    #[test]
    fn every_cut_gives_the_same_frames() {
        let whole = frames(&[STREAM]);
        assert_eq!(whole.len(), 9, "{whole:?}");
        let (one, other) = if cfg!(miri) { (7, 61) } else { (1, 7) }; // an interpreter has not the time for all
        for first in (0..STREAM.len()).step_by(one) {
            let (a, rest) = STREAM.split_at(first);
            assert_eq!(frames(&[a, rest]), whole, "cut at {first}");
            for second in (0..rest.len()).step_by(other) {
                assert_eq!(frames(&[a, &rest[..second], &rest[second..]]), whole, "cut at {first} and {second}");
            }
        }
        let bytes: Vec<&[u8]> = STREAM.chunks(1).collect();
        assert_eq!(frames(&bytes), whole);
    }

    #[test]
    fn a_large_buffer_stays_while_it_is_needed() {
        let mut parser = Parser::new(1 << 20);
        let mut take = |size: usize| {
            let mut bytes = format!("MSG a 1 {size}\r\n").into_bytes();
            bytes.resize(bytes.len() + size, b'x');
            bytes.extend_from_slice(b"\r\n");
            for half in bytes.chunks(bytes.len() / 2 + 1) {
                let mut frames = parser.frames(half);
                while frames.next().is_some() {}
            }
            parser.frames(b"PING\r\n").next();
            parser.partial.capacity()
        };
        let large = take(200_000);
        assert!(large >= 200_000);
        assert_eq!(take(190_000), large);
        assert!(take(1000) < KEPT_CAPACITY);
    }

    #[test]
    fn refuses_what_is_not_nats() {
        for bad in [
            "FOO\r\n",
            "MSG a 1 2\r\nabcPING\r\n",
            "MSG a 1 99999999\r\n",
            "MSG a 1 x\r\n",
            "HMSG a 1 9 3\r\n",
            "MSG a\r\n",
            "\r\n",
        ] {
            let seen = frames(&[bad.as_bytes()]);
            assert_eq!(seen.len(), 1, "{bad:?}");
            let bytes: Vec<&[u8]> = bad.as_bytes().chunks(1).collect();
            assert_eq!(frames(&bytes).len(), 1, "{bad:?} byte by byte");
        }
        assert_eq!(frames(&[&[b'x'; MAX_LINE + 2]]).len(), 1, "an endless line");
    }
}
