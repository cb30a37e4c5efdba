//! Many keys in one call: answers in pieces, servers that know no such call, connections that break in between, and replicas that
//! lag behind.

use std::time::Duration;

use natskv_core::{BucketId, Config, ErrorCode, Event, HandleOptions, OpId, Outcome, WatchItem, WatchOptions};
use natskv_kit::rig::Rig;

/// A connected client with a bound bucket.
fn bound() -> (Rig, BucketId) {
    let mut rig = Rig::connected();
    let bucket = rig.client.bind("b", &HandleOptions::default()).expect("bind");
    rig.sent();
    (rig, bucket)
}

/// One message of the answer to the newest direct get.
fn part(rig: &mut Rig, key: &str, sequence: u64, previous: u64) {
    let headers = format!(
        "NATS/1.0\r\nNats-Stream: KV_b\r\nNats-Subject: $KV.b.{key}\r\nNats-Sequence: {sequence}\r\n\
         Nats-Time-Stamp: 2026-11-23T03:37:44Z\r\nNats-Num-Pending: 1\r\nNats-Last-Sequence: {previous}\r\n\r\n"
    );
    reply(rig, "DIRECT.GET", &headers, "v");
}

/// A message to the newest request whose line has `to`.
fn reply(rig: &mut Rig, to: &str, headers: &str, value: &str) {
    let inbox = rig.reply_of(to);
    let total = headers.len() + value.len();
    rig.receive(format!("HMSG {inbox} 1 {} {total}\r\n{headers}{value}\r\n", headers.len()));
}

fn end(rig: &mut Rig, pending: u64, last: u64, up_to: u64) {
    let status =
        format!("204 EOB\r\nNats-Num-Pending: {pending}\r\nNats-Last-Sequence: {last}\r\nNats-UpTo-Sequence: {up_to}");
    rig.answer_status("DIRECT.GET", &status);
}

fn found(rig: &Rig, op: OpId) -> (Vec<String>, Option<u64>) {
    let Ok(Outcome::Many { entries, as_of }) = rig.result(op) else { panic!("{:?}", rig.result(op)) };
    (entries.iter().map(|entry| format!("{}@{}", entry.key(), entry.revision)).collect(), *as_of)
}

fn get_many(rig: &mut Rig, bucket: BucketId, keys: &[&str]) -> OpId {
    rig.call(|c, now| c.get_many(bucket, keys, None, now)).expect("get_many")
}

#[test]
fn one_request_gives_one_picture() {
    let (mut rig, b) = bound();
    let op = get_many(&mut rig, b, &["y", "x", "none", "x"]);
    assert!(rig.written.contains("{\"multi_last\":[\"$KV.b.none\",\"$KV.b.x\",\"$KV.b.y\"]}"), "{}", rig.written);
    part(&mut rig, "y", 3, 0);
    part(&mut rig, "x", 5, 3);
    assert!(!rig.is_done(op));
    end(&mut rig, 0, 5, 9);
    assert_eq!(found(&rig, op), (vec!["x@5".into(), "y@3".into()], Some(9)));
}

#[test]
fn pages_are_one_picture_when_nothing_in_them_is_newer_than_the_oldest() {
    let (mut rig, b) = bound();
    // Pages of one request, the second by a replica that has got further: what it shows was so at 9 already.
    for (page, up_to, as_of) in [("z@8", 12, Some(9)), ("z@8", 8, Some(8)), ("z@11", 12, None)] {
        let op = get_many(&mut rig, b, &["x", "z"]);
        part(&mut rig, "x", 3, 0);
        end(&mut rig, 1, 3, 9);
        assert!(rig.written.contains("{\"multi_last\":[\"$KV.b.x\",\"$KV.b.z\"],\"seq\":4}"), "{}", rig.written);
        part(&mut rig, "z", page[2..].parse().expect("revision"), 0);
        end(&mut rig, 0, page[2..].parse().expect("revision"), up_to);
        assert_eq!(found(&rig, op), (vec!["x@3".into(), page.into()], as_of), "{page} of {up_to}");
    }
    // A key that moved behind the first page while that was read comes twice, and counts once.
    let op = get_many(&mut rig, b, &["x", "z"]);
    part(&mut rig, "x", 3, 0);
    end(&mut rig, 1, 3, 9);
    part(&mut rig, "z", 8, 0);
    part(&mut rig, "x", 10, 8);
    end(&mut rig, 0, 10, 10);
    assert_eq!(found(&rig, op), (vec!["x@10".into(), "z@8".into()], None));
}

