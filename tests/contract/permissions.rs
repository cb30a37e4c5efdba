//! What a user may not do, told at once to whoever tried.

use std::time::Duration;

use natskv_core::{Config, ErrorCode, Event, HandleOptions, Notice, State, WatchItem, WatchOptions};
use natskv_kit::rig::Rig;

fn denied(subject: &str) -> String {
    format!("-ERR 'Permissions Violation for Publish to \"{subject}\"'\r\n")
}

/// The subject of the last request that contains `part`.
fn subject(rig: &Rig, part: &str) -> String {
    let line = rig.written.lines().rev().find(|line| line.contains("PUB ") && line.contains(part)).expect("a request");
    line.split(' ').nth(1).expect("a subject").into()
}

#[test]
fn a_consumer_that_may_not_be_made_ends_its_watch_and_its_read() {
    let mut rig = Rig::connected();
    let bucket = rig.client.bind("b", &HandleOptions::default()).expect("bind");
    let watch = rig.call(|c, now| c.watch(bucket, &["a.>"], WatchOptions::default(), now)).expect("watch");
    let create = subject(&rig, "CONSUMER.CREATE");
    rig.receive(denied(&create));
    let opened = rig.events.iter().find_map(|event| match event {
        Event::WatchOpen { watch: its, result: Err(error) } if *its == watch => Some(error),
        _ => None,
    });
    let error = opened.expect("it says why");
    assert!(error.code == ErrorCode::Permission && error.message.contains(&create), "{error}");

    let keys = rig.call(|c, now| c.keys(bucket, &[], None, now)).expect("keys");
    let create = subject(&rig, "CONSUMER.CREATE");
    rig.receive(denied(&create));
    let error = rig.result(keys).as_ref().expect_err("denied");
    assert!(error.code == ErrorCode::Permission && error.message.contains(&create), "{error}");
}

#[test]
fn questions_beside_the_point_may_be_denied() {
    let mut rig = Rig::connected();
    let bucket = rig.client.bind("b", &HandleOptions::default()).expect("bind");
    let watch = rig.call(|c, now| c.watch(bucket, &[], WatchOptions::default(), now)).expect("watch");
    rig.answer("CONSUMER.CREATE", "{\"num_pending\":0,\"delivered\":{\"stream_seq\":0}}");
    rig.receive(denied(&subject(&rig, "STREAM.INFO"))); // which stream it is
    assert_eq!(rig.items(watch), [WatchItem::CaughtUp]);
    rig.pass(Duration::from_secs(2));
    rig.lose();
    rig.pass(Duration::ZERO);
    rig.establish();
    rig.receive(denied(&subject(&rig, "CONSUMER.INFO"))); // whether the consumer is still there
    rig.call(|c, now| c.watch_stop(watch, now));
    rig.receive(denied(&subject(&rig, "CONSUMER.DELETE")));
    assert_eq!(rig.items(watch), []);
    let notices = rig.events.iter().filter(|event| matches!(event, Event::Notice(Notice::ServerError(_)))).count();
    assert_eq!(notices, 1, "what nobody waits for is worth a line in the log: {:?}", rig.events);
}

#[test]
fn a_write_that_went_out_twice_may_be_applied_though_the_second_is_denied() {
    let mut rig = Rig::new(Config { retry_writes: true, ..Config::default() });
    rig.establish();
    let bucket = rig.client.bind("b", &HandleOptions::default()).expect("bind");
    let put = rig.call(|c, now| c.put(bucket, "k", b"v", None, None, now)).expect("put");
    rig.pass(Duration::from_secs(2));
    rig.lose();
    rig.pass(Duration::ZERO);
    rig.establish();
    let info = "{\"config\":{\"max_msgs_per_subject\":1,\"duplicate_window\":120000000000}}";
    rig.answer("STREAM.INFO", info); // a bound bucket is asked first
    assert!(rig.written.contains("PUB $KV.b.k "), "sent again: {}", rig.written);
    rig.receive(denied("$KV.b.k"));
    let error = rig.result(put).as_ref().expect_err("denied");
    assert_eq!((error.code, error.maybe_applied), (ErrorCode::Permission, true), "{error}");
}

