//! Core's hot paths with fixed input: no time, no entropy, no socket. callgrind counts the instructions of `natskv_measured`, which is
//! entered once for each line that is printed here, in this order.

use natskv_core::{
    Action, BucketId, Client, Config, ConnId, Event, HandleOptions, Instant, WatchId, WatchItem, WatchOptions,
};

/// How many are done in one go.
const DEPTHS: [usize; 3] = [1, 64, 4096];
/// Bytes of one read of a binding.
const CHUNK: usize = 64 << 10;
const VALUE: [u8; 128] = [b'x'; 128];
const NOW: Instant = Instant::from_nanos(1_000_000_000);
const INFO: &[u8] =
    b"INFO {\"server_id\":\"S\",\"version\":\"2.15.1\",\"headers\":true,\"api_lvl\":4,\"max_payload\":1048576} \r\n";

fn main() {
    for depth in DEPTHS {
        requests("encode a put", "complete a put", depth, put, acknowledgement);
        requests("encode a get", "complete a get", depth, get, message);
        watched(depth);
    }
}

/// What callgrind counts.
#[unsafe(no_mangle)]
#[inline(never)]
fn natskv_measured(work: &mut dyn FnMut()) {
    work();
}

fn measured(what: &str, depth: usize, mut work: impl FnMut()) {
    println!("{what}\t{depth}");
    natskv_measured(&mut work);
}

/// A connected client and its bucket.
struct Rig {
    client: Client,
    bucket: BucketId,
    conn: ConnId,
    sent: Vec<u8>,
    keys: Vec<String>,
}

impl Rig {
    fn new(depth: usize) -> Self {
        let mut client =
            Client::new(Config { randomize_servers: false, ..Config::default() }, [42; 32], NOW).expect("config");
        let bucket = client.bind("b", &HandleOptions::default()).expect("bucket");
        let conn = match client.poll_action() {
            Some(Action::Connect { conn, .. }) => conn,
            other => panic!("{other:?}"),
        };
        client.transport_open(conn, NOW);
        let keys = (0..depth).map(|number| format!("bench.k{number:06}")).collect();
        let mut rig = Self { client, bucket, conn, sent: Vec::with_capacity(1 << 20), keys };
        for line in [INFO, b"PONG\r\n"] {
            rig.client.receive(conn, line, NOW);
            rig.drain(&mut Vec::new());
        }
        rig
    }

    /// As a binding does after each call.
    fn drain(&mut self, events: &mut Vec<Event>) {
        while self.client.poll_transmit(&mut self.sent).is_some() {}
        while self.client.poll_action().is_some() {}
        while let Some(event) = self.client.poll_event() {
            events.push(event);
        }
        self.client.deadline();
    }

    /// The answers to the requests that were sent last, as the peer makes them of reply subject and key.
    fn answers(&self, answer: fn(&str, &str, &mut Vec<u8>)) -> Vec<u8> {
        let text = std::str::from_utf8(&self.sent).expect("requests are text");
        let replies = text.lines().filter(|line| line.starts_with("PUB ") || line.starts_with("HPUB "));
        let replies = replies.map(|line| line.split(' ').nth(2).expect("a reply subject"));
        let mut bytes = Vec::new();
        for (reply, key) in replies.zip(&self.keys) {
            answer(reply, key, &mut bytes);
        }
        bytes
    }

    fn receive(&mut self, bytes: &[u8], events: &mut Vec<Event>) {
        for chunk in bytes.chunks(CHUNK) {
            self.client.receive(self.conn, chunk, NOW);
            self.drain(events);
        }
    }
}

fn put(client: &mut Client, bucket: BucketId, key: &str) {
    client.put(bucket, key, &VALUE, None, None, NOW).expect("put");
}

fn get(client: &mut Client, bucket: BucketId, key: &str) {
    client.get(bucket, key, None, None, NOW).expect("get");
}

