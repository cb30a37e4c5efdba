//! Reads and writes of many keys, codecs, TTLs and drift against a real nats-server. `NATSKV_SERVER` may be an old one: what it lacks
//! is refused clearly, the rest gives the same results.

use std::{collections::BTreeMap, time::Duration};

use natskv_core::{
    BucketConfig, BucketId, Client, Compare, Error, ErrorCode, HandleOptions, Instant, KeyPolicy, OnDrift, OpId,
    Opened, Outcome, Pairs, Storage, WatchItem, WatchOptions,
};
use natskv_kit::live::Live;

use crate::{revision, with_bucket};

fn memory(bucket: &str, history: u8) -> BucketConfig {
    BucketConfig { history: Some(history), storage: Some(Storage::Memory), ..BucketConfig::new(bucket) }
}

fn many(live: &mut Live, bucket: BucketId, keys: &[&str]) -> (BTreeMap<String, String>, Option<u64>) {
    let outcome = live.run(|c, now| c.get_many(bucket, keys, None, now)).expect("get_many");
    let Outcome::Many { entries, as_of } = outcome else { panic!("{outcome:?}") };
    let text =
        |entry: &natskv_core::Entry| (entry.key().to_string(), String::from_utf8_lossy(entry.value()).into_owned());
    let count = entries.len();
    let found: BTreeMap<_, _> = entries.iter().map(text).collect();
    assert_eq!(found.len(), count, "each key once");
    (found, as_of)
}

fn put_all(live: &mut Live, bucket: BucketId, items: &[(String, String)]) -> Vec<Result<u64, Error>> {
    let items: Vec<(&str, &[u8])> = items.iter().map(|(key, value)| (key.as_str(), value.as_bytes())).collect();
    let outcome = live.run(|c, now| c.put_many(bucket, &items, None, now)).expect("put_many");
    let Outcome::Written(results) = outcome else { panic!("{outcome:?}") };
    results
}

fn open(
    live: &mut Live,
    start: impl FnOnce(&mut Client, Instant) -> Result<OpId, Error>,
) -> Result<Box<Opened>, Error> {
    match live.run(start)? {
        Outcome::Opened(opened) => Ok(opened),
        other => panic!("{other:?}"),
    }
}

#[test]
fn many_keys_in_one_call() {
    with_bucket(memory("b", 1), |live, b, _| {
        let items: Vec<_> = (0..3000).map(|i| (format!("k.{i}"), format!("v{i}"))).collect();
        let results = put_all(live, b, &items);
        let revisions: Vec<u64> = results.into_iter().map(|result| result.expect("stored")).collect();
        assert_eq!(revisions, (1..=3000).collect::<Vec<_>>(), "in the order given");
        live.run(|c, now| c.delete(b, "k.7", None, None, now)).expect("delete");

        let keys: Vec<&str> = items.iter().map(|(key, _)| key.as_str()).chain(["k.none", "k.1"]).collect();
        let (found, as_of) = many(live, b, &keys);
        assert_eq!(found.len(), 2999);
        assert!(!found.contains_key("k.7") && found["k.2999"] == "v2999");
        let (_, of_one) = many(live, b, &["k.5"]);
        assert_eq!(as_of, of_one, "several requests have a moment where one has");
        assert!(as_of.is_none_or(|as_of| as_of == 3001), "{as_of:?}");

        let (few, _) = many(live, b, &["k.5", "k.7", "k.none"]);
        assert_eq!(few.into_iter().collect::<Vec<_>>(), [("k.5".into(), "v5".into())]);
        let (all, as_of) = many(live, b, &["k.*"]);
        assert_eq!((all, as_of), (found.clone(), None), "more than one request may match: over a consumer");
        // Servers before 2.12 lose count of what is pending for filters such as these.
        let crossing = ["k.3", "k.5", "*.9", "k.none"];
        let keys = live.run(|c, now| c.keys(b, &crossing, None, now)).expect("keys");
        assert_eq!(keys, Outcome::Names(vec!["k.3".into(), "k.5".into(), "k.9".into()]));
        let (tens, _) = many(live, b, &["k.1", "k.*.x", ">"]);
        assert_eq!(tens, found);
        assert_eq!(many(live, b, &[]).0.len(), 0);

        assert_eq!(live.run(|c, now| c.count(b, &[], None, now)).expect("count"), Outcome::Count(2999));
        let Outcome::Names(names) = live.run(|c, now| c.keys(b, &["k.>"], None, now)).expect("keys") else { panic!() };
        assert_eq!(names.len(), 2999);
        let filters: Vec<String> = (0..1000).map(|i| format!("k.{i}")).collect();
        let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
        assert_eq!(live.run(|c, now| c.count(b, &filters, None, now)).expect("count"), Outcome::Count(999));
        let outcome = live.run(|c, now| c.entries(b, &filters, None, now)).expect("entries");
        assert!(matches!(outcome, Outcome::Entries(entries) if entries.len() == 999));

        let outcome = live.run(|c, now| c.clear(b, "k", None, now)).expect("clear");
        assert_eq!(outcome, Outcome::Purged(2999));
        assert_eq!(live.run(|c, now| c.count(b, &[], None, now)).expect("count"), Outcome::Count(0));
        let purged = live.run(|c, now| c.purge_deletes(b, Duration::ZERO, None, now)).expect("purge_deletes");
        assert_eq!(purged, Outcome::Purged(3000));
    });
}

