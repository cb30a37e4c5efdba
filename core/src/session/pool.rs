//! The servers we may connect to: those the user named, and those that servers tell us of.

use alloc::{
    collections::VecDeque,
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use crate::{
    config::Config, error::Error, number::parse_u64, proto::info::ServerInfo, rng::Rng, session::auth::Login,
    shown::Quoted,
};

/// How a server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// TCP.
    Nats,
    /// TCP, TLS demanded.
    Tls,
    /// WebSocket.
    Ws,
    /// WebSocket over TLS.
    Wss,
}

impl Scheme {
    /// `nats`, `tls`, `ws` or `wss`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nats => "nats",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    /// Whether NATS runs inside WebSocket frames.
    pub const fn is_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }

    const fn default_port(self) -> u16 {
        match self {
            Self::Nats | Self::Tls => 4222,
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }
}

/// One server of the pool. Credentials are not in it. `Display` gives its URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// How to reach it.
    pub scheme: Scheme,
    /// Host name or address, IPv6 without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path and query of a WebSocket URL, beginning with `/`; empty for others.
    pub path: String,
    /// The name that its certificate must carry: the host, or, for an address learnt from a server, the one of the URL that led there.
    pub tls_name: String,
}

impl Server {
    /// `host:port`.
    pub(crate) fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.name(), self.authority(), self.path)
    }
}

/// A server with what we know of it.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) server: Server,
    /// From the URL; `Nobody`: that of Config.
    pub(crate) login: Login,
    is_discovered: bool,
    /// Of the last connection to it; a server that starts again has another.
    pub(crate) server_id: Option<String>,
    /// The version of the login that this server refused last; the same again ends it.
    pub(crate) refused: Option<u64>,
}

/// The servers; the front one is the current.
#[derive(Debug)]
pub(crate) struct Pool {
    members: VecDeque<Member>,
    is_randomized: bool,
}

impl Pool {
    pub(crate) fn new(config: &Config, rng: &mut Rng) -> Result<Self, Error> {
        let mut members = Vec::new();
        for url in config.servers.iter().flat_map(|urls| urls.split(',')) {
            let (server, login) = parse_url(url.trim())?;
            members.push(Member { server, login, is_discovered: false, server_id: None, refused: None });
        }
        let Some(first) = members.first() else { return Err(Error::argument("servers: none given")) };
        let is_websocket = first.server.scheme.is_websocket();
        if members.iter().any(|member| member.server.scheme.is_websocket() != is_websocket) {
            return Err(Error::argument("servers: nats/tls and ws/wss URLs cannot be mixed"));
        }
        let asks_tls = [("tls", config.tls), ("tls_first", config.tls_first)].into_iter().find(|(_, is_set)| *is_set);
        if let Some((name, _)) = asks_tls.filter(|_| members.iter().any(|member| member.server.scheme == Scheme::Ws)) {
            return Err(Error::argument(format!("{name}: over WebSocket the URL says it; use wss://, not ws://")));
        }
        if config.randomize_servers {
            rng.shuffle(&mut members);
        }
        Ok(Self { members: members.into(), is_randomized: config.randomize_servers })
    }

    pub(crate) fn current(&self) -> &Member {
        &self.members[0]
    }

