//! A way to the server that breaks: bytes pass until somebody cuts.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) port: u16,
    links: Arc<Mutex<Vec<[TcpStream; 2]>>>,
}

impl Proxy {
    /// Ends with the program.
    pub(crate) fn start(server: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (port, links) = (listener.local_addr()?.port(), Arc::new(Mutex::new(Vec::new())));
        let known = links.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let _ = link(client, server, &known); // a server that is gone shows at the client
            }
        });
        Ok(Self { port, links })
    }

    /// Breaks one of the connections there are; how many there were.
    pub(crate) fn cut(&self, which: u64) -> usize {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let count = links.len();
        if count > 0 {
            let pair = links.swap_remove(which as usize % count);
            pair.iter().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
        }
        count
    }
}

fn link(client: TcpStream, server: u16, known: &Mutex<Vec<[TcpStream; 2]>>) -> io::Result<()> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let mut links = known.lock().unwrap_or_else(PoisonError::into_inner);
    links.retain(|pair| pair[0].peer_addr().is_ok());
    links.push([client.try_clone()?, server.try_clone()?]);
    drop(links);
    for (from, to) in [(client.try_clone()?, server.try_clone()?), (server, client)] {
        thread::spawn(move || pass(from, to));
    }
    Ok(())
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    let mut bytes = [0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    for stream in [from, to] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}
