//! A server that shuts down is left before it closes, and nothing in flight is lost over it.

use std::time::Duration;

use natskv_core::{Action, BucketId, Config, Event, HandleOptions, Notice, Outcome, State, WatchItem, WatchOptions};
use natskv_kit::rig::Rig;

/// INFO of a server of a cluster.
fn info(id: &str, is_lame_duck: bool, others: &[&str]) -> String {
    let others: Vec<String> = others.iter().map(|url| format!("{url:?}")).collect();
    format!(
        "INFO {{\"server_id\":{id:?},\"headers\":true,\"max_payload\":1048576,\"ldm\":{is_lame_duck},\"connect_urls\":[{}]}}\r\n",
        others.join(",")
    )
}

/// Connected to `a`, which knows `b` and itself.
fn in_cluster() -> (Rig, BucketId) {
    let mut rig = Rig::new(Config { servers: vec!["nats://a".into()], ..Config::default() });
    rig.establish_with(&info("A", false, &["a:4222", "b:4222"]));
    rig.pass(Duration::from_secs(2));
    let bucket = rig.client.bind("k", &HandleOptions::default()).expect("bind");
    rig.sent();
    (rig, bucket)
}

fn dialled(rig: &Rig) -> Vec<String> {
    let servers = rig.actions.iter().filter_map(|action| match action {
        Action::Connect { server, .. } => Some(server.to_string()),
        _ => None,
    });
    servers.collect()
}

fn has_left(rig: &Rig) -> bool {
    rig.states().iter().any(|state| matches!(state, State::Disconnected(error) if error.message.contains("lame duck")))
}

const LONG_ENOUGH: Duration = Duration::from_millis(4001);

#[test]
fn it_is_left_for_another_within_seconds() {
    let (mut rig, _) = in_cluster();
    rig.receive(info("A", true, &["b:4222"]));
    rig.receive(info("A", true, &["b:4222"]));
    assert_eq!(rig.client.state(), &State::Connected, "not at once: others leave too");
    rig.pass(LONG_ENOUGH);
    assert!(has_left(&rig), "{:?}", rig.states());
    assert_eq!(dialled(&rig), ["nats://a:4222", "nats://b:4222"]);
    rig.establish_with(&info("B", false, &["b:4222"]));
    let names: Vec<String> = rig.states().iter().map(|state| format!("{state:?}")).collect();
    let names: Vec<&str> = names.iter().map(|name| name.split(['(', ' ']).next().unwrap_or("")).collect();
    assert_eq!(names, ["Connecting", "Connected", "Disconnected", "Reconnecting", "Connected"], "each once");
    assert_eq!(rig.events.iter().filter(|event| **event == Event::Notice(Notice::LameDuck)).count(), 1);
}

#[test]
fn what_is_in_flight_is_finished_and_what_is_new_waits() {
    let (mut rig, b) = in_cluster();
    let old = rig.call(|c, now| c.put(b, "old", b"1", None, None, now)).expect("put");
    let flush = rig.call(|c, now| c.flush(None, now)).expect("flush");
    rig.receive(info("A", true, &["b:4222"]));
    rig.pass(LONG_ENOUGH);
    assert!(!has_left(&rig), "an answer is still to come");
    let new = rig.call(|c, now| c.put(b, "new", b"2", None, None, now)).expect("put");
    assert!(!rig.written.contains("$KV.k.new"), "it is not written to a server that goes");
    rig.answer("$KV.k.old", "{\"stream\":\"KV_k\",\"seq\":1}");
    assert!(!has_left(&rig), "a PONG is still to come");
    rig.receive("PONG\r\n");
    assert!(has_left(&rig));
    assert_eq!(rig.result(old), &Ok(Outcome::Revision(1)));
    assert!(matches!(rig.result(flush), Ok(Outcome::RoundTrip(_))));
    rig.pass(Duration::ZERO);
    rig.establish_with(&info("B", false, &[]));
    assert!(rig.is_done(old) && !rig.is_done(new));
    rig.answer("$KV.k.new", "{\"stream\":\"KV_k\",\"seq\":2}");
    assert_eq!(rig.result(new), &Ok(Outcome::Revision(2)));
}

