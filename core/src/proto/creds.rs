//! Credentials files: a user's JWT and the seed that signs for it, each between two lines of dashes, amid text for people.

use alloc::vec::Vec;

use crate::error::Error;

/// What a credentials file holds; one of the two may be missing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Creds<'a> {
    /// The user's JWT.
    pub jwt: Option<&'a str>,
    /// The seed's text, not checked yet.
    pub seed: Option<&'a str>,
}

impl<'a> Creds<'a> {
    /// Reads a credentials file, or a file with nothing but a seed. The numbers of dashes differ between tools, and mean nothing.
    pub fn parse(text: &'a str) -> Result<Self, Error> {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let blocks = lines.windows(3).filter(|lines| is_fence(lines[0]) && !is_fence(lines[1]) && is_fence(lines[2]));
        let (mut jwt, mut seed) = (None, None);
        for payload in blocks.map(|lines| lines[1]).filter(|payload| is_payload(payload)) {
            let slot = if payload.contains('.') { &mut jwt } else { &mut seed };
            slot.get_or_insert(payload);
        }
        if jwt.is_none() && seed.is_none() {
            let is_seed =
                |line: &&str| ["SU", "SA", "SO"].iter().any(|start| line.starts_with(start)) && is_payload(line);
            seed = lines.into_iter().find(is_seed);
        }
        if jwt.is_none() && seed.is_none() {
            return Err(Error::argument("credentials: neither a JWT nor a seed is in them"));
        }
        Ok(Self { jwt, seed })
    }
}

fn is_fence(line: &str) -> bool {
    line.starts_with("---") && line.ends_with("---")
}

fn is_payload(line: &str) -> bool {
    !line.is_empty() && line.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'='))
}