#[test]
fn an_inbox_prefix_of_ones_own() {
    let mut rig = Rig::new(Config { inbox_prefix: "_INBOX_bob.x".into(), ..Config::default() });
    rig.establish();
    let bucket = rig.client.bind("b", &HandleOptions::default()).expect("bind");
    rig.call(|c, now| c.get(bucket, "k", None, None, now)).expect("get");
    rig.call(|c, now| c.watch(bucket, &[], WatchOptions::default(), now)).expect("watch");
    let lines: Vec<&str> = rig.written.lines().filter(|line| line.starts_with("SUB ")).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines.iter().all(|line| line.starts_with("SUB _INBOX_bob.x.")), "{lines:?}");
    assert!(rig.reply_of("DIRECT.GET").starts_with("_INBOX_bob.x."));
    assert!(!rig.written.contains("_INBOX."), "{}", rig.written);
}

#[test]
fn one_subscription_too_many_fails_what_it_was_for() {
    const TOO_MANY: &str = "-ERR 'maximum subscriptions exceeded'\r\n";
    let mut rig = Rig::connected();
    let bucket = rig.client.bind("b", &HandleOptions::default()).expect("bind");
    let settled = rig.call(|c, now| c.watch(bucket, &[], WatchOptions::default(), now)).expect("watch");
    rig.answer("CONSUMER.CREATE", "{\"num_pending\":0,\"delivered\":{\"stream_seq\":0}}");
    assert_eq!(rig.items(settled), [WatchItem::CaughtUp]);
    // Three more, of which the server has room for one: an error comes for each of the other two.
    let keys: Vec<_> = (0..3).map(|_| rig.call(|c, now| c.keys(bucket, &[], None, now)).expect("keys")).collect();
    // The consumer of the second is made all the same, and may say so before the error comes that is about it.
    let create = rig.written.lines().filter(|line| line.starts_with("PUB $JS.API.CONSUMER.CREATE")).nth(2);
    let reply = create.and_then(|line| line.split(' ').nth(2)).expect("the second one's").to_string();
    let created = "{\"num_pending\":1,\"delivered\":{\"stream_seq\":0}}";
    rig.receive(TOO_MANY);
    rig.receive(format!("MSG {reply} 1 {}\r\n{created}\r\n", created.len()));
    rig.receive(TOO_MANY);
    assert!(!rig.is_done(keys[0]));
    rig.receive("PONG\r\nPONG\r\n");
    for op in &keys[1..] {
        let error = rig.result(*op).as_ref().expect_err("one too many");
        assert!(error.code == ErrorCode::Server && error.message.contains("maximum subscriptions"), "{error}");
    }
    assert_eq!(rig.items(settled), []);
    assert_eq!(rig.client.state(), &State::Connected);
    rig.call(|c, now| c.cancel(keys[0], now));
    rig.receive(TOO_MANY);
    assert!(matches!(rig.events.last(), Some(Event::Notice(Notice::ServerError(_)))), "{:?}", rig.events.last());
}

#[test]
fn a_create_that_may_only_ask_replicas_does_not_believe_one_that_lags_behind() {
    let mut rig = Rig::connected();
    let bucket = rig.client.bind("b", &HandleOptions::default()).expect("bind");
    let op = rig.call(|c, now| c.create(bucket, "k", b"value", None, None, now)).expect("create");
    rig.answer(
        "PUB $KV.b.k",
        "{\"error\":{\"code\":400,\"err_code\":10071,\"description\":\"wrong last sequence: 9\"}}",
    );
    rig.receive(denied(&subject(&rig, "STREAM.MSG.GET")));
    let reply = rig.reply_of("DIRECT.GET");
    let old = "NATS/1.0\r\nNats-Stream: KV_b\r\nNats-Subject: $KV.b.k\r\nNats-Sequence: 4\r\n\r\n";
    rig.receive(format!("HMSG {reply} 1 {} {}\r\n{old}\r\n", old.len(), old.len()));
    assert!(!rig.is_done(op), "4 is not what it was refused for");
    rig.sent();
    rig.pass(Duration::from_millis(60));
    rig.answer("PUB $KV.b.k", "{\"stream\":\"KV_b\",\"seq\":10}"); // 9 was a marker that expired
    assert_eq!(rig.result(op), &Ok(natskv_core::Outcome::Revision(10)));
}
