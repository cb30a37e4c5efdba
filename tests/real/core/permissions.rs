//! What users with few rights can do, and how they are told what they cannot: the README's lists, on a real server.

use std::time::{Duration, Instant as Clock};

use natskv_core::{
    BucketConfig, BucketId, Compare, Config, Credentials, Error, ErrorCode, HandleOptions, OnDrift, Outcome, WatchItem,
    WatchOptions,
};
use natskv_kit::{
    live::Live,
    proof::{BUCKET, Proof, READ, WRITE},
};

use crate::{revision, started};

/// Far less than the request timeout: a refusal is no silence.
const AT_ONCE: Duration = Duration::from_secs(2);

fn login(proof: &Proof, name: &str) -> (Live, BucketId) {
    let told = proof.describe();
    let user = proof.credentials.iter().find(|credential| credential["user"] == name).expect("a user of this name");
    let credentials = Credentials {
        user: Some(name.into()),
        password: user["password"].as_str().map(Into::into),
        ..Credentials::default()
    };
    let inbox_prefix = if name == "inbox" { "_INBOX_inbox" } else { "_INBOX" };
    let config = Config {
        servers: vec![told["url"].as_str().expect("a URL").into()],
        credentials,
        inbox_prefix: inbox_prefix.into(),
        ..Config::default()
    };
    let mut live = Live::new(config).expect("config");
    live.run(|c, now| c.ready(None, now)).expect("let in");
    let bucket = live.client.bind(BUCKET, &HandleOptions::default()).expect("bind");
    (live, bucket)
}

/// A server whose admin made the bucket, with the keys `pub.a`, `pub.b` and `own`.
fn with_bucket(test: impl FnOnce(&mut Proof)) {
    started(&["permissions"], |proof| {
        let (mut admin, bucket) = login(proof, "admin");
        let config = BucketConfig { history: Some(3), ..BucketConfig::new(BUCKET) };
        let options = HandleOptions::default();
        admin
            .run(|c, now| c.create_bucket(&config, &options, Compare::All, OnDrift::Error, None, now))
            .expect("bucket");
        for key in ["pub.a", "pub.b", "own"] {
            admin.run(|c, now| c.put(bucket, key, b"1", None, None, now)).expect("put");
        }
        test(proof);
    });
}

/// That it is refused at once, and with the subject in the message.
fn is_refused(what: &str, began: Clock, result: Result<Outcome, Error>, subject: &str) {
    let error = result.expect_err(what);
    assert_eq!((error.code, error.maybe_applied), (ErrorCode::Permission, false), "{what}: {error}");
    assert!(error.message.contains(subject), "{what}: {subject} in {error}");
    assert!(began.elapsed() < AT_ONCE, "{what} took {:?}", began.elapsed());
}

fn reads(live: &mut Live, b: BucketId) {
    let Outcome::Entry(entry) = live.run(|c, now| c.get(b, "own", None, None, now)).expect("get") else { panic!() };
    assert_eq!(entry.value(), b"1");
    live.run(|c, now| c.get(b, "own", Some(entry.revision), None, now)).expect("get at a revision");
    live.run(|c, now| c.entry(b, "own", None, now)).expect("entry");
    live.run(|c, now| c.history(b, "own", None, now)).expect("history");
    let Outcome::Names(keys) = live.run(|c, now| c.keys(b, &[], None, now)).expect("keys") else { panic!() };
    assert_eq!(keys, ["own", "pub.a", "pub.b"]);
    live.run(|c, now| c.keys(b, &["pub.*", "own"], None, now)).expect("keys by two filters");
    live.run(|c, now| c.get_many(b, &["own", "pub.a"], None, now)).expect("get_many");
    live.run(|c, now| c.status(b, None, now)).expect("status");
    live.run(|c, now| c.open(BUCKET, &HandleOptions::default(), None, now)).expect("open");
    let now = live.now();
    let watch = live.client.watch(b, &["pub.>"], WatchOptions::default(), now).expect("watch");
    for _ in 0..2 {
        assert!(matches!(live.next(watch, AT_ONCE), Some(WatchItem::Entry(_))));
    }
    assert_eq!(live.next(watch, AT_ONCE), Some(WatchItem::CaughtUp));
    let now = live.now();
    live.client.watch_stop(watch, now);
    live.run(|c, now| c.flush(None, now)).expect("flush");
    assert_eq!(live.notices, [], "nothing was refused on the way");
}

#[test]
fn a_reader_reads_and_does_not_write() {
    with_bucket(|proof| {
        let (mut live, b) = login(proof, "reader");
        reads(&mut live, b);
        for attempt in 0..3 {
            let began = Clock::now();
            let (what, result) = match attempt {
                0 => ("put", live.run(|c, now| c.put(b, "own", b"2", None, None, now))),
                1 => ("create", live.run(|c, now| c.create(b, "own", b"2", None, None, now))),
                _ => ("purge", live.run(|c, now| c.purge(b, "own", None, None, None, now))),
            };
            is_refused(what, began, result, "\"$KV.proof.own\"");
        }
        let began = Clock::now();
        is_refused(
            "delete_bucket",
            began,
            live.run(|c, now| c.delete_bucket(BUCKET, None, now)),
            "STREAM.DELETE.KV_proof",
        );
        reads(&mut live, b);
    });
}

