//! One revision of a key, as every read and watch hands it out, and the one rule that tells a value from a marker.

use alloc::{boxed::Box, format, vec::Vec};
use core::time::Duration;

use crate::{
    error::Error,
    kv::ttl,
    proto::headers::{Headers, encode_block},
    time::nanos,
};

/// What the revision did to its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A value was written.
    Put,
    /// The key was deleted; earlier revisions stay as far as history goes.
    Delete,
    /// The key was purged with all earlier revisions, or it expired.
    Purge,
}

impl Operation {
    /// `PUT`, `DEL` or `PURGE`, as the header and the JSON form say it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Put => "PUT",
            Self::Delete => "DEL",
            Self::Purge => "PURGE",
        }
    }

    /// The operation of a message by its headers. `KV-Operation` goes first; a marker that the server left
    /// (`Nats-Marker-Reason`, ADR-43, server 2.11+) counts as a purge, but for `Remove`. Anything unknown is a value.
    pub(crate) fn of(headers: &Headers<'_>) -> Self {
        match headers.last("KV-Operation") {
            Some(b"DEL") => return Self::Delete,
            Some(b"PURGE") => return Self::Purge,
            Some(_) => return Self::Put,
            None => {}
        }
        match headers.last("Nats-Marker-Reason") {
            Some(b"Remove") => Self::Delete,
            Some(_) => Self::Purge,
            None => Self::Put,
        }
    }
}

/// One revision of a key. Key, headers and value share one allocation.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key; the key as stored where that is another; headers; value.
    bytes: Box<[u8]>,
    key_end: u32,
    raw_end: u32,
    headers_end: u32,
    /// The revision: the sequence of the message in the bucket's stream, so unique in the bucket.
    pub revision: u64,
    /// When the server stored it, in nanoseconds since 1970 (UTC).
    pub created_ns: i64,
    /// How many further messages matched when this one was delivered: 0 for the newest, and for every `get`.
    pub delta: u64,
    /// What it did.
    pub operation: Operation,
    /// Length of the value; also where only metadata was asked for and `value()` is empty.
    pub length: u64,
    /// When it expires by its own TTL or the bucket's (as far as the handle knows it), in nanoseconds since 1970 (UTC). None: never.
    pub expires_ns: Option<i64>,
}

impl Entry {
    pub(crate) fn new(
        key: &str,
        raw_key: &str,
        headers: &Headers<'_>,
        value: &[u8],
        revision: u64,
        created_ns: i64,
        delta: u64,
    ) -> Self {
        let block = headers.block();
        let raw = if raw_key == key { "" } else { raw_key };
        let mut bytes = Vec::with_capacity(key.len() + raw.len() + block.len() + value.len());
        bytes.extend_from_slice(key.as_bytes());
        bytes.extend_from_slice(raw.as_bytes());
        bytes.extend_from_slice(block);
        bytes.extend_from_slice(value);
        let length = headers.last_u64("Nats-Msg-Size").filter(|_| value.is_empty()).unwrap_or(value.len() as u64);
        let mut entry = Self {
            key_end: key.len() as u32,
            raw_end: (key.len() + raw.len()) as u32,
            headers_end: (key.len() + raw.len() + block.len()) as u32,
            bytes: bytes.into_boxed_slice(),
            revision,
            created_ns,
            delta,
            operation: Operation::of(headers),
            length,
            expires_ns: None,
        };
        if let Some(ttl) = entry.ttl() {
            entry.limit_age(i64::try_from(nanos(ttl)).unwrap_or_default());
        }
        entry
    }

    /// It expires at this age, in nanoseconds, if not before; 0: never.
    pub(crate) fn limit_age(&mut self, age_ns: i64) {
        if age_ns > 0 {
            let at = self.created_ns.saturating_add(age_ns);
            self.expires_ns = Some(self.expires_ns.map_or(at, |other| other.min(at)));
        }
    }