#[test]
fn bad_keys_send_nothing() {
    with_bucket(memory("b", 1), |live, b, _| {
        let now = live.now();
        let error = live.client.put_many(b, &[("a", b"1"), ("a..b", b"2")], None, now).expect_err("bad key");
        assert_eq!(error.code, ErrorCode::InvalidKey);
        assert_eq!(live.run(|c, now| c.count(b, &[], None, now)).expect("count"), Outcome::Count(0));
        let error = live.client.clear(b, "", None, now).expect_err("no prefix");
        assert_eq!(error.code, ErrorCode::InvalidKey);
    });
}

#[test]
fn history_without_a_consumer() {
    with_bucket(memory("b", 64), |live, b, _| {
        for i in 0..70 {
            live.run(|c, now| c.put(b, "k", format!("{i}").as_bytes(), None, None, now)).expect("put");
            live.run(|c, now| c.put(b, "other", b"x", None, None, now)).expect("put");
        }
        let Outcome::Entries(entries) = live.run(|c, now| c.history(b, "k", None, now)).expect("history") else {
            panic!()
        };
        assert_eq!(entries.len(), 64);
        assert!(entries.iter().enumerate().all(|(i, e)| e.value() == format!("{}", i + 6).as_bytes()));
        assert!(entries.iter().enumerate().all(|(i, e)| e.delta == 63 - i as u64));
        let bound = live.client.bind("b", &HandleOptions { leader_reads: true, ..HandleOptions::default() });
        let leader = bound.expect("bind");
        assert!(matches!(live.run(|c, now| c.get(leader, "k", None, None, now)), Ok(Outcome::Entry(_))));
        assert_eq!(many(live, leader, &["k", "other", "none"]).0.len(), 2);
        let error = live.run(|c, now| c.history(b, "none", None, now)).expect_err("none");
        assert_eq!(error.code, ErrorCode::KeyNotFound);
    });
}

