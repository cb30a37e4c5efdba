//! One conversation, cut at every byte, means the same.

use natskv_core::{Event, HandleOptions, OpId, WatchId, WatchItem, WatchOptions};
use natskv_kit::rig::Rig;

/// What a client made of the conversation: its events, and what its watch handed out.
#[derive(Debug, PartialEq)]
struct Told {
    events: Vec<Event>,
    items: Vec<WatchItem>,
}

/// A client with operations and a watch in flight, and the bytes that answer them. Entropy and time are fixed, so that they are
/// the same each time.
fn conversation() -> (Rig, WatchId, Vec<u8>) {
    let mut rig = Rig::connected();
    let bucket = rig.client.bind("b", &HandleOptions::default()).expect("bind");
    let put: OpId = rig.call(|c, now| c.put(bucket, "k", b"v", None, None, now)).expect("put");
    let get = rig.call(|c, now| c.get(bucket, "a", None, None, now)).expect("get");
    let missing = rig.call(|c, now| c.get(bucket, "none", None, None, now)).expect("get");
    assert!(put != get && get != missing);
    let watch = rig.call(|c, now| c.watch(bucket, &[], WatchOptions::default(), now)).expect("watch");
    rig.call(|c, now| c.flush(None, now)).expect("flush");

    let inbox = rig
        .written
        .lines()
        .find_map(|line| line.strip_prefix("SUB ")?.strip_suffix(" 2"))
        .expect("the watch's inbox")
        .to_string();
    let mut bytes = String::new();
    let mut message = |subject: &str, sid: u64, reply: &str, headers: &str, payload: &str| {
        let reply = if reply.is_empty() { String::new() } else { format!(" {reply}") };
        if headers.is_empty() {
            bytes.push_str(&format!("MSG {subject} {sid}{reply} {}\r\n{payload}\r\n", payload.len()));
            return;
        }
        let block = format!("NATS/1.0{headers}\r\n\r\n");
        let total = block.len() + payload.len();
        bytes.push_str(&format!("HMSG {subject} {sid}{reply} {} {total}\r\n{block}{payload}\r\n", block.len()));
    };
    let ack = |stream_seq: u64, consumer_seq: u64, pending: u64| {
        format!("$JS.ACK.KV_b.c.1.{stream_seq}.{consumer_seq}.1795405052788098189.{pending}")
    };
    message(&rig.reply_of("PUB $KV.b.k"), 1, "", "", "{\"stream\":\"KV_b\",\"seq\":9}");
    message("$KV.b.a", 2, &ack(3, 1, 1), "", "before the create response");
    let direct =
        "\r\nNats-Stream: KV_b\r\nNats-Subject: $KV.b.a\r\nNats-Sequence: 3\r\nNats-Time-Stamp: 2026-11-23T03:36:14Z";
    message(&rig.reply_of("$KV.b.a "), 1, "", direct, "value\r\nwith line ends\r\n");
    message(&rig.reply_of("CONSUMER.CREATE"), 1, "", "", "{\"num_pending\":2,\"delivered\":{\"stream_seq\":2}}");
    message(&rig.reply_of("$KV.b.none"), 1, "", " 404 Message Not Found", "");
    message("$KV.b.k", 2, &ack(9, 2, 0), "\r\nKV-Operation: DEL", "");
    message(&inbox, 2, "$JS.FC.KV_b.c.1", " 100 FlowControl Request", "");
    message(&inbox, 2, "", " 100 Idle Heartbeat\r\nNats-Last-Consumer: 2\r\nNats-Last-Stream: 9", "");
    message("$KV.b.k", 2, &ack(10, 3, 0), "", "");
    bytes.push_str("PING\r\nINFO {\"headers\":true,\"ldm\":true} \r\nPONG\r\n-ERR 'Invalid Subject'\r\n");
    rig.events.clear();
    (rig, watch, bytes.into_bytes())
}

fn told(cut: &[usize]) -> Told {
    let (mut rig, watch, bytes) = conversation();
    let mut at = 0;
    for next in cut.iter().copied().chain([bytes.len()]) {
        rig.receive(&bytes[at..next]);
        at = next;
    }
    let items = rig.items(watch);
    assert!(rig.sent().contains("PUB $JS.FC.KV_b.c.1 0"), "flow control was answered");
    Told { events: rig.events, items }
}

#[test]
fn every_cut_tells_the_same() {
    let whole = told(&[]);
    assert_eq!(whole.items.len(), 4, "{:?}", whole.items);
    assert!(matches!(whole.items[2], WatchItem::CaughtUp));
    assert_eq!(
        whole.events.iter().filter(|event| matches!(event, Event::Done { .. })).count(),
        4,
        "{:?}",
        whole.events
    );
    let (_, _, bytes) = conversation();
    for cut in (1..bytes.len()).step_by(bytes.len() / crate::times(bytes.len())) {
        assert_eq!(told(&[cut]), whole, "cut at byte {cut}");
    }
    let every_byte: Vec<usize> = (1..bytes.len()).collect();
    assert_eq!(told(&every_byte), whole, "byte by byte");
}