#[test]
fn a_key_that_two_replicas_put_into_neither_page_is_asked_of_the_leader() {
    let (mut rig, b) = bound();
    for is_empty in [false, true] {
        let op = get_many(&mut rig, b, &["x", "y", "z"]);
        part(&mut rig, "x", 3, 0);
        end(&mut rig, 2, 3, 9); // y is at 5 here
        if is_empty {
            rig.answer_status("DIRECT.GET", "404 No Results");
        } else {
            part(&mut rig, "z", 4, 0);
            end(&mut rig, 0, 4, 4); // and at 2 here
        }
        assert!(rig.written.contains("{\"last_by_subj\":\"$KV.b.y\"}"), "{}", rig.written);
        assert!(!rig.is_done(op));
        rig.sent();
    }
}

#[test]
#[cfg_attr(miri, ignore = "that many take minutes there")]
fn more_keys_than_one_request_takes_are_one_picture_too() {
    let (mut rig, b) = bound();
    let keys: Vec<String> = (0..1025).map(|number| format!("k{number:04}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let op = get_many(&mut rig, b, &keys);
    part(&mut rig, "k0000", 3, 0);
    end(&mut rig, 0, 3, 2000);
    part(&mut rig, "k1024", 1025, 0);
    end(&mut rig, 0, 1025, 2001);
    assert_eq!(found(&rig, op), (vec!["k0000@3".into(), "k1024@1025".into()], Some(2000)));
}

#[test]
fn a_lost_connection_repeats_the_request_and_nothing_comes_twice() {
    let (mut rig, b) = bound();
    let op = get_many(&mut rig, b, &["x", "y"]);
    part(&mut rig, "x", 3, 0);
    rig.sent();
    rig.pass(Duration::from_secs(2));
    rig.lose();
    rig.pass(Duration::from_millis(1));
    rig.establish();
    part(&mut rig, "x", 4, 0);
    part(&mut rig, "y", 7, 4);
    end(&mut rig, 0, 7, 7);
    assert_eq!(found(&rig, op), (vec!["x@4".into(), "y@7".into()], Some(7)));
}

#[test]
fn an_answer_with_a_hole_is_asked_for_again() {
    let (mut rig, b) = bound();
    let op = get_many(&mut rig, b, &["x", "y"]);
    part(&mut rig, "y", 7, 4);
    rig.sent();
    rig.pass(Duration::from_millis(300));
    part(&mut rig, "x", 4, 0);
    part(&mut rig, "y", 7, 4);
    end(&mut rig, 0, 7, 7);
    assert_eq!(found(&rig, op).0, ["x@4", "y@7"]);
}

#[test]
fn servers_without_batches_are_asked_key_by_key_from_then_on() {
    let (mut rig, b) = bound();
    for round in 0..2 {
        let op = get_many(&mut rig, b, &["x", "y"]);
        if round == 0 {
            rig.answer_status("DIRECT.GET.KV_b ", "408 Empty Request");
        }
        for (key, sequence) in [("x", 3), ("y", 4)] {
            let headers = format!(
                "NATS/1.0\r\nNats-Stream: KV_b\r\nNats-Subject: $KV.b.{key}\r\nNats-Sequence: {sequence}\r\n\r\n"
            );
            reply(&mut rig, &format!("DIRECT.GET.KV_b.$KV.b.{key} "), &headers, "v");
        }
        assert_eq!(found(&rig, op), (vec!["x@3".into(), "y@4".into()], None));
        assert_eq!(rig.sent().contains("multi_last"), round == 0);
    }
}

#[test]
fn wildcards_that_match_too_much_go_over_a_consumer() {
    let (mut rig, b) = bound();
    let op = get_many(&mut rig, b, &["k.>"]);
    rig.answer_status("DIRECT.GET", "413 Too Many Results");
    assert!(rig.written.contains("CONSUMER.CREATE.KV_b."), "{}", rig.written);
    rig.answer("CONSUMER.CREATE", "{\"num_pending\":0,\"delivered\":{\"stream_seq\":0}}");
    assert_eq!(found(&rig, op), (vec![], None));
}

#[test]
fn wildcards_and_some_keys_are_one_picture() {
    let (mut rig, b) = bound();
    let op = get_many(&mut rig, b, &["y", "k.>", "x"]);
    assert!(rig.written.contains("{\"multi_last\":[\"$KV.b.k.>\",\"$KV.b.x\",\"$KV.b.y\"]}"), "{}", rig.written);
    part(&mut rig, "y", 3, 0);
    part(&mut rig, "k.a", 5, 3);
    end(&mut rig, 0, 5, 9);
    assert_eq!(found(&rig, op), (vec!["k.a@5".into(), "y@3".into()], Some(9)));

    // Too much together: the wildcard goes over a consumer, and the keys are still asked for.
    let op = get_many(&mut rig, b, &["y", "k.>"]);
    rig.answer_status("DIRECT.GET", "413 Too Many Results");
    rig.answer("CONSUMER.CREATE", "{\"num_pending\":0,\"delivered\":{\"stream_seq\":0}}");
    assert!(rig.written.contains("{\"multi_last\":[\"$KV.b.y\"]}"), "{}", rig.written);
    part(&mut rig, "y", 3, 0);
    end(&mut rig, 0, 3, 9);
    assert_eq!(found(&rig, op), (vec!["y@3".into()], None));
}

#[test]
fn a_replica_that_lags_behind_our_own_write_is_not_believed() {
    let (mut rig, b) = bound();
    let put = rig.call(|c, now| c.put(b, "x", b"v", None, None, now)).expect("put");
    rig.answer("$KV.b.x", "{\"stream\":\"KV_b\",\"seq\":9}");
    assert_eq!(rig.result(put), &Ok(Outcome::Revision(9)));
    rig.sent();
    let stored = |sequence: u64| {
        format!(
            "{{\"message\":{{\"subject\":\"$KV.b.x\",\"seq\":{sequence},\"data\":\"bmV3\",\"time\":\"2026-11-23T03:37:44Z\"}}}}"
        )
    };

    let get = rig.call(|c, now| c.get(b, "x", None, None, now)).expect("get");
    rig.answer_status("DIRECT.GET", "404 Message Not Found");
    rig.answer("STREAM.MSG.GET", &stored(9));
    assert!(matches!(rig.result(get), Ok(Outcome::Entry(entry)) if entry.revision == 9));
    rig.sent();

    let many = get_many(&mut rig, b, &["x", "y"]);
    part(&mut rig, "x", 5, 0);
    end(&mut rig, 0, 5, 5);
    rig.answer("STREAM.MSG.GET", &stored(9));
    assert_eq!(found(&rig, many), (vec!["x@9".into()], None));
    rig.sent();

    // The bucket was restored from a backup: the leader is right, whatever was seen before.
    let get = rig.call(|c, now| c.get(b, "x", None, None, now)).expect("get");
    rig.answer_status("DIRECT.GET", "404 Message Not Found");
    rig.answer("STREAM.MSG.GET", "{\"error\":{\"code\":404,\"err_code\":10037,\"description\":\"no message found\"}}");
    assert_eq!(rig.result(get).as_ref().expect_err("none").code, ErrorCode::KeyNotFound);
    let get = rig.call(|c, now| c.get(b, "x", None, None, now)).expect("get");
    rig.answer_status("DIRECT.GET", "404 Message Not Found");
    assert!(rig.is_done(get));

    // A replica that still has what the leader no longer has is behind as before.
    rig.sent();
    let many = get_many(&mut rig, b, &["x", "y"]);
    part(&mut rig, "x", 5, 0);
    end(&mut rig, 0, 5, 5);
    rig.answer("STREAM.MSG.GET", "{\"error\":{\"code\":404,\"err_code\":10037,\"description\":\"no message found\"}}");
    assert_eq!(found(&rig, many), (vec![], None));
}

/// A put that was acknowledged with this revision.
fn written(rig: &mut Rig, bucket: BucketId, key: &str, revision: u64) {
    let put = rig.call(|c, now| c.put(bucket, key, b"v", None, None, now)).expect("put");
    rig.answer(&format!("$KV.b.{key} "), &format!("{{\"stream\":\"KV_b\",\"seq\":{revision}}}"));
    assert_eq!(rig.result(put), &Ok(Outcome::Revision(revision)));
    rig.sent();
}

#[test]
fn a_key_of_an_earlier_page_that_is_stale_is_not_believed_either() {
    let (mut rig, b) = bound();
    written(&mut rig, b, "x", 9);
    let op = get_many(&mut rig, b, &["x", "y"]);
    part(&mut rig, "x", 5, 0);
    end(&mut rig, 1, 5, 7);
    part(&mut rig, "y", 8, 0);
    end(&mut rig, 0, 8, 8);
    assert!(rig.written.contains("STREAM.MSG.GET"), "x is older than what was written: {}", rig.written);
    assert!(!rig.is_done(op));
}

#[test]
fn wildcards_are_not_answered_by_a_replica_that_lags_behind() {
    let (mut rig, b) = bound();
    written(&mut rig, b, "x", 9);
    for answer in ["204 EOB\r\nNats-Num-Pending: 0\r\nNats-Last-Sequence: 3\r\nNats-UpTo-Sequence: 8", "404 No Results"]
    {
        let op = get_many(&mut rig, b, &["*"]);
        if answer.starts_with("204") {
            part(&mut rig, "y", 3, 0);
        }
        rig.answer_status("DIRECT.GET", answer);
        assert!(rig.sent().contains("CONSUMER.CREATE"), "{answer}");
        rig.call(|c, now| c.cancel(op, now));
    }
    let op = get_many(&mut rig, b, &["*"]);
    part(&mut rig, "x", 9, 0);
    end(&mut rig, 0, 9, 9);
    assert_eq!(found(&rig, op), (vec!["x@9".into()], Some(9)));
}

#[test]
fn what_is_stored_of_many_makes_the_end_of_all_a_maybe() {
    let (mut rig, b) = bound();
    let op = rig.call(|c, now| c.put_many(b, &[("x", b"1"), ("y", b"2")], None, now)).expect("put_many");
    rig.answer("$KV.b.x ", "{\"stream\":\"KV_b\",\"seq\":1}");
    rig.answer_status("$KV.b.y ", "503");
    rig.call(|c, now| c.cancel(op, now));
    assert!(rig.result(op).as_ref().expect_err("cancelled").maybe_applied, "x is stored");
}

#[test]
fn an_answer_of_the_leader_that_is_older_than_a_write_takes_nothing_back() {
    let (mut rig, b) = bound();
    written(&mut rig, b, "x", 7);
    let get = rig.call(|c, now| c.get(b, "x", None, None, now)).expect("get");
    rig.answer_status("DIRECT.GET", "404 Message Not Found");
    let reply = rig.reply_of("STREAM.MSG.GET"); // asked before the next write, answered after it
    written(&mut rig, b, "x", 9);
    let old = "{\"message\":{\"subject\":\"$KV.b.x\",\"seq\":7,\"data\":\"djI=\",\"time\":\"2026-11-23T03:36:14Z\"}}";
    rig.receive(format!("MSG {reply} 1 {}\r\n{old}\r\n", old.len()));
    assert!(matches!(rig.result(get), Ok(Outcome::Entry(entry)) if entry.revision == 7));
    rig.call(|c, now| c.get(b, "x", None, None, now)).expect("get");
    rig.answer_status("DIRECT.GET", "404 Message Not Found");
    assert!(rig.written.contains("STREAM.MSG.GET"), "9 is known: {}", rig.written);
}

#[test]
#[cfg_attr(miri, ignore = "that many take minutes there")]
fn put_many_has_a_result_for_each_key_whatever_happens_to_the_connection() {
    let (mut rig, b) = bound();
    let items: Vec<(String, Vec<u8>)> = (0..1500).map(|i| (format!("k{i}"), vec![b'v'])).collect();
    let items: Vec<(&str, &[u8])> = items.iter().map(|(key, value)| (key.as_str(), value.as_slice())).collect();
    let op = rig.call(|c, now| c.put_many(b, &items, None, now)).expect("put_many");
    assert_eq!(rig.written.matches("PUB $KV.b.k").count(), 1024, "in flight");
    rig.answer("$KV.b.k0 ", "{\"stream\":\"KV_b\",\"seq\":1}");
    rig.answer(
        "$KV.b.k1 ",
        "{\"error\":{\"code\":400,\"err_code\":10054,\"description\":\"message size exceeds maximum allowed\"}}",
    );
    rig.sent();
    rig.pass(Duration::from_secs(2));
    rig.lose();
    rig.pass(Duration::from_millis(1));
    rig.establish();
    assert_eq!(rig.written.matches("PUB $KV.b.k").count(), 474, "what was not sent goes on");
    for i in 1026..1500 {
        rig.answer(&format!("$KV.b.k{i} "), &format!("{{\"stream\":\"KV_b\",\"seq\":{i}}}"));
    }
    let Ok(Outcome::Written(results)) = rig.result(op) else { panic!() };
    let text: Vec<String> = results
        .iter()
        .map(|result| match result {
            Ok(revision) => revision.to_string(),
            Err(error) => format!("{} {}", error.code.name(), error.maybe_applied),
        })
        .collect();
    assert_eq!(text[..3], ["1", "TOO_LARGE false", "DISCONNECTED true"]);
    assert_eq!(text[1025..1027], ["DISCONNECTED true", "1026"]);
}

#[test]
#[cfg_attr(miri, ignore = "that many take minutes there")]
fn put_many_gives_up_when_nothing_moves() {
    let (mut rig, b) = bound();
    let items: Vec<String> = (0..3000).map(|i| format!("k{i}")).collect();
    let items: Vec<(&str, &[u8])> = items.iter().map(|key| (key.as_str(), &b"v"[..])).collect();
    let op = rig.call(|c, now| c.put_many(b, &items, Some(Duration::from_secs(2)), now)).expect("put_many");
    rig.pass(Duration::from_secs(3));
    let Ok(Outcome::Written(results)) = rig.result(op) else { panic!() };
    let is = |at: usize| results[at].as_ref().map_err(|error| (error.code, error.maybe_applied));
    assert_eq!((is(0), is(2999)), (Err((ErrorCode::Timeout, true)), Err((ErrorCode::Timeout, false))));
}

#[test]
fn cancelling_a_call_of_many_ends_its_parts() {
    let (mut rig, b) = bound();
    let op = rig.call(|c, now| c.put_many(b, &[("a", b"1"), ("b", b"2")], None, now)).expect("put_many");
    rig.call(|c, now| c.cancel(op, now));
    let error = rig.result(op).as_ref().expect_err("cancelled");
    assert_eq!((error.code, error.maybe_applied), (ErrorCode::Cancelled, true));
    rig.pass(Duration::from_secs(10));
    assert_eq!(rig.events.iter().filter(|event| matches!(event, Event::Done { .. })).count(), 1);
}

/// Answers the newest create of a consumer, and delivers these keys at these revisions to it.
fn deliver(rig: &mut Rig, keys: &[(&str, u64)]) {
    let line = rig.written.lines().rev().find(|line| line.starts_with("SUB ")).expect("SUB");
    let sid = line.split(' ').nth(2).expect("sid").to_string();
    rig.answer("CONSUMER.CREATE", &format!("{{\"num_pending\":{},\"delivered\":{{\"stream_seq\":0}}}}", keys.len()));
    for (at, (key, revision)) in keys.iter().enumerate() {
        let pending = keys.len() - at - 1;
        let ack = format!("$JS.ACK.KV_b.c.1.{revision}.{}.1795405052788098189.{pending}", at + 1);
        rig.receive(format!("MSG $KV.b.{key} {sid} {ack} 0\r\n\r\n"));
    }
}

#[test]
fn clear_takes_only_what_it_listed() {
    let (mut rig, b) = bound();
    let op = rig.call(|c, now| c.clear(b, "a", None, now)).expect("clear");
    assert!(rig.written.contains("\"filter_subjects\":[\"$KV.b.a\",\"$KV.b.a.>\"]"), "{}", rig.written);
    deliver(&mut rig, &[("a", 4), ("a.b", 6)]);
    let sent = rig.written.clone();
    assert!(sent.contains("KV-Operation: PURGE") && sent.contains("Nats-Expected-Last-Subject-Sequence: 4"), "{sent}");
    rig.answer("$KV.b.a ", "{\"stream\":\"KV_b\",\"seq\":10}");
    rig.answer(
        "$KV.b.a.b ",
        "{\"error\":{\"code\":400,\"err_code\":10071,\"description\":\"wrong last sequence: 9\"}}",
    );
    assert_eq!(rig.result(op), &Ok(Outcome::Purged(1)), "a.b was written meanwhile, and stays");
    assert!(rig.events.iter().any(|event| matches!(event, Event::Progress { done: 2, total: 2, .. })));
}

#[test]
fn clear_says_how_far_it_came() {
    let (mut rig, b) = bound();
    let op = rig.call(|c, now| c.clear(b, "*", None, now)).expect("clear");
    deliver(&mut rig, &[("a", 4), ("b", 6)]);
    rig.answer("$KV.b.a ", "{\"stream\":\"KV_b\",\"seq\":10}");
    rig.answer("$KV.b.b ", "{\"error\":{\"code\":503,\"err_code\":10077,\"description\":\"maximum bytes exceeded\"}}");
    let error = rig.result(op).as_ref().expect_err("full");
    assert_eq!(error.code, ErrorCode::BucketFull);
    assert!(error.message.starts_with("1 of 2 keys were cleared; "), "{error}");
}

#[test]
fn touch_writes_what_is_there_now() {
    let mut rig = Rig::connected();
    let op = rig.call(|c, now| c.open("b", &HandleOptions::default(), None, now)).expect("open");
    rig.answer("STREAM.INFO", "{\"config\":{\"max_msgs_per_subject\":1,\"allow_direct\":true,\"allow_msg_ttl\":true}}");
    let Ok(Outcome::Opened(opened)) = rig.result(op).clone() else { panic!() };
    let touch = rig.call(|c, now| c.touch(opened.bucket, "k", Duration::from_millis(1500), None, now)).expect("touch");
    let stored = |sequence: u64, data: &str| {
        format!(
            "{{\"message\":{{\"subject\":\"$KV.b.k\",\"seq\":{sequence},\"data\":\"{data}\",\"time\":\"2026-11-23T03:37:44Z\"}}}}"
        )
    };
    rig.answer("STREAM.MSG.GET", &stored(3, "b25l"));
    rig.answer("$KV.b.k ", "{\"error\":{\"code\":400,\"err_code\":10071,\"description\":\"wrong last sequence: 5\"}}");
    rig.answer("STREAM.MSG.GET", &stored(5, "dHdv"));
    let sent = rig.written.clone();
    assert!(sent.contains("Nats-TTL: 1500ms") && sent.contains("Sequence: 5") && sent.ends_with("two\r\n"), "{sent}");
    rig.answer("$KV.b.k ", "{\"stream\":\"KV_b\",\"seq\":6}");
    assert_eq!(rig.result(touch), &Ok(Outcome::Revision(6)));
}

#[test]
#[cfg_attr(miri, ignore = "that many take minutes there")]
fn a_watch_over_several_consumers_is_caught_up_once_and_reset_once() {
    let (mut rig, b) = bound();
    let filters: Vec<String> = (0..300).map(|i| format!("k{i}")).collect();
    let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
    let watch = rig.call(|c, now| c.watch(b, &filters, WatchOptions::default(), now)).expect("watch");
    let creates: Vec<(String, String)> = requests(&rig, "CONSUMER.CREATE");
    let sids: Vec<String> = rig.written.lines().filter_map(|l| l.strip_prefix("SUB ")).map(String::from).collect();
    let sid = |at: usize| sids[at].split(' ').nth(1).expect("sid").to_string();
    assert_eq!((creates.len(), sids.len()), (2, 2));
    let created = "{\"num_pending\":1,\"delivered\":{\"stream_seq\":0}}";
    for (_, inbox) in &creates {
        assert!(!rig.events.iter().any(|event| matches!(event, Event::WatchOpen { .. })), "not before all are open");
        rig.receive(format!("MSG {inbox} 1 {}\r\n{created}\r\n", created.len()));
    }
    assert!(rig.events.iter().any(|event| matches!(event, Event::WatchOpen { result: Ok(()), .. })));
    let ack = |revision: u64| format!("$JS.ACK.KV_b.c.1.{revision}.1.1795405052788098189.0");
    rig.receive(format!("MSG $KV.b.k299 {} {} 1\r\nv\r\n", sid(1), ack(7)));
    assert_eq!(rig.items(watch).len(), 1, "one of the two is not caught up");
    rig.receive(format!("MSG $KV.b.k0 {} {} 1\r\nv\r\n", sid(0), ack(4)));
    let items = rig.items(watch);
    assert!(matches!(&items[..], [WatchItem::Entry(entry), WatchItem::CaughtUp] if entry.revision == 4), "{items:?}");
    rig.call(|c, now| c.watch_stop(watch, now));
    assert_eq!(requests(&rig, "CONSUMER.DELETE").len(), 2);
}

#[test]
fn a_consumer_that_is_made_late_knows_the_bucket_that_the_others_are_of() {
    let mut rig = Rig::new(Config { max_filters: 1, ..Config::default() });
    rig.establish();
    let b = rig.client.bind("b", &HandleOptions::default()).expect("bind");
    rig.sent();
    let watch = rig.call(|c, now| c.watch(b, &["x", "y"], WatchOptions::default(), now)).expect("watch");
    let creates = requests(&rig, "CONSUMER.CREATE");
    let created = "{\"num_pending\":1,\"delivered\":{\"stream_seq\":0},\"created\":\"2026-11-23T10:00:00Z\"}";
    rig.receive(format!("MSG {} 1 {}\r\n{created}\r\n", creates[0].1, created.len()));
    let sid =
        rig.written.lines().find_map(|line| line.strip_prefix("SUB ")?.split(' ').nth(1)).expect("sid").to_owned();
    rig.receive(format!("MSG $KV.b.x {sid} $JS.ACK.KV_b.c.1.30.1.1795405052788098189.0 1\r\nv\r\n"));
    assert!(matches!(&rig.items(watch)[..], [WatchItem::Entry(entry)] if entry.revision == 30));

    rig.answer_status("CONSUMER.CREATE", "503");
    rig.sent();
    rig.pass(Duration::from_secs(2));
    assert!(!rig.written.contains("SUB "), "what it delivers may be of another bucket: {}", rig.written);
    rig.answer("CONSUMER.CREATE", created);
    rig.answer("STREAM.INFO", "{\"created\":\"2026-11-23T11:00:00Z\",\"state\":{\"last_seq\":1}}");
    assert!(matches!(&rig.items(watch)[..], [WatchItem::Reset]), "before anything of the new one");
    assert_eq!(requests(&rig, "CONSUMER.CREATE").len(), 3, "both begin anew: {}", rig.written);
}

/// Subject and reply subject of all requests whose line has this.
fn requests(rig: &Rig, part: &str) -> Vec<(String, String)> {
    let lines = rig.written.lines().filter(|line| line.contains("PUB ") && line.contains(part));
    lines
        .map(|line| {
            let mut fields = line.split(' ').skip(1).map(String::from);
            (fields.next().expect("subject"), fields.next().expect("reply"))
        })
        .collect()
}

#[test]
fn what_has_many_answers_is_not_asked_again_for_a_question_before_it() {
    let (mut rig, b) = bound();
    let op = get_many(&mut rig, b, &["*"]);
    rig.answer_status("DIRECT.GET", "503");
    rig.answer("STREAM.INFO", "{\"config\":{\"max_msgs_per_subject\":1,\"allow_direct\":true}}");
    rig.pass(Duration::from_millis(900));
    let asked = |rig: &Rig| rig.written.matches("DIRECT.GET").count();
    assert_eq!(asked(&rig), 2, "{}", rig.written);
    part(&mut rig, "x", 8, 0);
    rig.pass(Duration::from_secs(2));
    assert_eq!(asked(&rig), 2, "a second copy of its answers would mix with the first: {}", rig.written);
    part(&mut rig, "y", 9, 8);
    end(&mut rig, 0, 9, 9);
    assert_eq!(found(&rig, op).0, ["x@8", "y@9"]);
}

fn history(rig: &mut Rig, bucket: BucketId) -> OpId {
    rig.call(|c, now| c.history(bucket, "k", None, now)).expect("history")
}

#[test]
fn a_history_that_does_not_fit_one_answer_is_read_by_a_consumer() {
    let (mut rig, b) = bound();
    history(&mut rig, b);
    part(&mut rig, "k", 3, 0);
    end(&mut rig, 1, 3, 0);
    assert_eq!(rig.written.matches("DIRECT.GET").count(), 1, "the rest could be of another bucket: {}", rig.written);
    assert!(rig.written.contains("CONSUMER.CREATE.KV_b"), "{}", rig.written);
}

#[test]
fn a_history_that_is_empty_after_a_lost_connection_is_empty() {
    let (mut rig, b) = bound();
    let op = history(&mut rig, b);
    part(&mut rig, "k", 3, 0);
    rig.sent();
    rig.pass(Duration::from_secs(2));
    rig.lose();
    rig.pass(Duration::from_millis(1));
    rig.establish();
    rig.answer_status("DIRECT.GET", "404 Message Not Found");
    assert_eq!(rig.result(op).as_ref().expect_err("gone").code, ErrorCode::KeyNotFound);
}