#[test]
fn codecs_are_chosen_by_the_bucket() {
    for codec in [KeyPolicy::Base64, KeyPolicy::Path, KeyPolicy::Escape] {
        let config = BucketConfig { key_codec: Some(codec), ..memory("b", 5) };
        with_bucket(config, |live, b, _| {
            let key = if codec == KeyPolicy::Path { "/users/bob" } else { "users.Bob é*:!" };
            live.run(|c, now| c.create(b, key, b"1", None, None, now)).expect("create");
            live.run(|c, now| c.put(b, key, b"2", None, None, now)).expect("put");
            let opened = open(live, |c, now| c.open("b", &HandleOptions::default(), None, now)).expect("open");
            assert_eq!((opened.bucket, opened.status.keys), (b, codec));
            let Outcome::Entry(entry) = live.run(|c, now| c.get(b, key, None, None, now)).expect("get") else {
                panic!()
            };
            assert_eq!((entry.key(), entry.value()), (key, &b"2"[..]));
            assert_ne!(entry.raw_key(), key);
            assert_eq!(live.run(|c, now| c.keys(b, &[], None, now)).expect("keys"), Outcome::Names(vec![key.into()]));
            assert_eq!(many(live, b, &[key]).0.len(), 1);
            let filter = if codec == KeyPolicy::Path { "/users/*" } else { "users.*" };
            let now = live.now();
            let watch = live.client.watch(b, &[filter], WatchOptions::default(), now).expect("watch");
            let item = live.next(watch, Duration::from_secs(10));
            assert!(matches!(&item, Some(WatchItem::Entry(entry)) if entry.key() == key), "{item:?}");
            let Outcome::Entries(history) = live.run(|c, now| c.history(b, key, None, now)).expect("history") else {
                panic!()
            };
            assert_eq!(history.len(), 2);
            let error = live.run(|c, now| c.create(b, key, b"3", None, None, now)).expect_err("exists");
            assert!(error.message.contains(&format!("{key:?}")), "{error}");
            // Seen without the codec.
            let plain = HandleOptions { keys: Some(KeyPolicy::Permissive), ..HandleOptions::default() };
            let plain = open(live, |c, now| c.open("b", &plain, None, now)).expect("open").bucket;
            assert_ne!(plain, b);
            let stored = entry.raw_key().to_string();
            assert_eq!(live.run(|c, now| c.keys(plain, &[], None, now)).expect("keys"), Outcome::Names(vec![stored]));
        });
    }
    let unknown = Pairs::from_iter([("natskv.key_codec".to_string(), "rot13".to_string())]);
    with_bucket(memory("b", 1), |live, _, _| {
        let config = BucketConfig { metadata: Some(unknown.clone()), ..memory("c", 1) };
        let handle = HandleOptions::default();
        let now = live.now();
        let error = live.client.create_bucket(&config, &handle, Compare::All, OnDrift::Error, None, now);
        assert_eq!(error.expect_err("unknown").code, ErrorCode::Unsupported);
    });
}

#[test]
fn drift_is_an_error_is_told_or_is_mended() {
    with_bucket(memory("b", 1), |live, b, _| {
        let config = memory("b", 5);
        let handle = HandleOptions::default();
        let mut create =
            |on_drift| open(live, |c, now| c.create_bucket(&config, &handle, Compare::All, on_drift, None, now));
        let error = create(OnDrift::Error).expect_err("differs");
        assert!(
            error.code == ErrorCode::BucketExists && error.message.contains("history (is 1, asked for 5)"),
            "{error}"
        );
        let opened = create(OnDrift::Ignore).expect("as it is");
        assert_eq!((opened.bucket, opened.status.history, opened.drift.len()), (b, 1, 1));
        let opened = create(OnDrift::Update).expect("mended");
        assert_eq!((opened.status.history, &opened.drift[..]), (5, &["history (is 1, asked for 5)".to_string()][..]));
        assert!(create(OnDrift::Error).expect("equal now").drift.is_empty());
    });
}

