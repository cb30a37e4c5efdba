//! How often core asks for memory: not at all for a write from call to completion, once for an entry.
//!
//! Counted after a warm-up, since tables and buffers grow to what they need and then stay.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use natskv_core::{BucketId, Client, Event, HandleOptions, Instant, Outcome, WatchItem, WatchOptions};
use natskv_kit::rig::Rig;

/// The system's allocator, counting.
struct Counting;

thread_local! {
    /// Of this thread: what runs the tests has others, which ask for memory whenever they like.
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

fn count() -> u64 {
    COUNT.get()
}

fn add_one() {
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call goes to `System` unchanged, whose promises are kept.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add_one();
        // SAFETY: the caller's layout, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System.alloc` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        add_one();
        // SAFETY: `pointer` came from `System.alloc` with this layout.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a peer needs to answer: the bytes written, and the answer being made.
struct Wire {
    rig: Rig,
    bucket: BucketId,
    out: Vec<u8>,
    answer: Vec<u8>,
    in_core: u64,
}

impl Wire {
    fn new() -> Self {
        let mut rig = Rig::connected();
        let bucket = rig.client.bind("b", &HandleOptions::default()).expect("bind");
        Self { rig, bucket, out: Vec::with_capacity(1 << 16), answer: Vec::with_capacity(1 << 16), in_core: 0 }
    }

    /// Runs a call of core, adding its allocations to the count.
    fn counted<T>(&mut self, call: impl FnOnce(&mut Client, Instant) -> T) -> T {
        let before = count();
        let result = call(&mut self.rig.client, self.rig.now);
        self.in_core += count() - before;
        result
    }

    /// The reply subject of the request in `out`, as the third field of its line.
    fn reply(&self) -> &[u8] {
        self.out.split(|byte| *byte == b' ').nth(2).expect("a reply subject")
    }

    /// Allocations of core for one operation from call to Done, the answer being what `make` appends.
    fn operation(
        &mut self,
        start: impl FnOnce(&mut Client, BucketId, Instant),
        make: impl FnOnce(&[u8], &mut Vec<u8>),
    ) -> (u64, Outcome) {
        self.in_core = 0;
        let bucket = self.bucket;
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        self.counted(|client, now| start(client, bucket, now));
        self.counted(|client, _| client.poll_transmit(&mut out));
        self.out = out;
        self.answer.clear();
        let reply = self.reply().to_vec();
        make(&reply, &mut self.answer);
        let answer = std::mem::take(&mut self.answer);
        let conn = self.rig.conn;
        self.counted(|client, now| client.receive(conn, &answer, now));
        self.answer = answer;
        let Some(Event::Done { result, .. }) = self.counted(|client, _| client.poll_event()) else {
            panic!("not done")
        };
        (self.in_core, result.expect("done well"))
    }

    fn put(&mut self) -> u64 {
        let value = [b'x'; 128];
        let start = |client: &mut Client, bucket, now| {
            client.put(bucket, "bench.k000123", &value, None, None, now).expect("put");
        };
        let ack = |reply: &[u8], out: &mut Vec<u8>| {
            out.extend_from_slice(b"MSG ");
            out.extend_from_slice(reply);
            out.extend_from_slice(b" 1 26\r\n{\"stream\":\"KV_b\",\"seq\":77}\r\n");
        };
        let (count, outcome) = self.operation(start, ack);
        assert_eq!(outcome, Outcome::Revision(77));
        count
    }

    fn get(&mut self) -> u64 {
        let start = |client: &mut Client, bucket, now| {
            client.get(bucket, "bench.k000123", None, None, now).expect("get");
        };
        let message = |reply: &[u8], out: &mut Vec<u8>| {
            let block = "NATS/1.0\r\nNats-Stream: KV_b\r\nNats-Subject: $KV.b.bench.k000123\r\nNats-Sequence: 77\r\n\
                         Nats-Time-Stamp: 2026-11-23T03:37:44.767241297Z\r\n\r\n";
            out.extend_from_slice(b"HMSG ");
            out.extend_from_slice(reply);
            out.extend_from_slice(format!(" 1 {} {}\r\n{block}", block.len(), block.len() + 128).as_bytes());
            out.extend_from_slice(&[b'x'; 128]);
            out.extend_from_slice(b"\r\n");
        };
        let (count, outcome) = self.operation(start, message);
        assert!(matches!(outcome, Outcome::Entry(entry) if entry.value().len() == 128));
        count
    }
}

/// One test, so that nothing else counts in between.
#[test]
fn a_write_asks_for_no_memory_and_an_entry_once() {
    let mut wire = Wire::new();
    for _ in 0..200 {
        wire.put();
        wire.get();
    }
    let puts: u64 = (0..1000).map(|_| wire.put()).sum();
    assert_eq!(puts, 0, "allocations of 1000 puts");
    let gets: u64 = (0..1000).map(|_| wire.get()).sum();
    assert_eq!(gets, 1000, "allocations of 1000 gets");
    watch_entries(wire);
}

fn watch_entries(mut wire: Wire) {
    const COUNT_OF: u64 = 1000;
    let bucket = wire.bucket;
    let options = WatchOptions { include_history: true, ..WatchOptions::default() };
    let watch = wire.rig.call(|client, now| client.watch(bucket, &[], options, now)).expect("watch");
    wire.rig.answer("CONSUMER.CREATE", "{\"num_pending\":100000,\"delivered\":{\"stream_seq\":0}}");
    let conn = wire.rig.conn;
    let mut sequence = 0;
    let mut deliver = |wire: &mut Wire| {
        let mut bytes = Vec::new();
        for _ in 0..COUNT_OF {
            sequence += 1;
            let ack = format!("$JS.ACK.KV_b.c.1.{sequence}.{sequence}.1795405052788098189.99999");
            bytes.extend_from_slice(format!("MSG $KV.b.bench.k{sequence:06} 2 {ack} 5\r\nhello\r\n").as_bytes());
        }
        wire.in_core = 0;
        wire.counted(|client, now| client.receive(conn, &bytes, now));
        let mut entries = 0;
        while let Some(WatchItem::Entry(_)) = wire.counted(|client, now| client.watch_next(watch, now)) {
            entries += 1;
        }
        assert_eq!(entries, COUNT_OF);
        wire.rig.pump();
        wire.in_core
    };
    deliver(&mut wire);
    assert_eq!(deliver(&mut wire), COUNT_OF, "allocations of {COUNT_OF} watch entries");
}
