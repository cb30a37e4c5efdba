//! One TCP connection, in the clear or under TLS: bytes of NATS in and out, never blocking.
//!
//! Under TLS written bytes are first encrypted into rustls's buffer (64 KiB of them at most), which the socket may take only later:
//! whoever waits for the socket asks [`Transport::has_unsent`].

use std::{
    io::{self, BufRead, ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    os::fd::{AsRawFd, RawFd},
    sync::Arc,
};

use natskv_core::Lost;
use rustls::ClientConnection;

use super::{refusal, trust::Trust};

#[derive(Debug)]
pub(crate) struct Transport {
    socket: TcpStream,
    tls: Option<Tls>,
}

#[derive(Debug)]
struct Tls {
    session: Box<ClientConnection>,
    trust: Arc<Trust>,
}

impl Transport {
    pub(crate) fn new(socket: TcpStream) -> Self {
        Self { socket, tls: None }
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// From now on everything goes through TLS; the handshake is under way until [`Transport::is_handshaking`] is false.
    pub(crate) fn secure(&mut self, trust: &Arc<Trust>, name: &str) -> Result<(), Lost> {
        let session = trust.session(name).map_err(Lost::Tls)?;
        self.tls = Some(Tls { session: Box::new(session), trust: Arc::clone(trust) });
        Ok(())
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.session.is_handshaking())
    }

    /// TLS holds bytes that the socket has not taken yet.
    pub(crate) fn has_unsent(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.session.wants_write())
    }

    /// Reads once, through `chunk`, and gives what came in to `sink`. False: nothing more is there now.
    pub(crate) fn read(&mut self, chunk: &mut [u8], sink: impl FnMut(&[u8])) -> Result<bool, Lost> {
        let count = loop {
            match self.socket.read(chunk) {
                Ok(0) => return Err(self.broken(Lost::Eof)),
                Ok(count) => break count,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(e) => return Err(self.broken(lost(&e))),
            }
        };
        // A read that leaves room has emptied the socket; asking it again would cost a system call to hear so.
        let may_have_more = count == chunk.len();
        let mut sink = sink;
        match &mut self.tls {
            None => sink(&chunk[..count]),
            Some(tls) => {
                let fed = tls.feed(&chunk[..count], sink);
                if fed.is_err() {
                    let _ = tls.session.write_tls(&mut self.socket); // the alert that tells the server why
                }
                fed?;
            }
        }
        Ok(may_have_more)
    }

    /// Takes some of `bytes`, which must not be empty; 0: the socket is full.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<usize, Lost> {
        if !self.flush()? {
            return Ok(0);
        }
        match &mut self.tls {
            None => retry(|| self.socket.write(bytes)),
            Some(tls) => tls.session.writer().write(bytes).map_err(|e| lost(&e)),
        }
    }

    /// Gives the socket what TLS still holds. False: it is full.
    pub(crate) fn flush(&mut self) -> Result<bool, Lost> {
        while let Some(tls) = self.tls.as_mut().filter(|tls| tls.session.wants_write()) {
            if retry(|| tls.session.write_tls(&mut self.socket))? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Nothing more will be written: under TLS the other side is told so.
    pub(crate) fn finish(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.session.send_close_notify();
        }
    }

    /// Tells the server that nothing follows. False: there is no connection any more.
    pub(crate) fn hang_up(&self) -> bool {
        self.socket.shutdown(Shutdown::Write).is_ok()
    }

    /// Reads, through `chunk`, what nobody wants any more; whether the server has hung up too.
    pub(crate) fn has_ended(&mut self, chunk: &mut [u8]) -> bool {
        loop {
            match self.socket.read(chunk) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return e.kind() != ErrorKind::WouldBlock,
            }
        }
    }

    /// A connection that ends within the handshake failed to become one under TLS, whoever broke it.
    fn broken(&self, why: Lost) -> Lost {
        if self.is_handshaking() { Lost::Tls("the server broke the handshake off".into()) } else { why }
    }
}

impl Tls {
    fn feed(&mut self, mut bytes: &[u8], mut sink: impl FnMut(&[u8])) -> Result<(), Lost> {
        while !bytes.is_empty() {
            self.session.read_tls(&mut bytes).map_err(|e| Lost::Tls(e.to_string()))?;
            let state = self.session.process_new_packets();
            let mut reader = self.session.reader();
            while let Ok(plain @ [_, ..]) = reader.fill_buf() {
                let count = plain.len();
                sink(plain);
                reader.consume(count);
            }
            match state {
                Ok(state) if state.peer_has_closed() => return Err(Lost::Eof),
                Ok(_) => {}
                Err(error) => return Err(Lost::Tls(refusal::words(&error, &self.trust))),
            }
        }
        Ok(())
    }
}

/// Writes; 0: the socket is full.
fn retry(mut write: impl FnMut() -> io::Result<usize>) -> Result<usize, Lost> {
    loop {
        match write() {
            Ok(count) => return Ok(count),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(0),
            Err(e) => return Err(lost(&e)),
        }
    }
}

pub(crate) fn lost(error: &io::Error) -> Lost {
    use ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable,
    };
    match error.kind() {
        ConnectionRefused => Lost::Refused,
        ConnectionReset | ConnectionAborted | BrokenPipe => Lost::Reset,
        HostUnreachable | NetworkUnreachable => Lost::Unreachable,
        _ => Lost::Other(error.to_string()),
    }
}
