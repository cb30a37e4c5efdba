//! The system calls of a round of the blocking API over a plain socket. Nothing here needs the interpreter.

use std::{
    io::{self, ErrorKind, Read, Write},
    mem::ManuallyDrop,
    net::TcpStream,
    os::fd::{FromRawFd, RawFd},
    time::Duration,
};

use libc::{POLLIN, poll, pollfd};

/// A socket and the other end of what wakes who waits for it. Both are Python's, and stay open meanwhile.
pub(crate) struct Plain {
    pub(crate) socket: RawFd,
    pub(crate) wake: RawFd,
}

/// What ended the wait.
pub(crate) enum Came {
    /// So many bytes; 0: the other side has hung up.
    Bytes(usize),
    /// `wake` has something.
    Wake,
    /// A signal, which Python is to look at.
    Signal,
    /// Nothing: it is time.
    Nothing,
}

impl Plain {
    /// Writes as much as there is room for, and takes it off `bytes`.
    pub(crate) fn write(&self, bytes: &mut Vec<u8>) -> io::Result<()> {
        while !bytes.is_empty() {
            match (&*self.stream()).write(bytes) {
                Ok(length) => drop(bytes.drain(..length)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits until there is something to read, or for so long; reads what the socket has.
    pub(crate) fn read(&self, within: Option<Duration>, buffer: &mut [u8]) -> io::Result<Came> {
        let mut both = [self.socket, self.wake].map(|fd| pollfd { fd, events: POLLIN, revents: 0 });
        // Rounded up: waking a hair before a deadline would only spin.
        let millis =
            within.map_or(-1, |within| i32::try_from(within.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX));
        // SAFETY: `both` is a live array of two.
        if unsafe { poll(both.as_mut_ptr(), 2, millis) } < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == ErrorKind::Interrupted { Ok(Came::Signal) } else { Err(error) };
        }
        let [of_socket, of_wake] = both.map(|one| one.revents != 0);
        if of_wake {
            return Ok(Came::Wake); // the socket waits for the next round
        }
        if !of_socket {
            return Ok(Came::Nothing);
        }
        match (&*self.stream()).read(buffer) {
            Ok(length) => Ok(Came::Bytes(length)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(Came::Nothing),
            Err(error) => Err(error),
        }
    }

    /// The socket, not to be closed.
    fn stream(&self) -> ManuallyDrop<TcpStream> {
        // SAFETY: it is an open socket, and `ManuallyDrop` leaves it open.
        unsafe { ManuallyDrop::new(TcpStream::from_raw_fd(self.socket)) }
    }
}
