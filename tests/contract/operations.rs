//! Operations over a connection that comes and goes: what is kept, sent again, given up, and said about it.

use std::time::Duration;

use natskv_core::{BucketId, Config, ErrorCode, HandleOptions, OnDrift, Outcome};
use natskv_kit::rig::Rig;

fn with_bucket(mut rig: Rig) -> (Rig, BucketId) {
    let bucket = rig.client.bind("b", &HandleOptions::default()).expect("bind");
    (rig, bucket)
}

#[test]
fn what_is_not_sent_yet_survives_and_keeps_its_order() {
    let (mut rig, b) = with_bucket(Rig::new(Config::default()));
    let ops: Vec<_> = (0..5)
        .map(|i| rig.call(|c, now| c.put(b, "k", format!("v{i}").as_bytes(), None, None, now)).expect("kept"))
        .collect();
    rig.establish();
    let sent = rig.written.clone();
    let places: Vec<_> = (0..5).map(|i| sent.find(&format!("\r\nv{i}\r\n")).expect("sent")).collect();
    assert!(places.is_sorted(), "{sent}");
    assert!(!rig.is_done(ops[0]));
    rig.answer("$KV.b.k", "{\"stream\":\"KV_b\",\"seq\":5}");
    assert_eq!(rig.result(ops[4]), &Ok(Outcome::Revision(5)));
}

#[test]
fn a_write_cut_off_says_that_it_may_be_stored_and_a_read_is_sent_again() {
    let (mut rig, b) = with_bucket(Rig::connected());
    let put = rig.call(|c, now| c.put(b, "k", b"v", None, None, now)).expect("put");
    let get = rig.call(|c, now| c.get(b, "k", None, None, now)).expect("get");
    rig.pass(Duration::from_secs(1));
    rig.lose();
    let error = rig.result(put).as_ref().expect_err("cut off");
    assert_eq!((error.code, error.maybe_applied), (ErrorCode::Disconnected, true));
    assert!(!rig.is_done(get));
    rig.pass(Duration::from_millis(1));
    rig.establish();
    assert!(rig.written.contains("DIRECT.GET.KV_b.$KV.b.k") && !rig.written.contains("PUB $KV.b.k"));
    rig.answer_status("DIRECT.GET", "404 Message Not Found");
    let error = rig.result(get).as_ref().expect_err("missing");
    assert_eq!((error.code, error.api_code, error.status), (ErrorCode::KeyNotFound, 10037, 404));
}

#[test]
fn a_deadline_tells_whether_the_write_was_sent() {
    let (mut rig, b) = with_bucket(Rig::new(Config { retry_first_connect: true, ..Config::default() }));
    let unsent = rig.call(|c, now| c.put(b, "k", b"v", None, Some(Duration::from_secs(1)), now)).expect("put");
    rig.pass(Duration::from_secs(2));
    let error = rig.result(unsent).as_ref().expect_err("late");
    assert_eq!((error.code, error.maybe_applied), (ErrorCode::Timeout, false));
    rig.establish();
    assert!(!rig.written.contains("PUB $KV.b.k"), "nor is it sent later");
    let sent = rig.call(|c, now| c.put(b, "k", b"v", None, Some(Duration::from_secs(1)), now)).expect("put");
    rig.pass(Duration::from_secs(2));
    let error = rig.result(sent).as_ref().expect_err("late");
    assert_eq!((error.code, error.maybe_applied), (ErrorCode::Timeout, true));
    rig.answer("PUB $KV.b.k", "{\"stream\":\"KV_b\",\"seq\":1}");
    let _ = rig.result(sent); // still one Done
}

#[test]
fn cancel_ends_an_operation_once() {
    let (mut rig, b) = with_bucket(Rig::connected());
    let op = rig.call(|c, now| c.put(b, "k", b"v", None, None, now)).expect("put");
    rig.call(|c, now| c.cancel(op, now));
    rig.call(|c, now| c.cancel(op, now));
    let error = rig.result(op).as_ref().expect_err("cancelled");
    assert_eq!((error.code, error.maybe_applied), (ErrorCode::Cancelled, true));
}

#[test]
fn waiting_requests_are_bounded() {
    let config = Config { pending_limit: 1000, max_operations: 100, ..Config::default() };
    let (mut rig, b) = with_bucket(Rig::new(config));
    let error = rig.call(|c, now| c.put(b, "k", &[0; 2000], None, None, now)).expect_err("too much");
    assert_eq!(error.code, ErrorCode::BufferFull);
    rig.establish();
    let accepted = (0..200).filter(|_| rig.call(|c, now| c.get(b, "k", None, None, now)).is_ok()).count();
    assert_eq!(accepted, 100);
}

/// The message id of the last write to `subject`.
fn message_id(rig: &Rig, subject: &str) -> String {
    let frame = &rig.written[rig.written.rfind(&format!("HPUB {subject} ")).expect("a write with headers")..];
    let id = frame.lines().find_map(|line| line.strip_prefix("Nats-Msg-Id: "));
    id.expect("an id").to_string()
}