/// `depth` requests encoded together, and their answers received together; measured the second time, when buffers and tables have
/// their size.
fn requests(
    encode: &str,
    complete: &str,
    depth: usize,
    ask: fn(&mut Client, BucketId, &str),
    answer: fn(&str, &str, &mut Vec<u8>),
) {
    let mut rig = Rig::new(depth);
    let mut events = Vec::with_capacity(depth);
    let ask_all = |rig: &mut Rig| {
        for key in &rig.keys {
            ask(&mut rig.client, rig.bucket, key);
        }
        while rig.client.poll_transmit(&mut rig.sent).is_some() {}
        rig.client.deadline();
    };
    ask_all(&mut rig);
    let answers = rig.answers(answer);
    rig.receive(&answers, &mut events);
    assert_done(&events, depth);
    events.clear();

    measured(encode, depth, || ask_all(&mut rig));
    let answers = rig.answers(answer);
    measured(complete, depth, || rig.receive(&answers, &mut events));
    assert_done(&events, depth);
}

fn assert_done(events: &[Event], count: usize) {
    let is_good = |event: &Event| matches!(event, Event::Done { result: Ok(_), .. });
    assert!(events.len() == count && events.iter().all(is_good), "{:?}", events.first());
}

fn acknowledgement(reply: &str, _key: &str, bytes: &mut Vec<u8>) {
    let body = "{\"stream\":\"KV_b\",\"seq\":1234567}";
    bytes.extend_from_slice(format!("MSG {reply} 1 {}\r\n{body}\r\n", body.len()).as_bytes());
}

fn message(reply: &str, key: &str, bytes: &mut Vec<u8>) {
    let headers = format!(
        "NATS/1.0\r\nNats-Stream: KV_b\r\nNats-Subject: $KV.b.{key}\r\nNats-Sequence: 1234567\r\n\
         Nats-Time-Stamp: 2026-11-23T03:37:44.767241297Z\r\n\r\n"
    );
    bytes.extend_from_slice(
        format!("HMSG {reply} 1 {} {}\r\n{headers}", headers.len(), headers.len() + VALUE.len()).as_bytes(),
    );
    bytes.extend_from_slice(&VALUE);
    bytes.extend_from_slice(b"\r\n");
}

/// So many messages to a watch, received and taken.
fn watched(depth: usize) {
    let mut rig = Rig::new(depth);
    let options = WatchOptions { updates_only: true, ..WatchOptions::default() };
    let watch = rig.client.watch(rig.bucket, &[], options, NOW).expect("watch");
    rig.keys.truncate(1);
    let mut events = Vec::new();
    rig.drain(&mut events);
    let created = rig.answers(|reply, _, bytes| {
        let body = "{\"num_pending\":0,\"delivered\":{\"stream_seq\":0}}";
        bytes.extend_from_slice(format!("MSG {reply} 1 {}\r\n{body}\r\n", body.len()).as_bytes());
    });
    rig.receive(&created, &mut events);
    let mut items = Vec::with_capacity(depth + 1);
    take(&mut rig, watch, &mut items);
    assert_eq!(items, [WatchItem::CaughtUp]);

    let mut sequence = 0;
    for is_measured in [false, true] {
        items.clear();
        events.clear();
        let mut bytes = Vec::new();
        for _ in 0..depth {
            sequence += 1;
            let reply = format!("$JS.ACK.KV_b.consumer.1.{sequence}.{sequence}.1795405052788098189.0");
            let line = format!("MSG $KV.b.bench.k{sequence:06} 2 {reply} {}\r\n", VALUE.len());
            bytes.extend_from_slice(line.as_bytes());
            bytes.extend_from_slice(&VALUE);
            bytes.extend_from_slice(b"\r\n");
        }
        let mut work = || {
            for chunk in bytes.chunks(CHUNK) {
                rig.receive(chunk, &mut events);
                take(&mut rig, watch, &mut items);
            }
        };
        if is_measured {
            measured("a watch entry", depth, work)
        } else {
            work()
        }
        let is_entry = |item: &WatchItem| matches!(item, WatchItem::Entry(_));
        assert!(items.len() == depth && items.iter().all(is_entry), "{} items", items.len());
    }
}

fn take(rig: &mut Rig, watch: WatchId, items: &mut Vec<WatchItem>) {
    while let Some(item) = rig.client.watch_next(watch, NOW) {
        items.push(item);
    }
}
