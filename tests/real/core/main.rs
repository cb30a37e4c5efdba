//! Core itself against a real nats-server, before any binding is in the way.

mod auth;
mod lame_duck;
mod many;
mod permissions;

use std::time::Duration;

use natskv_core::{
    BucketConfig, BucketId, Compare, Config, ErrorCode, HandleOptions, OnDrift, Operation, Outcome, WatchItem,
    WatchOptions,
};
use natskv_kit::{live::Live, proof::Proof, server::Server};

const NO_SERVER: &str = "skipped: no nats-server; set NATSKV_SERVER, or run `cargo xtask setup`";

/// Servers of a kind, or a line that says why there are none.
fn started(kind: &[&str], test: impl FnOnce(&mut Proof)) {
    match Proof::start(kind).expect("server") {
        Some(mut proof) => test(&mut proof),
        None => println!("{NO_SERVER}"),
    }
}

/// A server and a bucket, or a line that says why there is none.
fn with_bucket(config: BucketConfig, test: impl FnOnce(&mut Live, BucketId, &mut Server)) {
    let Some(mut server) = Server::start().expect("server") else {
        println!("{NO_SERVER}");
        return;
    };
    let mut live = Live::connect(server.port, Config::default()).expect("connect");
    let opened = live
        .run(|c, now| c.create_bucket(&config, &HandleOptions::default(), Compare::All, OnDrift::Error, None, now))
        .expect("create");
    let Outcome::Opened(opened) = opened else { panic!("{opened:?}") };
    let bucket = opened.bucket;
    test(&mut live, bucket, &mut server);
}

fn revision(outcome: Outcome) -> u64 {
    let Outcome::Revision(revision) = outcome else { panic!("{outcome:?}") };
    revision
}

#[test]
fn writes_and_reads() {
    with_bucket(BucketConfig { history: Some(5), ..BucketConfig::new("b") }, |live, b, _| {
        assert_eq!(revision(live.run(|c, now| c.put(b, "a", b"1", None, None, now)).expect("put")), 1);
        let Outcome::Entry(entry) = live.run(|c, now| c.get(b, "a", None, None, now)).expect("get") else { panic!() };
        assert_eq!((entry.key(), entry.value(), entry.revision, entry.headers().count()), ("a", &b"1"[..], 1, 0));
        let error = live.run(|c, now| c.create(b, "a", b"2", None, None, now)).expect_err("exists");
        assert_eq!((error.code, error.revision), (ErrorCode::KeyExists, Some(1)));
        assert_eq!(revision(live.run(|c, now| c.update(b, "a", b"2", 1, None, None, now)).expect("update")), 2);
        let error = live.run(|c, now| c.update(b, "a", b"3", 1, None, None, now)).expect_err("stale");
        assert_eq!((error.code, error.revision), (ErrorCode::WrongRevision, Some(2)), "{error}");
        assert_eq!(revision(live.run(|c, now| c.delete(b, "a", None, None, now)).expect("delete")), 3);
        let error = live.run(|c, now| c.get(b, "a", None, None, now)).expect_err("deleted");
        assert_eq!(error.code, ErrorCode::KeyNotFound);
        assert_eq!(revision(live.run(|c, now| c.create(b, "a", b"4", None, None, now)).expect("over marker")), 4);
        let Outcome::Entries(history) = live.run(|c, now| c.history(b, "a", None, now)).expect("history") else {
            panic!()
        };
        assert_eq!(history.iter().map(|e| e.operation).collect::<Vec<_>>()[2], Operation::Delete);
        let Outcome::Entry(old) = live.run(|c, now| c.get(b, "a", Some(2), None, now)).expect("get at") else {
            panic!()
        };
        assert_eq!(old.value(), b"2");
        assert_eq!((old.revision, old.created_ns), (history[1].revision, history[1].created_ns));
        assert_eq!(live.run(|c, now| c.keys(b, &[], None, now)).expect("keys"), Outcome::Names(vec!["a".into()]));
        assert_eq!(
            live.run(|c, now| c.purge_deletes(b, Duration::ZERO, None, now)).expect("purge_deletes"),
            Outcome::Purged(0)
        );
        assert!(matches!(live.run(|c, now| c.flush(None, now)), Ok(Outcome::RoundTrip(_))));
    });
}

#[test]
fn a_watch_outlives_its_server() {
    with_bucket(BucketConfig::new("b"), |live, b, server| {
        live.run(|c, now| c.put(b, "k0", b"0", None, None, now)).expect("put");
        let now = live.now();
        let watch = live.client.watch(b, &[], WatchOptions::default(), now).expect("watch");
        let patience = Duration::from_secs(10);
        assert!(matches!(live.next(watch, patience), Some(WatchItem::Entry(e)) if e.revision == 1));
        assert_eq!(live.next(watch, patience), Some(WatchItem::CaughtUp));
        for round in 1..4_u64 {
            server.restart().expect("restart");
            let key = format!("k{round}");
            // The first write may go into the dead socket: then it says that nobody knows.
            let written = loop {
                match live.run(|c, now| c.put(b, &key, b"x", None, Some(Duration::from_secs(20)), now)) {
                    Ok(outcome) => break revision(outcome),
                    Err(error) => assert!(error.code == ErrorCode::Disconnected && error.maybe_applied, "{error}"),
                }
            };
            let Some(WatchItem::Entry(entry)) = live.next(watch, Duration::from_secs(20)) else {
                panic!("nothing after restart")
            };
            assert_eq!((entry.key(), entry.revision), (key.as_str(), written));
        }
        let now = live.now();
        live.client.watch_stop(watch, now);
        live.run(|c, now| c.flush(None, now)).expect("flush");
    });
}
