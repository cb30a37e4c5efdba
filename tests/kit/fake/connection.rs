//! One client's connection as a server sees it: what its bytes say, and what it is subscribed to.

use std::collections::BTreeMap;

/// What a client said.
#[derive(Debug)]
pub(super) enum Said {
    Connect,
    Publish(Publish),
    Subscribe { subject: String, sid: u64 },
    Unsubscribe { sid: u64 },
    Ping,
    Pong,
}

/// A PUB or HPUB.
#[derive(Clone, Debug)]
pub struct Publish {
    pub conn: u64,
    pub subject: String,
    pub reply: Option<String>,
    pub headers: Vec<u8>,
    pub payload: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: u64,
    pub(super) node: usize,
    pub(super) has_said_connect: bool,
    pub(super) has_ponged: bool,
    /// PINGs of the server that the client has not answered.
    pub(super) pings_out: u32,
    buffer: Vec<u8>,
    read: usize,
    max_payload: usize,
    by_sid: BTreeMap<u64, String>,
    literals: BTreeMap<String, u64>,
    wildcards: Vec<(String, u64)>,
}

impl Connection {
    pub(super) fn new(id: u64, node: usize, max_payload: usize) -> Self {
        Self {
            id,
            node,
            has_said_connect: false,
            has_ponged: false,
            pings_out: 0,
            buffer: Vec::new(),
            read: 0,
            max_payload,
            by_sid: BTreeMap::new(),
            literals: BTreeMap::new(),
            wildcards: Vec::new(),
        }
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.read);
        self.read = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole thing that was said, or why the connection is to be closed.
    pub(super) fn next(&mut self) -> Result<Option<Said>, String> {
        let rest = &self.buffer[self.read..];
        let Some(end) = rest.iter().position(|b| *b == b'\n') else {
            return if rest.len() > 4096 { Err("maximum control line exceeded".into()) } else { Ok(None) };
        };
        let line = rest[..end].strip_suffix(b"\r").ok_or("a line does not end in CRLF")?;
        if line.len() > 4096 {
            return Err("maximum control line exceeded".into());
        }
        let line = std::str::from_utf8(line).map_err(|_| "a line is not UTF-8")?;
        let mut body = end + 1;
        let (verb, arguments) = line.split_once(' ').unwrap_or((line, ""));
        let words: Vec<&str> = arguments.split(' ').filter(|word| !word.is_empty()).collect();
        let unknown = || format!("Unknown Protocol Operation: {line:?}");
        let said = match (verb, words.as_slice()) {
            ("PING", []) => Said::Ping,
            ("PONG", []) => Said::Pong,
            ("CONNECT", _) if serde_json::from_str::<serde_json::Map<_, _>>(arguments).is_ok() => Said::Connect,
            ("SUB", [subject, sid]) => {
                let sid = sid.parse().map_err(|_| unknown())?;
                Said::Subscribe { subject: (*subject).into(), sid }
            }
            ("UNSUB", [sid]) => Said::Unsubscribe { sid: sid.parse().map_err(|_| unknown())? },
            ("PUB" | "HPUB", [subject, rest @ ..]) => {
                let counts = if verb == "HPUB" { 2 } else { 1 };
                let (reply, sizes) = match rest.len().checked_sub(counts) {
                    Some(0) => (None, rest),
                    Some(1) => (Some(rest[0].to_owned()), &rest[1..]),
                    _ => return Err(unknown()),
                };
                let sizes: Vec<usize> = sizes.iter().filter_map(|size| size.parse().ok()).collect();
                let (block, total) = match sizes.as_slice() {
                    [total] if counts == 1 => (0, *total),
                    [block, total] if block <= total => (*block, *total),
                    _ => return Err(unknown()),
                };
                if total > self.max_payload {
                    return Err("Maximum Payload Violation".into());
                }
                let Some(message) = rest_of(&self.buffer[self.read..], body, total)? else { return Ok(None) };
                body += total + 2;
                let (headers, payload) = message.split_at(block);
                let (headers, payload) = (headers.to_vec(), payload.to_vec());
                Said::Publish(Publish { conn: self.id, subject: (*subject).into(), reply, headers, payload })
            }
            _ => return Err(unknown()),
        };
        self.read += body;
        if !self.has_said_connect && !matches!(said, Said::Connect) {
            return Err(format!("said before CONNECT: {line:?}"));
        }
        Ok(Some(said))
    }