    pub(crate) fn current_mut(&mut self) -> &mut Member {
        &mut self.members[0]
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Makes the next server the current one.
    pub(crate) fn rotate(&mut self) {
        self.members.rotate_left(1);
    }

    /// Whether a server is in the pool that is not the current one, by another name either.
    pub(crate) fn has_another(&self) -> bool {
        let current = &self.current().server_id;
        self.members.iter().skip(1).any(|member| current.is_none() || member.server_id != *current)
    }

    /// Makes the next server the current one that is not this one by another name.
    pub(crate) fn rotate_to_another(&mut self) {
        let current = self.current().server_id.clone();
        for _ in 1..self.members.len() {
            self.rotate();
            if current.is_none() || self.current().server_id != current {
                return;
            }
        }
    }

    /// Takes in the cluster's members of an INFO: unknown ones join, those we learnt of before and that are gone leave, the
    /// current one stays. A list that is empty says nothing, but for a server that shuts down, which lists all others.
    pub(crate) fn discover(&mut self, info: &ServerInfo, rng: &mut Rng) {
        let current = self.current().clone();
        let scheme = current.server.scheme;
        // To a WebSocket client servers name the WebSocket addresses as connect_urls, and there is no ws_connect_urls (seen on 2.15.1).
        let urls = match &info.ws_connect_urls {
            urls if scheme.is_websocket() && !urls.is_empty() => urls,
            _ => &info.connect_urls,
        };
        let listed: Vec<Server> = urls.iter().filter_map(|url| parse_authority(url, scheme).ok()).collect();
        if listed.is_empty() && !info.is_lame_duck {
            return;
        }
        let is_same = |a: &Server, b: &Server| a.host == b.host && a.port == b.port;
        let is_listed = |server: &Server| listed.iter().any(|other| is_same(server, other));
        self.members.retain(|m| !m.is_discovered || is_same(&m.server, &current.server) || is_listed(&m.server));
        let known = self.members.len();
        for mut server in listed {
            if self.members.iter().any(|member| is_same(&member.server, &server)) {
                continue;
            }
            if is_address(&server.host) {
                server.tls_name.clone_from(&current.server.tls_name);
            }
            let login = current.login.clone();
            self.members.push_back(Member { server, login, is_discovered: true, server_id: None, refused: None });
        }
        if self.is_randomized && self.members.len() > known {
            rng.shuffle(&mut self.members.make_contiguous()[1..]);
        }
    }
}

/// `scheme://user:password@host:port/path`, all but the host optional; a user without a password is a token.
pub(crate) fn parse_url(url: &str) -> Result<(Server, Login), Error> {
    let wrong = |why: &str| Error::argument(format!("server {}: {why}", Quoted(&without_credentials(url))));
    let (scheme, rest) = url.split_once("://").unwrap_or(("nats", url));
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "nats" => Scheme::Nats,
        "tls" => Scheme::Tls,
        "ws" => Scheme::Ws,
        "wss" => Scheme::Wss,
        _ => return Err(wrong("the scheme must be nats, tls, ws or wss")),
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (userinfo, address) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    let mut server = parse_authority(address, scheme).map_err(wrong)?;
    if scheme.is_websocket() && path.len() > 1 {
        server.path = path.to_string();
    }
    let login = match userinfo
        .map(|info| info.split_once(':').map_or((info, None), |(user, password)| (user, Some(password))))
    {
        None | Some(("", None)) => Login::Nobody,
        Some((user, Some(password))) => {
            Login::User { user: decode(user).map_err(wrong)?, password: decode(password).map_err(wrong)?.into() }
        }
        Some((token, None)) => Login::Token(decode(token).map_err(wrong)?.into()),
    };
    Ok((server, login))
}

fn parse_authority(address: &str, scheme: Scheme) -> Result<Server, &'static str> {
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or("`]` is missing behind the address")?;
            (host, port.strip_prefix(':'))
        }
        None if address.matches(':').count() > 1 => return Err("an IPv6 address goes in [brackets]"),
        None => address.split_once(':').map_or((address, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() {
        return Err("the host is missing");
    }
    if host.bytes().any(|b| b <= b' ' || b == 127) {
        return Err("white space in the host");
    }
    let port = match port {
        None | Some("") => scheme.default_port(),
        Some(digits) => parse_u64(digits.as_bytes())
            .and_then(|port| u16::try_from(port).ok())
            .ok_or("the port must be a number up to 65535")?,
    };
    Ok(Server { scheme, host: host.to_string(), port, path: String::new(), tls_name: host.to_string() })
}

/// An IP address and no name: names that are digits throughout cannot be looked up.
fn is_address(host: &str) -> bool {
    host.contains(':') || host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// Percent-decoding.
fn decode(text: &str) -> Result<String, &'static str> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let digit = |at: usize| char::from(*tail.get(at)?).to_digit(16);
        let byte = digit(0).zip(digit(1)).map(|(high, low)| (high << 4 | low) as u8);
        bytes.push(byte.ok_or("bad percent-encoding in the credentials")?);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).map_err(|_| "the credentials are not UTF-8")
}

/// URLs as they may be shown: without what stands before an `@`, and without a port that is none, since it may be the half of a
/// password that has a comma or slash in it.
pub(crate) fn without_credentials(urls: &str) -> String {
    let (scheme, rest) = urls.split_once("://").map_or(("", urls), |(scheme, rest)| (scheme, rest));
    let address = rest.rsplit_once('@').map_or(rest, |(_, address)| address);
    let authority = &address[..address.find(['/', '?', '#']).unwrap_or(address.len())];
    let shown = match authority.rsplit_once(':') {
        Some((host, port)) if !port.bytes().all(|b| b.is_ascii_digit() || b == b']') => format!("{host}:…"),
        _ => authority.to_string(),
    };
    if scheme.is_empty() { shown } else { format!("{scheme}://{shown}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (url, expected) in [
            ("localhost", "nats://localhost:4222"),
            ("nats://h:1", "nats://h:1"),
            ("tls://u:p@h", "tls://h:4222"),
            ("ws://h/nats?x=1", "ws://h:80/nats?x=1"),
            ("wss://[::1]:8443", "wss://[::1]:8443"),
            ("NATS://h/", "nats://h:4222"),
        ] {
            assert_eq!(parse_url(url).map(|(server, _)| server.to_string()), Ok(expected.to_string()), "{url}");
        }
        let token = Login::Token("t k".into());
        assert_eq!(parse_url("nats://t%20k@h").map(|(_, login)| login), Ok(token));
        for bad in ["http://h", "nats://", "nats://h:x", "nats://h:99999", "nats://::1", "nats://a b", "nats://%zz@h"] {
            let error = parse_url(bad).expect_err(bad);
            assert!(error.message.contains("server "), "{error}");
        }
        for leaky in ["nats://secret@h:x", "nats://u:secret", "nats://u:secret/x@h:1:2", "secret@h:x", "u:secret"] {
            let error = parse_url(leaky).expect_err(leaky);
            assert!(!error.message.contains("secret"), "{error}");
        }
    }
}