/// A connected client that tries writes again, and a bucket that it has asked.
fn retrying(duplicate_window: Duration) -> (Rig, BucketId) {
    let mut rig = Rig::new(Config { retry_writes: true, ..Config::default() });
    rig.establish();
    let op = rig.call(|c, now| c.open("b", &HandleOptions::default(), None, now)).expect("open");
    rig.answer("STREAM.INFO", &info(duplicate_window));
    let Ok(Outcome::Opened(opened)) = rig.result(op) else { panic!("{:?}", rig.result(op)) };
    let bucket = opened.bucket;
    rig.sent();
    (rig, bucket)
}

/// What STREAM.INFO says of a bucket.
fn info(duplicate_window: Duration) -> String {
    format!(
        "{{\"config\":{{\"name\":\"KV_b\",\"max_msgs_per_subject\":5,\"allow_direct\":true,\"duplicate_window\":{}}},\
         \"created\":\"2026-11-23T03:36:14Z\",\"state\":{{}}}}",
        duplicate_window.as_nanos()
    )
}

#[test]
fn a_write_that_may_take_longer_than_its_id_is_remembered_goes_without() {
    let (mut rig, b) = retrying(Duration::from_secs(4));
    for (timeout, has_id) in [(4, false), (3, true)] {
        rig.sent();
        rig.call(|c, now| c.put(b, "p", b"v", None, Some(Duration::from_secs(timeout)), now)).expect("put");
        rig.call(|c, now| c.create(b, "c", b"v", None, Some(Duration::from_secs(timeout)), now)).expect("create");
        assert_eq!(rig.written.matches("Nats-Msg-Id").count(), if has_id { 2 } else { 0 }, "{}", rig.written);
    }
}

#[test]
fn a_bucket_bound_without_asking_is_asked_before_a_write_is_sent_again() {
    let (mut rig, b) = with_bucket(Rig::new(Config { retry_writes: true, ..Config::default() }));
    rig.establish();
    let write = |rig: &mut Rig| {
        rig.sent();
        let put = rig.call(|c, now| c.put(b, "p", b"v", None, None, now)).expect("put");
        let create = rig.call(|c, now| c.create(b, "c", b"v", None, None, now)).expect("create");
        assert!(!rig.written.contains("STREAM.INFO"), "nobody asks before there is a reason: {}", rig.written);
        rig.pass(Duration::from_secs(1));
        rig.lose();
        rig.pass(Duration::from_millis(200));
        rig.establish();
        assert!(!rig.is_done(put) && !rig.is_done(create), "{:?}", rig.events);
        assert!(!rig.written.contains("PUB $KV.b."), "{}", rig.written);
        [put, create]
    };
    let cut_off = |rig: &Rig, op| {
        let error = rig.result(op).as_ref().expect_err("cut off");
        assert_eq!((error.code, error.maybe_applied), (ErrorCode::Disconnected, true), "{error}");
    };

    let denied = write(&mut rig);
    rig.receive("-ERR 'Permissions Violation for Publish to \"$JS.API.STREAM.INFO.KV_b\"'\r\n");
    denied.iter().for_each(|op| cut_off(&rig, *op));

    let unanswered = write(&mut rig);
    while rig.written.contains("STREAM.INFO") {
        let answered = rig.reply_of("STREAM.INFO");
        rig.answer_status("STREAM.INFO", "503");
        rig.written = rig.written.replace(&format!("STREAM.INFO.KV_b {answered} "), "answered");
        if !rig.written.contains("STREAM.INFO") {
            rig.pass(Duration::from_millis(250));
        }
    }
    unanswered.iter().for_each(|op| cut_off(&rig, *op));

    let [put, create] = write(&mut rig);
    rig.answer("STREAM.INFO", &info(Duration::from_secs(120)));
    assert!(rig.written.contains("HPUB $KV.b.c ") && !rig.written.contains("HPUB $KV.b.p "), "{}", rig.written);
    rig.answer("$KV.b.c", "{\"stream\":\"KV_b\",\"seq\":8}");
    assert_eq!(rig.result(create), &Ok(Outcome::Revision(8)));
    rig.written = rig.written.replace("$KV.b.c", "gone");
    rig.lose(); // over the other's question
    rig.pass(Duration::from_millis(200));
    rig.establish();
    rig.answer("STREAM.INFO", &info(Duration::from_secs(120)));
    rig.answer("$KV.b.p", "{\"stream\":\"KV_b\",\"seq\":7,\"duplicate\": true}");
    assert_eq!(rig.result(put), &Ok(Outcome::Revision(7)));

    let (mut rig, b) = with_bucket(Rig::new(Config { retry_writes: true, ..Config::default() }));
    rig.establish();
    let put = rig.call(|c, now| c.put(b, "p", b"v", None, None, now)).expect("put");
    rig.pass(Duration::from_secs(1));
    rig.lose();
    rig.pass(Duration::from_millis(200));
    rig.establish();
    rig.answer("STREAM.INFO", &info(Duration::from_secs(4)));
    cut_off(&rig, put);
    assert!(!rig.written.contains("PUB $KV.b."), "it could be stored twice: {}", rig.written);
    rig.call(|c, now| c.put(b, "p", b"v", None, None, now)).expect("put");
    assert!(rig.sent().contains("\r\nPUB $KV.b.p "), "now it is known: no id");
}

