//! One blocking socket that speaks just enough of the protocol.

use std::{
    io::{Read, Write},
    net::TcpStream,
    ops::Range,
    sync::LazyLock,
    time::Duration,
};

use serde_json::Value;

use crate::Result;

/// How long the server may be silent.
const PATIENCE: Duration = Duration::from_secs(20);
const CONNECT: &str = "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,\"lang\":\"limit\",\"version\":\"1\",\"protocol\":1}\r\n";

/// Replies to this process come to subjects that begin so.
pub(crate) fn inbox() -> &'static str {
    static INBOX: LazyLock<String> = LazyLock::new(|| format!("_LIMIT{:08}.", std::process::id()));
    &INBOX
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Read and not yet taken.
    unread: Range<usize>,
}

/// Where the parts of a message lie in the buffer.
#[derive(Debug)]
struct Frame {
    subject: Range<usize>,
    reply: Range<usize>,
    headers: Range<usize>,
    payload: Range<usize>,
    end: usize,
}

/// A message, in the buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    pub(crate) subject: &'a [u8],
    pub(crate) reply: &'a [u8],
    /// Empty where it has none.
    pub(crate) headers: &'a [u8],
    pub(crate) payload: &'a [u8],
}

impl Message<'_> {
    /// The three digits of a status message.
    pub(crate) fn status(&self) -> Option<&[u8]> {
        self.headers.strip_prefix(b"NATS/1.0 ").map(|rest| &rest[..3.min(rest.len())])
    }

    /// The number in the acknowledgement of a write, unless it is a refusal.
    pub(crate) fn sequence(&self) -> Result<u64> {
        number_after(self.payload, b"\"seq\":")
            .ok_or_else(|| format!("no acknowledgement: {}", String::from_utf8_lossy(self.payload)).into())
    }

    /// The revision in the headers of a direct get.
    pub(crate) fn revision(&self) -> Result<u64> {
        number_after(self.headers, b"Nats-Sequence: ")
            .ok_or_else(|| format!("no message: {}", String::from_utf8_lossy(self.headers)).into())
    }
}

fn number_after(text: &[u8], name: &[u8]) -> Option<u64> {
    let at = memchr::memmem::find(text, name)? + name.len();
    let digits = text[at..].iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(None, |number: Option<u64>, digit| Some(number.unwrap_or(0) * 10 + u64::from(digit - b'0')))
}

impl Wire {
    pub(crate) fn connect(url: &str) -> Result<Self> {
        let address = url.strip_prefix("nats://").ok_or("url must be nats://host:port")?;
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut wire = Self { stream, buffer: vec![0; 4 << 20], unread: 0..0 };
        let inbox = inbox();
        wire.write(format!("{CONNECT}SUB {inbox}* 1\r\nPING\r\n").as_bytes())?;
        loop {
            wire.fill()?;
            let found = memchr::memmem::find(&wire.buffer[wire.unread.clone()], b"PONG\r\n");
            if let Some(at) = found {
                wire.unread.start += at; // more may follow: another INFO
                return Ok(wire);
            }
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(bytes)?)
    }

    /// One read.
    pub(crate) fn fill(&mut self) -> Result<()> {
        if self.unread.end + (1 << 16) > self.buffer.len() {
            self.buffer.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
        }
        match self.stream.read(&mut self.buffer[self.unread.end..])? {
            0 => Err("the server closed the connection".into()),
            count => {
                self.unread.end += count;
                Ok(())
            }
        }
    }

    /// The next message that is here in whole.
    pub(crate) fn try_next(&mut self) -> Result<Option<Message<'_>>> {
        while !self.unread.is_empty() {
            let Some(end) = line_end(&self.buffer[self.unread.clone()]) else { return Ok(None) };
            let line = self.unread.start..self.unread.start + end;
            match self.buffer[line.start] {
                b'M' | b'H' => {
                    let frame = frame(&self.buffer, line)?;
                    if frame.end > self.unread.end {
                        return Ok(None);
                    }
                    self.unread.start = frame.end;
                    let part = |range: Range<usize>| &self.buffer[range];
                    return Ok(Some(Message {
                        subject: part(frame.subject),
                        reply: part(frame.reply),
                        headers: part(frame.headers),
                        payload: part(frame.payload),
                    }));
                }
                b'-' => return Err(String::from_utf8_lossy(&self.buffer[line]).into()),
                first => {
                    let is_ping = first == b'P' && self.buffer[line.start + 1] == b'I';
                    self.unread.start = line.end + 2;
                    if is_ping {
                        self.write(b"PONG\r\n")?;
                    }
                }
            }
        }
        self.unread = 0..0;
        Ok(None)
    }

    /// Waits for `count` messages and shows each.
    pub(crate) fn take(&mut self, count: usize, mut each: impl FnMut(usize, Message<'_>) -> Result<()>) -> Result<()> {
        let mut came = 0;
        while came < count {
            match self.try_next()? {
                Some(message) => {
                    each(came, message)?;
                    came += 1;
                }
                None => self.fill()?,
            }
        }
        Ok(())
    }

    /// The answer to a request of the JetStream API, such as `STREAM.NAMES`.
    pub(crate) fn ask(&mut self, endpoint: &str, body: &Value) -> Result<Value> {
        let inbox = inbox();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.write(format!("PUB $JS.API.{endpoint} {inbox}ask {}\r\n{body}\r\n", body.len()).as_bytes())?;
        let mut answer = Value::Null;
        self.take(1, |_, message| {
            answer = serde_json::from_slice(message.payload)?;
            Ok(())
        })?;
        Ok(answer)
    }

    /// The same, where an error is one for us too.
    pub(crate) fn must(&mut self, endpoint: &str, body: &Value) -> Result<Value> {
        let answer = self.ask(endpoint, body)?;
        if answer["error"].is_null() { Ok(answer) } else { Err(format!("{endpoint}: {}", answer["error"]).into()) }
    }
}

fn line_end(bytes: &[u8]) -> Option<usize> {
    memchr::memchr(b'\n', bytes)?.checked_sub(1)
}

/// `MSG subject sid [reply] size` or `HMSG subject sid [reply] headers size`.
fn frame(buffer: &[u8], line: Range<usize>) -> Result<Frame> {
    let has_headers = buffer[line.start] == b'H';
    let mut words = [const { 0..0 }; 6];
    let mut count = 0;
    let mut start = line.start;
    for at in line.clone().chain([line.end]) {
        if at == line.end || buffer[at] == b' ' {
            *words.get_mut(count).ok_or("a message line has too many words")? = start..at;
            count += 1;
            start = at + 1;
        }
    }
    let number = |word: &Range<usize>| -> Result<usize> { Ok(std::str::from_utf8(&buffer[word.clone()])?.parse()?) };
    let sizes = if has_headers { 2 } else { 1 };
    let Some(last) = count.checked_sub(1).filter(|_| count >= 3 + sizes) else {
        return Err("a message line has too few words".into());
    };
    let size = number(&words[last])?;
    let headers = if has_headers { number(&words[last - 1])? } else { 0 };
    let reply = if count == 4 + sizes { words[3].clone() } else { 0..0 };
    let body = line.end + 2;
    Ok(Frame {
        subject: words[1].clone(),
        reply,
        headers: body..body + headers,
        payload: body + headers..body + size,
        end: body + size + 2,
    })
}
