//! Each call in each state: no panic, exactly one Done for what was accepted, silence after the end.

use std::time::Duration;

use natskv_core::{
    Action, BucketConfig, BucketId, Client, Compare, Config, ConnId, Credentials, Error, ErrorCode, Event,
    HandleOptions, Instant, Lost, OnDrift, OpId, Signature, State, WatchId, WatchOptions,
};
use natskv_kit::{
    dice::Dice,
    rig::{INFO, Rig},
};

type Command = fn(&mut Client, BucketId, Instant) -> Result<OpId, Error>;
type Input = fn(&mut Client, ConnId, Instant);

const COMMANDS: &[(&str, Command)] = &[
    ("ready", |c, _, now| c.ready(None, now)),
    ("flush", |c, _, now| c.flush(None, now)),
    ("open", |c, _, now| c.open("b", &HandleOptions::default(), None, now)),
    ("create_bucket", |c, _, now| {
        c.create_bucket(&BucketConfig::new("b"), &HandleOptions::default(), Compare::All, OnDrift::Error, None, now)
    }),
    ("create_bucket with markers", |c, _, now| {
        let config = BucketConfig { limit_marker_ttl: Some(Duration::from_secs(1)), ..BucketConfig::new("b") };
        c.create_bucket(&config, &HandleOptions::default(), Compare::Given, OnDrift::Error, None, now)
    }),
    ("update_bucket", |c, _, now| c.update_bucket(&BucketConfig::new("b"), &HandleOptions::default(), None, now)),
    ("create_or_update_bucket", |c, _, now| {
        c.create_or_update_bucket(&BucketConfig::new("b"), &HandleOptions::default(), None, now)
    }),
    ("delete_bucket", |c, _, now| c.delete_bucket("b", None, now)),
    ("bucket_names", |c, _, now| c.bucket_names(None, now)),
    ("bucket_list", |c, _, now| c.bucket_list(None, now)),
    ("status", |c, b, now| c.status(b, None, now)),
    ("get", |c, b, now| c.get(b, "k", None, None, now)),
    ("get at", |c, b, now| c.get(b, "k", Some(3), None, now)),
    ("entry", |c, b, now| c.entry(b, "k", None, now)),
    ("put", |c, b, now| c.put(b, "k", b"v", None, None, now)),
    ("create", |c, b, now| c.create(b, "k", b"v", None, None, now)),
    ("create with ttl", |c, b, now| c.create(b, "k", b"v", Some(Duration::from_secs(1)), None, now)),
    ("update", |c, b, now| c.update(b, "k", b"v", 1, None, None, now)),
    ("delete", |c, b, now| c.delete(b, "k", Some(1), None, now)),
    ("purge", |c, b, now| c.purge(b, "k", None, Some(Duration::from_secs(1)), None, now)),
    ("history", |c, b, now| c.history(b, "k", None, now)),
    ("keys", |c, b, now| c.keys(b, &["a.>", "b"], None, now)),
    ("put with ttl", |c, b, now| c.put(b, "k", b"v", Some(Duration::from_secs(1)), None, now)),
    ("touch", |c, b, now| c.touch(b, "k", Duration::from_secs(1), None, now)),
    ("get_many", |c, b, now| c.get_many(b, &["a", "b.*"], None, now)),
    ("get_many of nothing", |c, b, now| c.get_many(b, &[], None, now)),
    ("put_many", |c, b, now| c.put_many(b, &[("a", b"1"), ("b", b"2")], None, now)),
    ("put_many of nothing", |c, b, now| c.put_many(b, &[], None, now)),
    ("entries", |c, b, now| c.entries(b, &["a.>"], None, now)),
    ("count", |c, b, now| c.count(b, &[], None, now)),
    ("clear", |c, b, now| c.clear(b, "a", None, now)),
    ("purge_deletes", |c, b, now| c.purge_deletes(b, Duration::ZERO, None, now)),
    ("execute", |c, b, now| c.execute(b, "{\"operation\":\"GET\",\"key\":\"k\"}", None, now)),
    ("execute nonsense", |c, b, now| c.execute(b, "[]", None, now)),
];

