//! A rolling upgrade: each server of a cluster is told to shut down, and no write is lost or left in doubt.

use std::time::{Duration, Instant as Clock};

use natskv_core::{
    BucketConfig, Compare, Config, HandleOptions, Notice, OnDrift, Outcome, State, WatchItem, WatchOptions,
};
use natskv_kit::{live::Live, proof::GRACE};

use crate::started;

#[test]
fn a_server_that_shuts_down_is_left_in_time() {
    started(&["cluster"], |proof| {
        let first = format!("nats://127.0.0.1:{}", proof.servers[0].port);
        let mut live = Live::new(Config { servers: vec![first], ..Config::default() }).expect("config");
        live.run(|c, now| c.ready(None, now)).expect("connect");
        let (config, options) =
            (BucketConfig { replicas: Some(3), ..BucketConfig::new("b") }, HandleOptions::default());
        let long = Some(Duration::from_secs(20));
        let opened = live
            .run(|c, now| c.create_bucket(&config, &options, Compare::All, OnDrift::Error, long, now))
            .expect("bucket");
        let Outcome::Opened(opened) = opened else { panic!("{opened:?}") };
        let b = opened.bucket;
        let options = WatchOptions { updates_only: true, timeout: long, ..WatchOptions::default() };
        let now = live.now();
        let watch = live.client.watch(b, &[], options, now).expect("watch");
        while !live.opened.contains_key(&watch.0) {
            live.turn(Duration::from_millis(50));
        }
        assert_eq!(live.opened[&watch.0], Ok(()));
        live.until_proven();

        proof.servers[0].signal("USR2").expect("lame duck");
        let told = Clock::now();
        let mut number = 0;
        let has_left = |live: &Live| live.states.iter().filter(|state| **state == State::Connected).count() == 2;
        while !has_left(&live) {
            assert!(told.elapsed() < Duration::from_secs(GRACE), "left too late: {:?}", live.states);
            number += 1;
            let key = format!("k{number}");
            live.run(|c, now| c.put(b, &key, b"x", None, long, now)).unwrap_or_else(|error| panic!("{key}: {error}"));
        }
        assert!(live.notices.contains(&Notice::LameDuck));
        let lost = live.states.iter().find_map(|state| match state {
            State::Disconnected(error) => Some(error.message.to_string()),
            _ => None,
        });
        assert!(lost.as_ref().is_some_and(|text| text.contains("lame duck")), "{lost:?}");
        assert_ne!(live.client.connected_url(), format!("nats://127.0.0.1:{}", proof.servers[0].port));
        live.run(|c, now| c.put(b, "last", b"x", None, long, now)).expect("goes on");

        let mut seen = 0;
        loop {
            match live.next(watch, Duration::from_secs(20)) {
                Some(WatchItem::Entry(entry)) if entry.key() == "last" => break,
                Some(WatchItem::Entry(_)) => seen += 1,
                Some(WatchItem::CaughtUp) => {}
                other => panic!("{other:?} after {seen} of {number}"),
            }
        }
        assert_eq!(seen, number, "the watch has seen every write");
    });
}