    /// A second SUB with a number that is in use would be ignored by a server; a client that relies on that is wrong.
    pub(super) fn subscribe(&mut self, subject: String, sid: u64) -> Result<(), String> {
        if self.by_sid.contains_key(&sid) {
            return Err(format!("SUB {subject} {sid}: the number is in use"));
        }
        if is_filter(&subject) {
            self.wildcards.push((subject.clone(), sid));
        } else if self.literals.insert(subject.clone(), sid).is_some() {
            return Err(format!("SUB {subject} {sid}: subscribed twice"));
        }
        self.by_sid.insert(sid, subject);
        Ok(())
    }

    pub(super) fn unsubscribe(&mut self, sid: u64) {
        let Some(subject) = self.by_sid.remove(&sid) else { return };
        if self.literals.remove(&subject).is_none() {
            self.wildcards.retain(|(_, other)| *other != sid);
        }
    }

    /// Whether exactly this subject is subscribed to: what a push consumer's deliver subject needs.
    pub(super) fn has_literal(&self, subject: &str) -> bool {
        self.literals.contains_key(subject)
    }

    /// Numbers of the subscriptions that match.
    pub(super) fn sids<'a>(&'a self, subject: &'a str) -> impl Iterator<Item = u64> + 'a {
        let wildcards = self.wildcards.iter().filter(move |(filter, _)| matches(filter, subject));
        self.literals.get(subject).copied().into_iter().chain(wildcards.map(|(_, sid)| *sid))
    }
}

/// `total` bytes and their CRLF behind `body`, once they are all there.
fn rest_of(bytes: &[u8], body: usize, total: usize) -> Result<Option<&[u8]>, String> {
    let Some(whole) = bytes.get(body..body + total + 2) else { return Ok(None) };
    let message = whole.strip_suffix(b"\r\n").ok_or("a payload does not end in CRLF")?;
    Ok(Some(message))
}

/// MSG or HMSG.
pub(super) fn message(subject: &str, sid: u64, reply: Option<&str>, headers: &[u8], payload: &[u8]) -> Vec<u8> {
    let reply = reply.map(|reply| format!("{reply} ")).unwrap_or_default();
    let mut bytes = if headers.is_empty() {
        format!("MSG {subject} {sid} {reply}{}\r\n", payload.len())
    } else {
        format!("HMSG {subject} {sid} {reply}{} {}\r\n", headers.len(), headers.len() + payload.len())
    }
    .into_bytes();
    bytes.extend_from_slice(headers);
    bytes.extend_from_slice(payload);
    bytes.extend_from_slice(b"\r\n");
    bytes
}

pub(super) fn is_filter(subject: &str) -> bool {
    subject.split('.').any(|token| matches!(token, "*" | ">"))
}

/// Whether a subject matches a filter with `*` and `>`.
pub fn matches(filter: &str, subject: &str) -> bool {
    let mut tokens = subject.split('.');
    for wanted in filter.split('.') {
        match (wanted, tokens.next()) {
            (">", token) => return token.is_some(),
            ("*", Some(_)) => {}
            (wanted, Some(token)) if wanted == token => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}

/// Whether two filters can match a common subject.
pub(super) fn overlap(a: &str, b: &str) -> bool {
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return true,
            (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
            (Some(x), Some(y)) if x == y || x == "*" || y == "*" => {}
            _ => return false,
        }
    }
}

/// Reads along what a client writes, and picks out what is written into streams.
#[derive(Debug)]
pub struct Tap(Connection);

impl Tap {
    pub fn new(conn: u64) -> Self {
        Self(Connection::new(conn, 0, usize::MAX))
    }

    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Publish> {
        self.0.feed(bytes);
        let mut writes = Vec::new();
        while let Ok(Some(said)) = self.0.next() {
            match said {
                Said::Connect => self.0.has_said_connect = true,
                Said::Publish(publish) if publish.subject.starts_with("$KV.") => writes.push(publish),
                _ => {}
            }
        }
        writes
    }
}