const INPUTS: &[(&str, Input)] = &[
    ("transport_open", |c, conn, now| c.transport_open(conn, now)),
    ("transport_secured", |c, conn, now| c.transport_secured(conn, now)),
    ("credentials", |c, conn, now| c.credentials(conn, Ok(Credentials::default()), now)),
    ("no credentials", |c, conn, now| c.credentials(conn, Err(Error::from_code(ErrorCode::Auth)), now)),
    ("signature", |c, conn, now| {
        c.signature(conn, Ok(Signature { signature: [1; 64], public_key: Some([2; 32]) }), now)
    }),
    ("no signature", |c, conn, now| c.signature(conn, Err(Error::from_code(ErrorCode::Auth)), now)),
    ("receive lame duck", |c, conn, now| {
        c.receive(conn, b"INFO {\"headers\":true,\"ldm\":true,\"connect_urls\":[\"b:1\"]}\r\n", now)
    }),
    ("receive INFO", |c, conn, now| c.receive(conn, INFO.as_bytes(), now)),
    ("receive PONG", |c, conn, now| c.receive(conn, b"PONG\r\n", now)),
    ("receive a stranger's message", |c, conn, now| {
        c.receive(conn, b"MSG x 99 1\r\ny\r\nMSG _INBOX.x.5 1 0\r\n\r\n", now)
    }),
    ("receive -ERR", |c, conn, now| c.receive(conn, b"-ERR 'Stale Connection'\r\n", now)),
    ("receive garbage", |c, conn, now| c.receive(conn, b"\x00\xff\r\n", now)),
    ("transport_closed", |c, conn, now| c.transport_closed(conn, Lost::Reset, now)),
    ("handle_timeout", |c, _, now| c.handle_timeout(now)),
    ("cancel of nothing", |c, _, now| c.cancel(OpId(12345), now)),
    ("watch_stop of nothing", |c, _, now| c.watch_stop(WatchId(9), now)),
    ("sleep", |c, _, now| c.sleep(now)),
    ("wake", |c, _, now| c.wake(now)),
    ("drain", |c, _, now| c.drain(now)),
    ("close", |c, _, now| c.close(now)),
];

/// Every state a client can be in, and how it gets there.
fn states() -> Vec<(&'static str, Rig)> {
    let dialing = || Rig::new(Config::default());
    let mut states = vec![("dialing", dialing()), ("connected", Rig::connected())];
    let mut add = |name, mut rig: Rig, make: fn(&mut Rig)| {
        make(&mut rig);
        states.push((name, rig));
    };
    add("greeting", dialing(), Rig::open);
    add("handshake", dialing(), |rig| {
        rig.open();
        rig.receive(INFO);
    });
    add("securing", dialing(), |rig| {
        rig.open();
        rig.receive("INFO {\"tls_required\":true,\"headers\":true}\r\n");
    });
    add("asking", Rig::new(Config { asks_credentials: true, ..Config::default() }), |_| {});
    let credentials = Credentials { jwt: Some("a.b.c".into()), signs: true, ..Credentials::default() };
    add("signing", Rig::new(Config { credentials, ..Config::default() }), |rig| {
        rig.open();
        rig.receive("INFO {\"headers\":true,\"nonce\":\"abc\"}\r\n");
        assert!(matches!(rig.actions.last(), Some(Action::Sign { .. })));
    });
    let web = || Config { servers: vec!["ws://h".into()], websocket_in_core: true, ..Config::default() };
    add("upgrading", Rig::new(web()), Rig::open);
    add("leaving", Rig::connected(), |rig| {
        rig.call(|c, now| c.flush(None, now)).expect("flush");
        rig.receive("INFO {\"server_id\":\"S\",\"headers\":true,\"ldm\":true,\"connect_urls\":[\"b:1\"]}\r\n");
        rig.pass(Duration::from_millis(4001));
        assert_eq!(rig.client.state(), &State::Connected, "something is in flight");
    });
    add("waiting", Rig::connected(), Rig::lose);
    add("dialing again", Rig::connected(), |rig| {
        rig.pass(Duration::from_secs(2));
        rig.lose();
        rig.pass(Duration::from_millis(1));
    });
    add("asleep", Rig::connected(), |rig| rig.call(|c, now| c.sleep(now)));
    add("draining", Rig::connected(), |rig| {
        rig.call(|c, now| c.flush(None, now)).expect("flush");
        rig.call(|c, now| c.drain(now));
    });
    add("closed", Rig::connected(), |rig| rig.call(|c, now| c.close(now)));
    add("failed", dialing(), |rig| rig.client.transport_closed(rig.conn, Lost::Refused, rig.now));
    states
}

#[test]
#[cfg_attr(miri, ignore = "hours of connecting anew take minutes there")]
fn every_command_ends_once_in_every_state() {
    for (name, command) in COMMANDS {
        for (state, mut rig) in states() {
            let bucket = rig.client.bind("b", &HandleOptions::default()).expect("bind");
            let before = rig.events.iter().filter(|event| matches!(event, Event::Done { .. })).count();
            let accepted = rig.call(|c, now| command(c, bucket, now));
            match (&accepted, state) {
                (Err(error), "closed" | "failed" | "draining") => {
                    assert_eq!(error.code, ErrorCode::Closed, "{name} while {state}")
                }
                (Err(error), _) => panic!("{name} while {state}: {error}"),
                (Ok(_), "closed" | "failed" | "draining") => panic!("{name} was accepted while {state}"),
                (Ok(_), _) => {}
            }
            rig.pass(Duration::from_secs(1));
            rig.lose();
            rig.pass(Duration::from_secs(3600));
            if let Ok(op) = accepted {
                let _ = rig.result(op);
            }
            rig.call(|c, now| c.close(now));
            let done = rig.events.iter().filter(|event| matches!(event, Event::Done { .. })).count() - before;
            assert!(done <= usize::from(accepted.is_ok()) + 1, "{name} while {state}: {done} Done");
        }
    }
}