    /// The key, without the bucket's prefix.
    pub fn key(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.key_end as usize]).unwrap_or_default()
    }

    /// The value; empty for markers, for empty values, and where only metadata was asked for.
    pub fn value(&self) -> &[u8] {
        &self.bytes[self.headers_end as usize..]
    }

    /// The key as it stands in the bucket; another than `key` where a codec is used.
    pub fn raw_key(&self) -> &str {
        if self.raw_end == self.key_end {
            return self.key();
        }
        core::str::from_utf8(&self.bytes[self.key_end as usize..self.raw_end as usize]).unwrap_or_default()
    }

    fn header_block(&self) -> Headers<'_> {
        Headers::parse(&self.bytes[self.raw_end as usize..self.headers_end as usize])
    }

    /// The message's headers in the order they were stored, names as written.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.header_block().iter()
    }

    /// Whether this is a delete or purge marker, not a value.
    pub fn is_marker(&self) -> bool {
        self.operation != Operation::Put
    }

    /// Why the server itself put the marker: `MaxAge`, `Purge` or `Remove` (server 2.11+). None for all other entries.
    pub fn marker_reason(&self) -> Option<&[u8]> {
        self.header_block().last("Nats-Marker-Reason")
    }

    /// The TTL that this revision was written with (`Nats-TTL`). None: without one, or with `never`.
    pub fn ttl(&self) -> Option<Duration> {
        self.header_block().last("Nats-TTL").and_then(ttl::parse)
    }

    /// How much time is left at `unix_ns` until it expires; None: it does not.
    pub fn remaining_ttl(&self, unix_ns: i64) -> Option<Duration> {
        self.expires_ns.map(|at| Duration::from_nanos(at.saturating_sub(unix_ns).max(0) as u64))
    }

    /// An entry that no server sent, for the tests of programs that read entries. Its headers are those by which `operation` and `ttl`
    /// (at least 1 s) are told, then `headers`.
    #[expect(clippy::too_many_arguments, reason = "its fields")]
    pub fn sample(
        key: &str,
        operation: Operation,
        ttl: Option<Duration>,
        headers: &[(&str, &str)],
        value: &[u8],
        revision: u64,
        created_ns: i64,
        delta: u64,
    ) -> Result<Self, Error> {
        let ttl = ttl.map(ttl::header).transpose()?;
        let mut all = Vec::with_capacity(headers.len() + 2);
        if operation != Operation::Put {
            all.push(("KV-Operation", operation.name()));
        }
        all.extend(ttl.as_deref().map(|ttl| ("Nats-TTL", ttl)));
        all.extend_from_slice(headers);
        let mut block = Vec::new();
        if !all.is_empty() {
            encode_block(&all, &mut block)?;
        }
        Ok(Self::new(key, key, &Headers::parse(&block), value, revision, created_ns, delta))
    }

    /// The whole entry as bytes that `from_bytes` reads, for copies in other processes that use the same version of natskv.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FIXED + self.bytes.len());
        out.extend_from_slice(&[FORMAT, self.operation as u8, u8::from(self.expires_ns.is_some())]);
        for end in [self.key_end, self.raw_end, self.headers_end] {
            out.extend_from_slice(&end.to_le_bytes());
        }
        let times = [self.created_ns, self.expires_ns.unwrap_or_default()].map(|time| time as u64);
        for number in [self.revision, self.delta, self.length].into_iter().chain(times) {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.bytes);
        out
    }

    /// The entry that `to_bytes` wrote. Anything else is INVALID_ARGUMENT.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        Self::read(bytes).ok_or_else(|| Error::argument("not the bytes of an entry, or of another version of natskv"))
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (fixed, rest) = bytes.split_at_checked(FIXED)?;
        let ([FORMAT, operation, expires], numbers) = fixed.split_first_chunk()? else { return None };
        let operation = [Operation::Put, Operation::Delete, Operation::Purge].into_iter().nth((*operation).into())?;
        let (ends, numbers) = numbers.split_at_checked(12)?;
        let mut ends = ends.chunks_exact(4).filter_map(|end| Some(u32::from_le_bytes(end.try_into().ok()?)));
        let mut numbers = numbers.chunks_exact(8).filter_map(|n| Some(u64::from_le_bytes(n.try_into().ok()?)));
        let (key_end, raw_end, headers_end) = (ends.next()?, ends.next()?, ends.next()?);
        core::str::from_utf8(rest.get(..key_end as usize)?).ok()?;
        core::str::from_utf8(rest.get(key_end as usize..raw_end as usize)?).ok()?;
        rest.get(raw_end as usize..headers_end as usize)?;
        let (revision, delta, length) = (numbers.next()?, numbers.next()?, numbers.next()?);
        let (created_ns, expires_ns) = (numbers.next()? as i64, numbers.next()? as i64);
        Some(Self {
            bytes: rest.into(),
            key_end,
            raw_end,
            headers_end,
            revision,
            created_ns,
            delta,
            operation,
            length,
            expires_ns: (*expires != 0).then_some(expires_ns),
        })
    }

    /// Bytes held by this entry.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len() + size_of::<Self>()
    }
}

/// The form that `to_bytes` writes, and how much of it comes before keys, headers and value.
const FORMAT: u8 = 1;
const FIXED: usize = 3 + 3 * 4 + 5 * 8;

impl core::fmt::Debug for Entry {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&format!(
            "Entry({} {:?} @{} {} bytes)",
            self.operation.name(),
            self.key(),
            self.revision,
            self.length
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_an_entry_are_the_entry_or_an_error() {
        let headers = [("A", "1"), ("A", "2")];
        let ttl = Some(Duration::from_millis(1500));
        let mut entry = Entry::sample("k", Operation::Delete, ttl, &headers, b"", 7, -5, 2).expect("it is well");
        assert_eq!((entry.operation, entry.ttl(), entry.expires_ns), (Operation::Delete, ttl, Some(1_499_999_995)));
        assert_eq!(entry.headers().filter(|(name, _)| *name == "A").count(), 2);
        for length in [0, u64::MAX] {
            entry.length = length;
            let bytes = entry.to_bytes();
            assert_eq!(Entry::from_bytes(&bytes), Ok(entry.clone()));
            for cut in 0..bytes.len() {
                let _ = Entry::from_bytes(&bytes[..cut]); // must not panic; a cut in the value is a shorter value
            }
            for at in 0..FIXED {
                let mut wrong = bytes.clone();
                wrong[at] = 0xFF;
                let _ = Entry::from_bytes(&wrong);
            }
        }
        assert!(Entry::from_bytes(b"").is_err());
        assert!(Entry::sample("k", Operation::Put, None, &[("A", "1\r\nB: 2")], b"", 1, 0, 0).is_err());
    }

    #[test]
    fn an_encoded_key_survives() {
        let entry = Entry::new("a b", "a=20b", &Headers::default(), b"v", 1, 0, 0);
        let copy = Entry::from_bytes(&entry.to_bytes()).expect("it is well");
        assert_eq!((copy.key(), copy.raw_key(), copy.value()), ("a b", "a=20b", &b"v"[..]));
    }
}
