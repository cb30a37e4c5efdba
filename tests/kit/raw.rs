//! A connection without a client: what the tests ask a server for themselves.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::{Value, json};

/// How long the server may take for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// One blocking socket, one request at a time.
#[derive(Debug)]
pub struct Raw(BufReader<TcpStream>);

impl Raw {
    /// Connects to the server on this port.
    pub fn connect(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut raw = Self(BufReader::new(stream));
        raw.0.get_ref().write_all(b"CONNECT {\"verbose\":false}\r\nSUB answer 1\r\nPING\r\n")?;
        while raw.line()? != "PONG" {}
        Ok(raw)
    }

    /// The answer to a request of the JetStream API, such as `STREAM.NAMES`.
    pub fn ask(&mut self, endpoint: &str, body: &Value) -> io::Result<Value> {
        let body = body.to_string();
        write!(self.0.get_ref(), "PUB $JS.API.{endpoint} answer {}\r\n{body}\r\n", body.len())?;
        loop {
            let line = self.line()?;
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["MSG", .., size] => {
                    let mut answer = vec![0; size.parse::<usize>().map_err(io::Error::other)? + 2];
                    self.0.read_exact(&mut answer)?;
                    return serde_json::from_slice(&answer).map_err(io::Error::other);
                }
                ["PING"] => self.0.get_ref().write_all(b"PONG\r\n")?,
                _ => {}
            }
        }
    }

    /// Every consumer of every stream, as `stream/consumer`.
    pub fn consumers(&mut self) -> io::Result<Vec<String>> {
        let mut consumers = Vec::new();
        for stream in self.names("STREAM.NAMES", "streams")? {
            let names = self.names(&format!("CONSUMER.NAMES.{stream}"), "consumers")?;
            consumers.extend(names.iter().map(|name| format!("{stream}/{name}")));
        }
        Ok(consumers)
    }

    /// A list that comes in pages.
    fn names(&mut self, endpoint: &str, field: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        loop {
            let page = self.ask(endpoint, &json!({"offset": names.len()}))?;
            let found = page[field].as_array().map(Vec::as_slice).unwrap_or_default();
            names.extend(found.iter().filter_map(Value::as_str).map(str::to_owned));
            if found.is_empty() || page["total"].as_u64().is_none_or(|total| names.len() as u64 >= total) {
                return Ok(names);
            }
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}