#[test]
fn every_input_is_harmless_in_every_state() {
    for (name, input) in INPUTS.iter().step_by(INPUTS.len() / crate::times(INPUTS.len())) {
        for (state, mut rig) in states() {
            for conn in [rig.conn, ConnId(rig.conn.0.wrapping_sub(1)), ConnId(u64::MAX)] {
                rig.call(|c, now| input(c, conn, now));
                rig.call(|c, _| input(c, conn, Instant::default())); // time that goes back
            }
            rig.call(|c, now| c.close(now));
            assert!(matches!(rig.client.state(), State::Closed(_)), "{name} while {state}");
            assert_eq!(rig.client.deadline(), None, "{name} while {state}");
        }
    }
}

#[test]
fn a_watch_can_be_started_and_stopped_in_every_state() {
    for (state, mut rig) in states() {
        let bucket = rig.client.bind("b", &HandleOptions::default()).expect("bind");
        let watch = rig.call(|c, now| c.watch(bucket, &["a.*"], WatchOptions::default(), now));
        assert_eq!(watch.is_err(), matches!(state, "closed" | "failed" | "draining"), "while {state}");
        if let Ok(watch) = watch {
            rig.items(watch);
            rig.call(|c, now| c.watch_stop(watch, now));
            assert!(rig.items(watch).is_empty());
            rig.call(|c, now| c.watch_stop(watch, now));
        }
    }
}

#[test]
fn an_unopened_watch_tells_its_end_once() {
    for (state, mut rig) in states() {
        let bucket = rig.client.bind("b", &HandleOptions::default()).expect("bind");
        let Ok(watch) = rig.call(|c, now| c.watch(bucket, &[], WatchOptions::default(), now)) else { continue };
        rig.pass(Duration::from_secs(60));
        rig.call(|c, now| c.close(now));
        let opened =
            rig.events.iter().filter(|event| matches!(event, Event::WatchOpen { watch: w, .. } if *w == watch)).count();
        assert_eq!(opened, 1, "while {state}");
    }
}

#[test]
fn after_closed_nothing_comes_out() {
    let mut rig = Rig::connected();
    let bucket = rig.client.bind("b", &HandleOptions::default()).expect("bind");
    rig.call(|c, now| c.watch(bucket, &[], WatchOptions::default(), now)).expect("watch");
    rig.call(|c, now| c.close(now));
    rig.answer("CONSUMER.CREATE", "{\"num_pending\":0,\"delivered\":{\"stream_seq\":0}}");
    assert_eq!(rig.client.state(), &State::Closed(None));
    assert!(rig.written.contains("CONSUMER.DELETE"), "the watch's consumer is ended on the way out: {:?}", rig.written);
    rig.written.clear();
    let (actions, events) = (rig.actions.len(), rig.events.len());
    for (_, input) in INPUTS {
        rig.call(|c, now| input(c, ConnId(1), now));
    }
    rig.pass(Duration::from_secs(3600));
    assert_eq!((rig.written.as_str(), rig.actions.len(), rig.events.len()), ("", actions, events));
}

#[test]
fn garbage_never_panics_and_never_loses_a_done() {
    let mut dice = Dice::new(1);
    let mut next = || dice.roll();
    let words: &[&[u8]] = &[
        b"MSG ",
        b"HMSG ",
        b"INFO {",
        b"}",
        b"PING\r\n",
        b"PONG\r\n",
        b"\r\n",
        b"1 ",
        b"0 ",
        b"12 12\r\n",
        b"NATS/1.0 503\r\n\r\n",
        b"_INBOX.",
        b"-ERR 'x'\r\n",
        b"\xff\x00",
        b"18446744073709551615",
        b"$JS.ACK.a.b.1.2.3.4.5 ",
        b"\t",
        b"\n",
    ];
    for round in 0..crate::times(300) {
        let mut rig = Rig::connected();
        let bucket = rig.client.bind("b", &HandleOptions::default()).expect("bind");
        let ops: Vec<OpId> =
            COMMANDS.iter().filter_map(|(_, command)| rig.call(|c, now| command(c, bucket, now)).ok()).collect();
        for _ in 0..40 {
            let mut bytes = Vec::new();
            for _ in 0..next() % 12 {
                bytes.extend_from_slice(words[(next() % words.len() as u64) as usize]);
            }
            rig.receive(&bytes);
            if next() % 5 == 0 {
                rig.pass(Duration::from_millis(next() % 3000));
            }
            if next() % 3 == 0 {
                rig.open();
            }
        }
        rig.call(|c, now| c.close(now));
        for op in ops {
            assert!(rig.is_done(op), "round {round}");
            let _ = rig.result(op);
        }
    }
}
