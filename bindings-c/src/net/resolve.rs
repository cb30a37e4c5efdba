//! Names to addresses without blocking the driver: getaddrinfo has no other form, so a short-lived thread runs it.
//!
//! Numeric addresses and `localhost` need none. A thread whose answer is no longer wanted ends by itself, at the latest
//! when the system's resolver gives up.

use std::{
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs},
    os::{
        fd::{AsRawFd, RawFd},
        unix::net::UnixStream,
    },
    sync::mpsc::{Receiver, TryRecvError, sync_channel},
    thread,
};

/// The addresses of `host` where nobody needs to be asked.
pub(crate) fn known(host: &str, port: u16) -> Option<Vec<SocketAddr>> {
    if host.eq_ignore_ascii_case("localhost") {
        return Some(vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]);
    }
    host.parse::<IpAddr>().ok().map(|ip| vec![(ip, port).into()])
}

/// A look-up on its way.
#[derive(Debug)]
pub(crate) struct Lookup {
    answer: Receiver<io::Result<Vec<SocketAddr>>>,
    done: UnixStream,
}

impl Lookup {
    /// Its descriptor gets another number than `avoid`.
    pub(crate) fn start(host: &str, port: u16, avoid: RawFd) -> io::Result<Self> {
        let (mut done, mut signal) = UnixStream::pair()?;
        if done.as_raw_fd() == avoid {
            done = done.try_clone()?;
        }
        let (sender, answer) = sync_channel(1);
        let host = String::from(host);
        thread::Builder::new().name("natskv-dns".into()).spawn(move || {
            let addresses = (host.as_str(), port).to_socket_addrs().map(Vec::from_iter);
            let _ = sender.send(addresses);
            let _ = signal.write(&[1]); // both fail only where nobody waits any more
        })?;
        Ok(Self { answer, done })
    }

    /// Becomes readable when the answer is there.
    pub(crate) fn fd(&self) -> RawFd {
        self.done.as_raw_fd()
    }

    pub(crate) fn answer(&self) -> Option<io::Result<Vec<SocketAddr>>> {
        match self.answer.try_recv() {
            Ok(answer) => Some(answer),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(io::Error::other("the resolver thread died"))),
        }
    }
}