#[test]
fn a_ttl_where_it_is_safe() {
    with_bucket(memory("b", 1), |live, b, _| {
        let ttl = Some(Duration::from_secs(100));
        let error = live.run(|c, now| c.put(b, "k", b"v", ttl, None, now)).expect_err("no limit markers");
        assert_eq!(error.code, ErrorCode::Unsupported);
        assert_eq!(live.run(|c, now| c.count(b, &[], None, now)).expect("count"), Outcome::Count(0));
        let config = BucketConfig { limit_marker_ttl: Some(Duration::from_secs(1)), ..memory("t", 1) };
        let handle = HandleOptions::default();
        let created = open(live, |c, now| c.create_bucket(&config, &handle, Compare::All, OnDrift::Error, None, now));
        let t = match created {
            Ok(opened) => opened.bucket,
            Err(error) => return assert_eq!(error.code, ErrorCode::Unsupported, "{error}"), // an old server
        };
        let first = revision(live.run(|c, now| c.put(t, "k", b"v", ttl, None, now)).expect("put"));
        let Outcome::Entry(entry) = live.run(|c, now| c.get(t, "k", None, None, now)).expect("get") else { panic!() };
        assert_eq!((entry.ttl(), entry.expires_ns), (ttl, Some(entry.created_ns + 100_000_000_000)));
        assert_eq!(entry.remaining_ttl(entry.created_ns + 1_000_000_000), Some(Duration::from_secs(99)));
        let touched = live.run(|c, now| c.touch(t, "k", Duration::from_secs(200), None, now)).expect("touch");
        let touched = revision(touched);
        assert!(touched > first);
        let Outcome::Entry(entry) = live.run(|c, now| c.get(t, "k", None, None, now)).expect("get") else { panic!() };
        assert_eq!((entry.value(), entry.ttl()), (&b"v"[..], Some(Duration::from_secs(200))));
        let error = live.run(|c, now| c.touch(t, "none", Duration::from_secs(2), None, now)).expect_err("no such key");
        assert_eq!(error.code, ErrorCode::KeyNotFound);
        live.run(|c, now| c.update(t, "k", b"w", touched, Some(Duration::from_secs(1)), None, now)).expect("update");

        let kept = BucketConfig { history: Some(3), ..config.clone() };
        let kept = BucketConfig { bucket: "h".into(), ..kept };
        let h = open(live, |c, now| c.create_bucket(&kept, &handle, Compare::All, OnDrift::Error, None, now));
        let h = h.expect("create").bucket;
        let error = live.run(|c, now| c.put(h, "k", b"v", ttl, None, now)).expect_err("older ones would come back");
        assert!(error.code == ErrorCode::Unsupported && error.message.contains("3 revisions"), "{error}");
        live.run(|c, now| c.create(h, "k", b"v", ttl, None, now)).expect("create may");
    });
}

#[test]
fn a_watch_over_several_consumers() {
    with_bucket(memory("b", 1), |live, b, _| {
        let items: Vec<_> = (0..600).map(|i| (format!("k.{i}"), format!("v{i}"))).collect();
        put_all(live, b, &items);
        let mut filters: Vec<String> = (0..598).map(|i| format!("k.{i}")).collect();
        filters.push("*.599".into()); // crosses none of the others
        let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
        let now = live.now();
        let watch = live.client.watch(b, &filters, WatchOptions::default(), now).expect("watch");
        let mut seen = BTreeMap::new();
        let patience = Duration::from_secs(10);
        loop {
            match live.next(watch, patience) {
                Some(WatchItem::Entry(entry)) => assert_eq!(seen.insert(entry.key().to_string(), entry.revision), None),
                Some(WatchItem::CaughtUp) => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(seen.len(), 599);
        for (key, value) in [("k.3", "x"), ("k.598", "not watched"), ("k.599", "y"), ("k.300", "z")] {
            live.run(|c, now| c.put(b, key, value.as_bytes(), None, None, now)).expect("put");
        }
        let mut updates = Vec::new();
        while updates.len() < 3 {
            match live.next(watch, patience) {
                Some(WatchItem::Entry(entry)) => updates.push(entry.key().to_string()),
                other => panic!("{other:?}"),
            }
        }
        updates.sort();
        assert_eq!(updates, ["k.3", "k.300", "k.599"]);
    });
}

#[test]
fn a_read_only_handle_says_so() {
    with_bucket(memory("b", 1), |live, _, _| {
        let handle = HandleOptions { read_only: true, ..HandleOptions::default() };
        let opened = open(live, |c, now| c.open("b", &handle, None, now)).expect("open");
        assert_eq!(opened.status.read_only.as_deref(), Some("it was opened so"));
        let now = live.now();
        let error = live.client.put(opened.bucket, "k", b"v", None, None, now).expect_err("read-only");
        assert!(error.code == ErrorCode::Unsupported && error.message.contains("read-only"), "{error}");
    });
}