#[test]
fn a_writer_writes_too_and_does_not_change_the_bucket() {
    with_bucket(|proof| {
        for name in ["writer", "inbox"] {
            let (mut live, b) = login(proof, name);
            reads(&mut live, b);
            let first = revision(live.run(|c, now| c.create(b, "new", b"1", None, None, now)).expect("create"));
            live.run(|c, now| c.update(b, "new", b"2", first, None, None, now)).expect("update");
            live.run(|c, now| c.delete(b, "new", None, None, now)).expect("delete");
            live.run(|c, now| c.create(b, "new", b"3", None, None, now)).expect("create over a marker");
            live.run(|c, now| c.purge(b, "new", None, None, None, now)).expect("purge");
            live.run(|c, now| c.purge_deletes(b, Duration::ZERO, None, now)).expect("purge_deletes");
            live.run(|c, now| c.flush(None, now)).expect("flush");
            assert_eq!(live.notices, [], "{name}: nothing was refused on the way");
            let began = Clock::now();
            let config = BucketConfig { history: Some(5), ..BucketConfig::new(BUCKET) };
            let changed = live.run(|c, now| c.update_bucket(&config, &HandleOptions::default(), None, now));
            is_refused("update_bucket", began, changed, "STREAM.UPDATE.KV_proof");
        }
    });
}

#[test]
fn gets_can_be_allowed_key_by_key() {
    with_bucket(|proof| {
        let (mut live, b) = login(proof, "narrow");
        live.run(|c, now| c.get(b, "pub.a", None, None, now)).expect("allowed");
        for (what, subject) in [("get", "$KV.proof.own"), ("keys", "CONSUMER.CREATE"), ("open", "STREAM.INFO.KV_proof")]
        {
            let began = Clock::now();
            let result = match what {
                "get" => live.run(|c, now| c.get(b, "own", None, None, now)),
                "keys" => live.run(|c, now| c.keys(b, &[], None, now)),
                _ => live.run(|c, now| c.open(BUCKET, &HandleOptions::default(), None, now)),
            };
            is_refused(what, began, result, subject);
        }
    });
}

#[test]
fn an_inbox_that_is_not_allowed_says_what_to_set() {
    with_bucket(|proof| {
        let told = proof.describe();
        let user = &proof.credentials[4];
        assert_eq!(user["user"], "inbox");
        let credentials = Credentials {
            user: Some("inbox".into()),
            password: user["password"].as_str().map(Into::into),
            ..Credentials::default()
        };
        let servers = vec![told["url"].as_str().expect("a URL").into()];
        let mut live = Live::new(Config { servers, credentials, ..Config::default() }).expect("config");
        let b = live.client.bind(BUCKET, &HandleOptions::default()).expect("bind");
        let began = Clock::now();
        is_refused("get", began, live.run(|c, now| c.get(b, "own", None, None, now)), "inbox_prefix");
    });
}

#[test]
fn a_large_read_without_flow_control_fails_instead_of_stalling() {
    with_bucket(|proof| {
        let (mut admin, bucket) = login(proof, "admin");
        let value = vec![b'x'; 4000];
        for number in 0..1500 {
            let key = format!("many.{number}");
            admin.begin(|c, now| c.put(bucket, &key, &value, None, None, now)).expect("put");
        }
        admin.run(|c, now| c.flush(None, now)).expect("flush");
        admin.run(|c, now| c.put(bucket, "last", b"", None, None, now)).expect("put");
        let (mut reader, b) = login(proof, "reader");
        let Outcome::Names(keys) = reader.run(|c, now| c.keys(b, &[], None, now)).expect("keys") else { panic!() };
        assert_eq!(keys.len(), 1504, "a reader with it gets all");
        let (mut live, b) = login(proof, "silent");
        let now = live.now();
        let watch = live.client.watch(b, &[], WatchOptions::default(), now).expect("watch");
        let error = loop {
            match live.next(watch, Duration::from_secs(10)).expect("an end") {
                WatchItem::Ended(error) => break error,
                WatchItem::CaughtUp => panic!("all came without flow control"),
                _ => {}
            }
        };
        assert!(error.code == ErrorCode::Permission && error.message.contains("$JS.FC.KV_proof"), "{error}");
    });
}

#[test]
fn a_subscription_too_many_is_told_to_whom_it_was_for() {
    started(&["three-subscriptions"], |proof| {
        let port = proof.servers[0].port;
        let mut live = Live::connect(port, Config::default()).expect("connect");
        let (config, options) = (BucketConfig::new("b"), HandleOptions::default());
        live.run(|c, now| c.create_bucket(&config, &options, Compare::All, OnDrift::Error, None, now)).expect("bucket");
        let b = live.client.bind("b", &options).expect("bind");
        let mut watches = Vec::new();
        for _ in 0..4 {
            let now = live.now();
            watches.push(live.client.watch(b, &[], WatchOptions::default(), now).expect("watch"));
        }
        live.run(|c, now| c.flush(None, now)).expect("flush");
        let deadline = Clock::now() + AT_ONCE;
        while live.opened.len() < 4 && Clock::now() < deadline {
            live.turn(Duration::from_millis(50));
        }
        let opened: Vec<_> = watches.iter().map(|watch| live.opened.get(&watch.0).cloned()).collect();
        for (number, result) in opened.iter().enumerate() {
            match result {
                Some(Ok(())) => assert!(number < 2, "one of three is the inbox's: {opened:?}"),
                Some(Err(error)) => {
                    assert!(number >= 2 && error.message.contains("maximum subscriptions"), "{opened:?}")
                }
                None => panic!("no word of watch {number}: {opened:?}"),
            }
        }
    });
}

#[test]
fn the_readme_lists_what_the_tests_prove() {
    let readme = include_str!("../../../README.md");
    for subject in READ.iter().chain(WRITE) {
        let line = subject.replace("proof", "<bucket>");
        assert!(readme.contains(&line), "README.md does not list {line}");
    }
}
