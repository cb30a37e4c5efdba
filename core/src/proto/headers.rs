//! NATS header blocks: a status line, then `Name: value` lines, then a blank one (PROTOCOL: header version `NATS/1.0`).
//!
//! Nothing is copied or indexed: a message carries few headers, and a scan of the block is cheaper than a map of it.
//! Names are matched exactly, as the server does. Where the server appends its own to what a writer stored, the last
//! occurrence is the server's.

use alloc::{format, vec::Vec};

use memchr::memchr;

use crate::{error::Error, number::parse_u64, shown::Quoted};

/// A header block as it stands on the wire; the empty block where a message has none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'a> {
    block: &'a [u8],
    lines: &'a [u8],
    status: Option<u16>,
    description: &'a [u8],
    is_malformed: bool,
}

impl<'a> Headers<'a> {
    /// Reads the status line. A block that is not one keeps its bytes, says so, and has no headers.
    pub fn parse(block: &'a [u8]) -> Self {
        let malformed = Self { block, is_malformed: true, ..Self::default() };
        if block.is_empty() {
            return Self::default();
        }
        let Some(rest) = block.strip_prefix(b"NATS/1.0") else { return malformed };
        let Some(end) = memchr(b'\n', rest) else { return malformed };
        let (first, lines) = (trim(&rest[..end]), &rest[end + 1..]);
        let (status, description) = match first {
            [] => (None, &first[..0]),
            [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', rest @ ..] => {
                (Some(u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0')), trim(rest))
            }
            _ => return malformed,
        };
        Self { block, lines, status, description, is_malformed: false }
    }

    /// The block as received.
    pub fn block(&self) -> &'a [u8] {
        self.block
    }

    /// The status code of the first line, such as 404 or 503.
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// The text after the status code; may be empty.
    pub fn description(&self) -> &'a [u8] {
        self.description
    }

    /// The block does not follow the grammar (servers relay whatever was published).
    pub fn is_malformed(&self) -> bool {
        self.is_malformed
    }

    /// Name and value of each line, in order; lines without a colon are passed over.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        fields(self.lines).filter_map(|(name, value)| Some((core::str::from_utf8(name).ok()?, value)))
    }

    /// Offset in the block, and bytes, of each line.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &'a [u8])> + use<'a> {
        let first = self.block.len() - self.lines.len();
        lines(self.lines).map(move |(at, line)| (first + at, line))
    }

    /// The headers before this offset of the block; the empty block when there are none.
    pub(crate) fn before(&self, offset: usize) -> Self {
        let first = self.block.len() - self.lines.len();
        if offset <= first {
            Self::default()
        } else {
            Self { block: &self.block[..offset], lines: &self.block[first..offset], ..*self }
        }
    }

    /// The value of the last line with exactly this name: for names that the server appends, the one it vouches for.
    pub fn last(&self, name: &str) -> Option<&'a [u8]> {
        if self.lines.is_empty() {
            return None;
        }
        fields(self.lines).filter(|(n, _)| *n == name.as_bytes()).last().map(|(_, value)| value)
    }

    /// The last value of `name` as a number.
    pub fn last_u64(&self, name: &str) -> Option<u64> {
        parse_u64(self.last(name)?)
    }
}

/// Offset and bytes of each line.
fn lines(block: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    core::iter::from_fn(move || {
        let start = at;
        let line = &block[start..start + memchr(b'\n', &block[start..])?];
        at += line.len() + 1;
        Some((start, line))
    })
}

/// Name and value of each line that has a colon.
fn fields(block: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    lines(block).filter_map(|(_, line)| {
        let colon = memchr(b':', line)?;
        Some((&line[..colon], trim(&line[colon + 1..])))
    })
}

fn trim(bytes: &[u8]) -> &[u8] {
    bytes.trim_ascii()
}

/// Appends the block for `headers`: `NATS/1.0`, a line each, a blank one.
///
/// A name must be printable ASCII without `:`, a value must not contain CR or LF: anything else could end the block early
/// or smuggle a header in.
pub(crate) fn encode_block(headers: &[(&str, &str)], out: &mut Vec<u8>) -> Result<(), Error> {
    for (name, value) in headers {
        check(name, value)?;
    }
    out.extend_from_slice(b"NATS/1.0\r\n");
    for (name, value) in headers {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

fn check(name: &str, value: &str) -> Result<(), Error> {
    if name.is_empty() || !name.bytes().all(|b| matches!(b, 33..=126) && b != b':') {
        return Err(Error::argument(format!(
            "header name {name}: only printable ASCII without `:` and spaces",
            name = Quoted(name)
        )));
    }
    if value.bytes().any(|b| matches!(b, b'\r' | b'\n')) {
        return Err(Error::argument(format!("header {name}: the value must not contain a line break")));
    }
    Ok(())
}