#[test]
fn what_takes_too_long_does_not_keep_it() {
    let (mut rig, b) = in_cluster();
    let timeout = Some(Duration::from_secs(60));
    let put = rig.call(|c, now| c.put(b, "k", b"1", None, timeout, now)).expect("put");
    let get = rig.call(|c, now| c.get(b, "k", None, timeout, now)).expect("get");
    rig.receive(info("A", true, &["b:4222"]));
    rig.pass(LONG_ENOUGH + Duration::from_secs(3));
    assert!(has_left(&rig));
    assert!(rig.result(put).as_ref().expect_err("cut off").maybe_applied);
    rig.establish_with(&info("B", false, &[]));
    assert!(!rig.is_done(get) && rig.written.contains("DIRECT.GET"), "a read is sent again");
}

#[test]
fn the_only_server_is_not_left() {
    let (mut rig, _) = in_cluster();
    rig.receive(info("A", true, &[]));
    rig.pass(Duration::from_secs(30));
    assert!(!has_left(&rig) && rig.client.state() == &State::Connected);
    assert!(rig.events.contains(&Event::Notice(Notice::LameDuck)));

    // One that the user named twice is still one.
    let servers = vec!["nats://a".into(), "nats://10.0.0.1".into()];
    let mut rig = Rig::new(Config { servers, ..Config::default() });
    for _ in 0..2 {
        rig.establish_with(&info("A", false, &[]));
        rig.pass(Duration::from_secs(2));
        rig.lose();
        rig.pass(Duration::ZERO);
    }
    rig.establish_with(&info("A", false, &[]));
    rig.receive(info("A", true, &[]));
    rig.pass(Duration::from_secs(30));
    assert!(!has_left(&rig), "{:?}", dialled(&rig));
}

#[test]
fn the_same_server_by_another_name_is_not_gone_to() {
    let servers = vec!["nats://a".into(), "nats://also-a".into(), "nats://b".into()];
    let mut rig = Rig::new(Config { servers, ..Config::default() });
    rig.establish_with(&info("A", false, &[]));
    rig.pass(Duration::from_secs(2));
    rig.receive(info("A", true, &[]));
    rig.pass(LONG_ENOUGH);
    assert_eq!(dialled(&rig).last().map(String::as_str), Some("nats://also-a:4222"));
    rig.open();
    rig.receive(info("A", true, &[]));
    assert!(!rig.written.contains("CONNECT"), "{}", rig.written);
    rig.pass(Duration::from_secs(1));
    assert_eq!(dialled(&rig).last().map(String::as_str), Some("nats://b:4222"));
    rig.establish_with(&info("B", false, &[]));
    assert_eq!(rig.client.state(), &State::Connected);
}

#[test]
fn a_server_that_closes_first_is_a_lost_connection() {
    let (mut rig, b) = in_cluster();
    rig.call(|c, now| c.put(b, "k", b"1", None, None, now)).expect("put");
    rig.receive(info("A", true, &["b:4222"]));
    rig.pass(LONG_ENOUGH);
    rig.lose();
    rig.pass(Duration::ZERO);
    assert_eq!(dialled(&rig), ["nats://a:4222", "nats://b:4222"]);
}

#[test]
fn a_watch_goes_along() {
    let (mut rig, b) = in_cluster();
    let watch = rig.call(|c, now| c.watch(b, &[], WatchOptions::default(), now)).expect("watch");
    let sid =
        rig.written.lines().find_map(|line| line.strip_prefix("SUB ")?.split(' ').nth(1)).expect("sid").to_string();
    rig.answer("CONSUMER.CREATE", "{\"num_pending\":0,\"delivered\":{\"stream_seq\":0}}");
    rig.answer("STREAM.INFO", "{\"created\":\"2026-11-23T03:00:00Z\",\"state\":{\"last_seq\":0}}");
    assert_eq!(rig.items(watch), [WatchItem::CaughtUp]);
    rig.receive(info("A", true, &["b:4222"]));
    rig.pass(LONG_ENOUGH);
    assert!(has_left(&rig));
    rig.establish_with(&info("B", false, &[]));
    assert!(rig.written.contains(&format!(" {sid}\r\n")) && rig.written.contains("CONSUMER.INFO"), "{}", rig.written);
    rig.receive(format!("MSG $KV.k.a {sid} $JS.ACK.KV_k.c.1.1.1.1795405052788098189.0 1\r\nx\r\n"));
    assert!(matches!(&rig.items(watch)[..], [WatchItem::Entry(entry)] if entry.key() == "a"));
}