#[test]
fn a_write_with_an_id_is_sent_again_and_its_outcome_found_out() {
    let (mut rig, b) = retrying(Duration::from_secs(120));
    let put = rig.call(|c, now| c.put(b, "p", b"v", None, None, now)).expect("put");
    let update = rig.call(|c, now| c.update(b, "u", b"v", 4, None, None, now)).expect("update");
    let lost = rig.call(|c, now| c.update(b, "l", b"v", 4, None, None, now)).expect("update");
    let create = rig.call(|c, now| c.create(b, "c", b"v", None, None, now)).expect("create");
    let ids = ["$KV.b.u", "$KV.b.c"].map(|subject| message_id(&rig, subject));
    rig.pass(Duration::from_secs(2));
    rig.lose();
    rig.pass(Duration::from_millis(1));
    rig.establish();
    assert_eq!(ids, ["$KV.b.u", "$KV.b.c"].map(|subject| message_id(&rig, subject)), "the same bytes again");

    rig.answer("$KV.b.p", "{\"stream\":\"KV_b\",\"seq\":9,\"duplicate\": true}");
    assert_eq!(rig.result(put), &Ok(Outcome::Revision(9)));

    let refused = "{\"error\":{\"code\":400,\"err_code\":10071,\"description\":\"wrong last sequence: 7\"},\"stream\":\"KV_b\",\"seq\":0}";
    let stored = |key: &str, id: &str| {
        let headers = base64(format!("NATS/1.0\r\nNats-Msg-Id: {id}\r\n\r\n").as_bytes());
        format!(
            "{{\"message\":{{\"subject\":\"$KV.b.{key}\",\"seq\":7,\"hdrs\":\"{headers}\",\"time\":\"2026-11-23T03:36:14Z\"}}}}"
        )
    };
    rig.answer("$KV.b.u", refused);
    assert!(rig.written.contains("{\"next_by_subj\":\"$KV.b.u\",\"seq\":5}"), "{}", rig.written);
    rig.answer("STREAM.MSG.GET", &stored("u", &ids[0]));
    assert_eq!(rig.result(update), &Ok(Outcome::Revision(7)), "the first one was stored");

    rig.answer("$KV.b.l", refused);
    rig.answer("STREAM.MSG.GET", &stored("l", "somebody else's"));
    let error = rig.result(lost).as_ref().expect_err("stale");
    assert_eq!(
        (error.code, error.maybe_applied),
        (ErrorCode::WrongRevision, true),
        "history unknown: ours may be gone"
    );

    rig.answer("$KV.b.c", refused);
    rig.answer("STREAM.MSG.GET", &stored("c", &ids[1]));
    assert_eq!(rig.result(create), &Ok(Outcome::Revision(7)));
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[test]
fn a_bucket_made_right_after_its_deletion_is_tried_again() {
    let mut rig = Rig::connected();
    let config = natskv_core::BucketConfig::new("b");
    let op = rig
        .call(|c, now| {
            c.create_bucket(&config, &HandleOptions::default(), natskv_core::Compare::All, OnDrift::Error, None, now)
        })
        .expect("create");
    let busy = "{\"error\":{\"code\":500,\"err_code\":10049,\"description\":\"error creating store for stream\"}}";
    rig.answer("STREAM.CREATE.KV_b", busy);
    rig.sent();
    rig.pass(Duration::from_millis(300));
    rig.answer("STREAM.CREATE.KV_b", "{\"config\":{\"max_msgs_per_subject\":1,\"allow_direct\":true}}");
    assert!(matches!(rig.result(op), Ok(Outcome::Opened(..))));
}

#[test]
fn bytes_that_the_transport_does_not_take_are_bounded() {
    let (mut rig, b) = with_bucket(Rig::new(Config { unsent_limit: 10_000, ..Config::default() }));
    rig.establish();
    let now = rig.now;
    let accepted = (0..20).take_while(|_| rig.client.put(b, "k", &[b'x'; 1000], None, None, now).is_ok()).count();
    assert_eq!(accepted, 9);
    rig.pump();
    assert!(rig.client.put(b, "k", &[b'x'; 1000], None, None, now).is_ok(), "there is room again");
}

#[test]
fn what_a_server_would_refuse_is_refused_before_it_is_sent() {
    let (mut rig, b) = with_bucket(Rig::connected());
    rig.sent();
    let mib = vec![b'x'; 1 << 20];
    assert!(rig.call(|c, now| c.put(b, "k", &mib, None, None, now)).is_ok(), "exactly max_payload");
    let line = rig.sent();
    assert!(line.starts_with("PUB $KV.b.k "));
    let codes = [
        rig.call(|c, now| c.create(b, "k", &mib, None, None, now)),
        rig.call(|c, now| c.put(b, "k", &[&mib[..], b"x"].concat(), None, None, now)),
        rig.call(|c, now| c.put(b, &"k".repeat(4100), b"", None, None, now)),
        rig.call(|c, now| c.put(b, "a..b", b"", None, None, now)),
        rig.call(|c, now| c.put(b, "a\r\nPUB x 0", b"", None, None, now)),
        rig.call(|c, now| c.put(b, "_kv.x", b"", None, None, now)),
        rig.call(|c, now| c.update(b, "k", b"", 0, None, None, now)),
        rig.call(|c, now| c.get(b, "*", None, None, now)),
    ]
    .map(|result| result.expect_err("refused").code);
    use ErrorCode::{InvalidArgument, InvalidKey, TooLarge};
    assert_eq!(codes, [TooLarge, TooLarge, TooLarge, InvalidKey, InvalidKey, InvalidKey, InvalidArgument, InvalidKey]);
    assert_eq!(rig.sent(), "");
}

#[test]
fn a_503_on_a_write_is_an_election_until_the_stream_is_known_to_be_gone() {
    let (mut rig, b) = with_bucket(Rig::connected());
    let op = rig.call(|c, now| c.put(b, "k", b"v", None, None, now)).expect("put");
    rig.answer_status("PUB $KV.b.k", "503");
    rig.answer("STREAM.INFO.KV_b", "{\"config\":{\"max_msgs_per_subject\":1,\"allow_direct\":true}}");
    assert!(!rig.is_done(op));
    rig.sent();
    rig.pass(Duration::from_millis(300));
    rig.answer("PUB $KV.b.k", "{\"stream\":\"KV_b\", \"seq\":9}");
    assert_eq!(rig.result(op), &Ok(Outcome::Revision(9)));

    let op = rig.call(|c, now| c.put(b, "k", b"v", None, None, now)).expect("put");
    rig.answer_status("PUB $KV.b.k", "503");
    rig.answer(
        "STREAM.INFO.KV_b",
        "{\"error\":{\"code\":404,\"err_code\":10059,\"description\":\"stream not found\"}}",
    );
    assert_eq!(rig.result(op).as_ref().expect_err("gone").code, ErrorCode::BucketNotFound);
}

#[test]
fn an_acknowledgement_of_another_stream_is_none() {
    let (mut rig, b) = with_bucket(Rig::connected());
    let op = rig.call(|c, now| c.put(b, "k", b"v", None, None, now)).expect("put");
    rig.answer("PUB $KV.b.k", "{\"stream\":\"KV_other\",\"seq\":9}");
    assert_eq!(rig.result(op).as_ref().expect_err("foreign").code, ErrorCode::Protocol);
}

#[test]
fn a_write_that_was_sent_twice_stays_in_doubt_whatever_the_second_is_refused_for() {
    let (mut rig, b) = retrying(Duration::from_secs(120));
    let put = rig.call(|c, now| c.put(b, "p", b"v", None, None, now)).expect("put");
    let update = rig.call(|c, now| c.update(b, "u", b"v", 4, None, None, now)).expect("update");
    let beaten = rig.call(|c, now| c.update(b, "l", b"v", 4, None, None, now)).expect("update");
    rig.pass(Duration::from_secs(2));
    rig.lose();
    rig.pass(Duration::from_millis(1));
    rig.establish();
    rig.answer_status("$KV.b.p", "503");
    rig.answer("STREAM.INFO", "{\"error\":{\"code\":404,\"err_code\":10059,\"description\":\"stream not found\"}}");
    let error = rig.result(put).as_ref().expect_err("gone");
    assert_eq!((error.code, error.maybe_applied), (ErrorCode::BucketNotFound, true), "it may have been stored before");

    let refused = "{\"error\":{\"code\":400,\"err_code\":10071,\"description\":\"wrong last sequence: 9\"},\"stream\":\"KV_b\",\"seq\":0}";
    for (op, key, expected, is_in_doubt) in [(update, "u", "", true), (beaten, "l", EXPECTED_4, false)] {
        rig.answer(&format!("$KV.b.{key}"), refused);
        let headers = base64(format!("NATS/1.0\r\n{expected}Nats-Msg-Id: another\r\n\r\n").as_bytes());
        rig.answer("STREAM.MSG.GET", &format!(
            "{{\"message\":{{\"subject\":\"$KV.b.{key}\",\"seq\":9,\"hdrs\":\"{headers}\",\"time\":\"2026-11-23T03:36:14Z\"}}}}"
        ));
        let error = rig.result(op).as_ref().expect_err("refused");
        assert_eq!((error.code, error.maybe_applied), (ErrorCode::WrongRevision, is_in_doubt), "{key}");
    }
}

/// Who expects the same and is stored was there first.
const EXPECTED_4: &str = "Nats-Expected-Last-Subject-Sequence: 4\r\n";

#[test]
fn create_takes_the_place_of_a_marker_and_counts_its_rounds() {
    let (mut rig, b) = with_bucket(Rig::connected());
    let refused = "{\"error\":{\"code\":400,\"err_code\":10071,\"description\":\"wrong last sequence: 5\"},\"stream\":\"KV_b\",\"seq\":0}";
    // base64 of "NATS/1.0\r\nKV-Operation: DEL\r\n\r\n"
    let marker = "{\"message\":{\"subject\":\"$KV.b.k\",\"seq\":5,\"hdrs\":\"TkFUUy8xLjANCktWLU9wZXJhdGlvbjogREVMDQoNCg==\",\"time\":\"2026-11-23T03:36:14Z\"}}";
    let op = rig.call(|c, now| c.create(b, "k", b"value", None, None, now)).expect("create");
    assert!(rig.written.contains("Nats-Expected-Last-Subject-Sequence: 0\r\n\r\nvalue\r\n"));
    rig.answer("PUB $KV.b.k", refused);
    rig.answer("STREAM.MSG.GET.KV_b", marker);
    assert!(rig.written.contains("Nats-Expected-Last-Subject-Sequence: 5\r\n\r\nvalue\r\n"));
    rig.answer("PUB $KV.b.k", "{\"stream\":\"KV_b\",\"seq\":6}");
    assert_eq!(rig.result(op), &Ok(Outcome::Revision(6)));

    let op = rig.call(|c, now| c.create(b, "k", b"value", None, None, now)).expect("create");
    for round in 5..15 {
        if rig.is_done(op) {
            break;
        }
        rig.answer("PUB $KV.b.k", refused);
        rig.answer("STREAM.MSG.GET.KV_b", &marker.replace("\"seq\":5", &format!("\"seq\":{round}")));
    }
    assert_eq!(rig.result(op).as_ref().expect_err("lost each round").code, ErrorCode::KeyExists);
}

#[test]
fn a_conflict_is_one_error_whichever_number_says_so() {
    for (text, number, revision) in [("wrong last sequence: 7", 10071, Some(7)), ("wrong last sequence", 10164, None)] {
        let (mut rig, b) = with_bucket(Rig::connected());
        let refusal = format!(
            "{{\"error\":{{\"code\":400,\"err_code\":{number},\"description\":\"{text}\"}},\"stream\":\"KV_b\",\"seq\":0}}"
        );
        for verb in ["update", "delete", "purge"] {
            let op = rig.call(|c, now| match verb {
                "update" => c.update(b, "k", b"value", 3, None, None, now),
                "delete" => c.delete(b, "k", Some(3), None, now),
                _ => c.purge(b, "k", Some(3), None, None, now),
            });
            let op = op.expect(verb);
            rig.answer("PUB $KV.b.k", &refusal);
            let error = rig.result(op).as_ref().expect_err(verb);
            assert_eq!(
                (error.code, error.api_code, error.revision),
                (ErrorCode::WrongRevision, 10071, revision),
                "{verb}"
            );
            assert!(error.message.contains(text), "{verb}: {error}");
            rig.sent();
        }
    }
}

#[test]
fn create_waits_for_what_is_on_its_way_to_the_replicas() {
    let (mut rig, b) = with_bucket(Rig::connected());
    let in_flight = "{\"error\":{\"code\":400,\"err_code\":10164,\"description\":\"wrong last sequence\"},\"stream\":\"KV_b\",\"seq\":0}";
    let nothing = "{\"error\":{\"code\":404,\"err_code\":10037,\"description\":\"no message found\"}}";
    let op = rig.call(|c, now| c.create(b, "k", b"value", None, None, now)).expect("create");
    for _ in 0..5 {
        rig.answer("PUB $KV.b.k", in_flight);
        rig.answer("STREAM.MSG.GET.KV_b", nothing);
        rig.sent();
        rig.pass(Duration::from_millis(60));
    }
    rig.answer("PUB $KV.b.k", "{\"stream\":\"KV_b\",\"seq\":6}");
    assert_eq!(rig.result(op), &Ok(Outcome::Revision(6)), "what was in flight was no value");
}

#[test]
fn a_denied_subject_fails_its_requests_at_once() {
    let (mut rig, b) = with_bucket(Rig::connected());
    let put = rig.call(|c, now| c.put(b, "k", b"v", None, None, now)).expect("put");
    let other = rig.call(|c, now| c.put(b, "other", b"v", None, None, now)).expect("put");
    rig.receive("-ERR 'Permissions Violation for Publish to \"$KV.b.k\"'\r\n");
    let error = rig.result(put).as_ref().expect_err("denied");
    assert_eq!((error.code, error.maybe_applied), (ErrorCode::Permission, false));
    assert!(error.message.contains("$KV.b.k"), "{error}");
    assert!(!rig.is_done(other));
}

#[test]
fn a_bound_bucket_learns_that_direct_get_is_off() {
    let (mut rig, b) = with_bucket(Rig::connected());
    let op = rig.call(|c, now| c.get(b, "k", None, None, now)).expect("get");
    rig.answer_status("DIRECT.GET", "503");
    rig.answer("STREAM.INFO", "{\"config\":{\"max_msgs_per_subject\":1,\"allow_direct\":false}}");
    rig.answer(
        "STREAM.MSG.GET",
        "{\"message\":{\"subject\":\"$KV.b.k\",\"seq\":2,\"data\":\"djI=\",\"time\":\"2026-11-23T03:36:14Z\"}}",
    );
    assert!(matches!(rig.result(op), Ok(Outcome::Entry(entry)) if entry.value() == b"v2" && entry.revision == 2));
    rig.sent();
    rig.call(|c, now| c.get(b, "k", None, None, now)).expect("get");
    assert!(rig.sent().contains("STREAM.MSG.GET"), "and remembers it");
}

#[test]
fn drain_finishes_and_then_closes() {
    let (mut rig, b) = with_bucket(Rig::connected());
    let op = rig.call(|c, now| c.put(b, "k", b"v", None, None, now)).expect("put");
    rig.call(|c, now| c.drain(now));
    assert_eq!(rig.call(|c, now| c.put(b, "k", b"v", None, None, now)).expect_err("draining").code, ErrorCode::Closed);
    rig.answer("PUB $KV.b.k", "{\"stream\":\"KV_b\",\"seq\":1}");
    assert_eq!(rig.result(op), &Ok(Outcome::Revision(1)));
    assert_eq!(rig.client.state(), &natskv_core::State::Closed(None));
}

#[test]
fn a_write_that_is_still_to_go_out_may_be_applied() {
    let (mut rig, b) = with_bucket(Rig::connected());
    rig.sent();
    let cancelled = rig.client.put(b, "k", b"1", None, None, rig.now).expect("put");
    rig.client.cancel(cancelled, rig.now);
    let closed = rig.client.put(b, "k", b"2", None, None, rig.now).expect("put");
    rig.client.close(rig.now);
    rig.pump();
    assert_eq!(rig.sent().matches("PUB $KV.b.k ").count(), 2);
    for op in [cancelled, closed] {
        assert!(rig.result(op).as_ref().expect_err("ended").maybe_applied);
    }
}

#[test]
fn an_inbox_that_is_not_allowed_fails_all_and_says_what_to_set() {
    let (mut rig, b) = with_bucket(Rig::connected());
    let inbox = rig.written.lines().find_map(|line| line.strip_prefix("SUB ")?.strip_suffix(" 1")).expect("inbox");
    let denied = format!("-ERR 'Permissions Violation for Subscription to \"{inbox}\"'\r\n");
    let put = rig.call(|c, now| c.put(b, "k", b"v", None, None, now)).expect("put");
    let get = rig.call(|c, now| c.get(b, "k", None, None, now)).expect("get");
    rig.receive(denied);
    for (op, is_write) in [(put, true), (get, false)] {
        let error = rig.result(op).as_ref().expect_err("denied");
        assert_eq!((error.code, error.maybe_applied), (ErrorCode::Permission, is_write));
        assert!(error.message.contains("inbox_prefix"), "{error}");
    }
    let error = rig.call(|c, now| c.put(b, "k", b"v", None, None, now)).expect_err("no reply can come");
    assert_eq!(error.code, ErrorCode::Permission);
}

#[test]
fn what_waited_is_measured_by_the_server_that_gets_it() {
    let (mut rig, b) = with_bucket(Rig::new(Config::default()));
    let small = rig.call(|c, now| c.put(b, "k", b"small", None, None, now)).expect("put");
    let large = rig.call(|c, now| c.put(b, "k", &[b'x'; 600], None, None, now)).expect("put");
    let mib = vec![b'x'; 2 << 20];
    rig.call(|c, now| c.put(b, "k", &mib, None, None, now)).expect("nobody has said yet what is too large");
    rig.open();
    rig.receive("INFO {\"headers\":true,\"max_payload\":500} \r\nPONG\r\n");
    assert!(rig.written.contains("small") && !rig.written.contains("xxx"), "the connection goes on");
    let error = rig.result(large).as_ref().expect_err("too large");
    assert_eq!((error.code, error.maybe_applied), (ErrorCode::TooLarge, false));
    assert!(error.message.contains("600") && error.message.contains("500"), "{error}");
    assert!(!rig.is_done(small));
}

#[test]
fn an_election_is_waited_out_without_the_right_to_ask_for_the_stream() {
    let (mut rig, b) = with_bucket(Rig::connected());
    let put = rig.call(|c, now| c.put(b, "k", b"v", None, None, now)).expect("put");
    rig.answer_status("PUB $KV.b.k", "503");
    rig.receive("-ERR 'Permissions Violation for Publish to \"$JS.API.STREAM.INFO.KV_b\"'\r\n");
    assert!(!rig.is_done(put));
    rig.sent();
    rig.pass(Duration::from_millis(300));
    rig.answer("PUB $KV.b.k", "{\"stream\":\"KV_b\",\"seq\":9}");
    assert_eq!(rig.result(put), &Ok(Outcome::Revision(9)));
}

#[test]
fn changes_of_buckets_are_not_repeated_behind_the_callers_back() {
    let mut rig = Rig::connected();
    let delete = rig.call(|c, now| c.delete_bucket("b", None, now)).expect("delete");
    let open = rig.call(|c, now| c.open("b", &HandleOptions::default(), None, now)).expect("open");
    rig.pass(Duration::from_secs(1));
    rig.lose();
    let error = rig.result(delete).as_ref().expect_err("cut off");
    assert_eq!((error.code, error.maybe_applied), (ErrorCode::Disconnected, true));
    rig.pass(Duration::from_millis(1));
    rig.establish();
    assert!(rig.written.contains("STREAM.INFO.KV_b") && !rig.written.contains("STREAM.DELETE"), "{}", rig.written);
    assert!(!rig.is_done(open));
}

#[test]
fn drain_closes_when_the_last_operation_ends_however_it_ends() {
    let end_by: [fn(&mut Rig, natskv_core::OpId); 2] =
        [|rig, op| rig.call(|c, now| c.cancel(op, now)), |rig, _| rig.lose()];
    for end in end_by {
        let (mut rig, b) = with_bucket(Rig::connected());
        let op = rig.call(|c, now| c.put(b, "k", b"v", None, None, now)).expect("put");
        rig.call(|c, now| c.drain(now));
        rig.pass(Duration::from_secs(2));
        end(&mut rig, op);
        assert_eq!(rig.client.state(), &natskv_core::State::Closed(None));
    }
}

#[test]
fn a_drain_that_takes_too_long_says_so() {
    let (mut rig, b) = with_bucket(Rig::connected());
    let op = rig.call(|c, now| c.put(b, "k", b"v", None, Some(Duration::from_secs(60)), now)).expect("put");
    assert!(rig.call(|c, now| c.drain_within(Duration::ZERO, now)).is_err());
    rig.call(|c, now| c.drain_within(Duration::from_secs(40), now)).expect("drain");
    rig.call(|c, now| c.drain(now)); // the first one holds
    rig.pass(Duration::from_secs(39));
    assert!(!rig.is_done(op));
    rig.pass(Duration::from_secs(1));
    let ended = rig.result(op).as_ref().expect_err("cut off").clone();
    assert_eq!((ended.code, ended.maybe_applied), (ErrorCode::Timeout, true));
    assert!(
        matches!(rig.client.state(), natskv_core::State::Closed(Some(error)) if error.code == ErrorCode::Timeout),
        "{:?}",
        rig.client.state()
    );
}

#[test]
fn a_bucket_has_one_handle_however_often_it_is_opened() {
    let mut rig = Rig::connected();
    let bound = rig.client.bind("b", &HandleOptions::default()).expect("bind");
    let op = rig.call(|c, now| c.open("b", &HandleOptions::default(), None, now)).expect("open");
    rig.answer("STREAM.INFO", "{\"config\":{\"max_msgs_per_subject\":1,\"allow_direct\":false}}");
    assert!(matches!(rig.result(op), Ok(Outcome::Opened(opened)) if opened.bucket == bound));
    assert_eq!(rig.client.bind("b", &HandleOptions::default()), Ok(bound));
    assert_ne!(rig.client.bind("c", &HandleOptions::default()), Ok(bound));
    rig.call(|c, now| c.get(bound, "k", None, None, now)).expect("get");
    assert!(rig.sent().contains("STREAM.MSG.GET.KV_b"), "binding again forgets nothing");
}

#[test]
fn a_mirror_within_a_domain_writes_through_the_domain() {
    let mut rig = Rig::new(Config { domain: Some("HUB".into()), ..Config::default() });
    rig.establish();
    let op = rig.call(|c, now| c.open("m", &HandleOptions::default(), None, now)).expect("open");
    rig.answer("STREAM.INFO.KV_m", "{\"config\":{\"max_msgs_per_subject\":1,\"mirror\":{\"name\":\"KV_b\"}}}");
    let Ok(Outcome::Opened(opened)) = rig.result(op).clone() else { panic!("not opened") };
    let bucket = opened.bucket;
    rig.call(|c, now| c.put(bucket, "k", b"v", None, None, now)).expect("put");
    assert!(rig.sent().contains("PUB $JS.HUB.API.$KV.b.k "));
}

#[test]
fn a_write_sent_twice_and_then_to_nobody_may_be_applied() {
    let (mut rig, b) = retrying(Duration::from_secs(120));
    let put = rig.call(|c, now| c.put(b, "k", b"v", None, Some(Duration::from_secs(60)), now)).expect("put");
    let create = rig.call(|c, now| c.create(b, "new", b"v", None, Some(Duration::from_secs(60)), now)).expect("create");
    rig.pass(Duration::from_secs(1));
    rig.lose();
    rig.pass(Duration::from_millis(1));
    rig.establish();
    for key in ["k", "new"] {
        while rig.written.contains(&format!("PUB $KV.b.{key} ")) {
            rig.answer_status(&format!("PUB $KV.b.{key} "), "503");
            rig.answer_status("STREAM.INFO.KV_b", "503");
            rig.written = rig.written.replace(&format!("PUB $KV.b.{key} "), "gone ");
            rig.pass(Duration::from_millis(250));
        }
    }
    for op in [put, create] {
        let error = rig.result(op).as_ref().expect_err("nobody");
        assert_eq!((error.code, error.maybe_applied), (ErrorCode::NoResponders, true), "{error}");
    }
}

#[test]
fn a_timeout_says_what_was_not_answered() {
    let (mut rig, b) = with_bucket(Rig::connected());
    let put = rig.call(|c, now| c.put(b, "k", b"v", None, None, now)).expect("put");
    rig.pass(Duration::from_secs(6));
    let error = rig.result(put).as_ref().expect_err("late");
    assert_eq!((error.code, &*error.message), (ErrorCode::Timeout, "timed out: no answer on \"$KV.b.k\""));
}

#[test]
fn limit_markers_can_be_turned_off() {
    let mut rig = Rig::connected();
    let config =
        natskv_core::BucketConfig { limit_marker_ttl: Some(Duration::ZERO), ..natskv_core::BucketConfig::new("b") };
    let with_markers =
        "{\"config\":{\"max_msgs_per_subject\":1,\"allow_msg_ttl\":true,\"subject_delete_marker_ttl\":2000000000}}";
    rig.call(|c, now| c.update_bucket(&config, &HandleOptions::default(), None, now)).expect("update");
    rig.answer("STREAM.INFO", with_markers);
    let sent = rig.sent();
    assert!(sent.contains("STREAM.UPDATE") && sent.contains("\"allow_msg_ttl\":true"), "{sent}");
    assert!(!sent.contains("subject_delete_marker_ttl"), "{sent}");

    let op = rig
        .call(|c, now| {
            c.create_bucket(&config, &HandleOptions::default(), natskv_core::Compare::Given, OnDrift::Error, None, now)
        })
        .expect("create");
    rig.answer("STREAM.CREATE", "{\"error\":{\"code\":400,\"err_code\":10058,\"description\":\"in use\"}}");
    rig.answer("STREAM.INFO", with_markers);
    assert_eq!(rig.result(op).as_ref().expect_err("drift").code, ErrorCode::BucketExists);
}

#[test]
fn two_spellings_of_one_field_are_told_as_such() {
    for json in [
        "{\"bucket\":\"b\",\"max_bytes\":1,\"max_bucket_size\":2}",
        "{\"bucket\":\"b\",\"num_replicas\":1,\"replicas\":1}",
    ] {
        let error = natskv_core::BucketConfig::from_json(json).expect_err("both");
        assert!(error.message.contains("same field") && !error.message.contains("unknown"), "{error}");
    }
}

#[test]
fn only_messages_count_as_messages() {
    let (mut rig, b) = with_bucket(Rig::connected());
    assert_eq!(rig.client.stats().out_msgs, 0, "the inbox's SUB is none");
    rig.call(|c, now| c.put(b, "k", b"v", None, None, now)).expect("put");
    assert_eq!(rig.client.stats().out_msgs, 1);
}

#[test]
fn a_question_that_is_left_unanswered_is_asked_again() {
    let mut rig = Rig::connected();
    let options = HandleOptions { leader_reads: true, ..HandleOptions::default() };
    let b = rig.client.bind("b", &options).expect("bind");
    let read = |rig: &mut Rig| rig.call(|c, now| c.get(b, "k", None, None, now)).expect("get");
    let asked = |rig: &Rig| rig.written.matches("PUB $JS.API.STREAM.MSG.GET.KV_b ").count();
    let message = "{\"message\":{\"subject\":\"$KV.b.k\",\"seq\":7,\"time\":\"2026-11-23T03:36:14Z\"}}";

    let op = read(&mut rig);
    rig.pass(Duration::from_millis(999));
    assert_eq!(asked(&rig), 1);
    rig.pass(Duration::from_millis(1101));
    assert_eq!(asked(&rig), 3);
    let reply = rig.reply_of("STREAM.MSG.GET");
    rig.answer("STREAM.MSG.GET", message);
    assert!(matches!(rig.result(op), Ok(Outcome::Entry(entry)) if entry.revision == 7), "{:?}", rig.result(op));
    rig.receive(format!("MSG {reply} 1 2\r\n{{}}\r\n")); // the answer to another copy finds nobody
    rig.pass(Duration::from_secs(5));
    assert_eq!(asked(&rig), 3, "{}", rig.written);

    rig.sent();
    let op = read(&mut rig);
    rig.pass(Duration::from_secs(9));
    assert_eq!(asked(&rig), 5, "as long as it has time");
    assert_eq!(rig.result(op).as_ref().expect_err("nobody answers").code, ErrorCode::Timeout);

    let op = read(&mut rig);
    rig.lose();
    rig.pass(Duration::from_millis(2500));
    rig.establish();
    assert_eq!(asked(&rig), 1, "what waits for a connection goes out once: {}", rig.written);
    rig.answer("STREAM.MSG.GET", message);
    assert!(rig.result(op).is_ok(), "{:?}", rig.result(op));
}

#[test]
fn what_changes_something_is_not_asked_again() {
    let (mut rig, b) = with_bucket(Rig::connected());
    rig.call(|c, now| c.put(b, "k", b"v", Some(Duration::from_secs(1)), None, now)).expect("put");
    rig.answer("STREAM.INFO", "{\"config\":{\"max_msgs_per_subject\":1,\"allow_msg_ttl\":true}}"); // whether it takes a TTL
    rig.call(|c, now| c.delete_bucket("b", None, now)).expect("delete");
    rig.pass(Duration::from_secs(5));
    assert_eq!((rig.written.matches("PUB $KV.b.k ").count(), rig.written.matches("STREAM.DELETE").count()), (1, 1));
    assert_eq!(rig.written.matches("STREAM.INFO").count(), 1, "{}", rig.written);
}
