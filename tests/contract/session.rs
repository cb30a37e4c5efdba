//! Connections: the greeting, losing one, making the next, and knowing when to stop.

use std::time::Duration;

use natskv_core::{Action, Config, Credentials, ErrorCode, HandleOptions, Lost, State};
use natskv_kit::rig::{INFO, Rig};

#[test]
fn connect_and_ping_go_out_in_one_write() {
    let credentials = Credentials { user: Some("bob".into()), password: Some("p\"w".into()), ..Credentials::default() };
    let mut rig = Rig::new(Config { credentials, ..Config::default() });
    rig.open();
    assert_eq!(rig.written, "", "nothing is sent before INFO");
    rig.receive(INFO);
    let sent = rig.sent();
    assert!(sent.starts_with("CONNECT {") && sent.ends_with("}\r\nPING\r\n"), "{sent}");
    for part in
        ["\"verbose\":false", "\"pedantic\":false", "\"user\":\"bob\"", "\"pass\":\"p\\\"w\"", "\"no_responders\":true"]
    {
        assert!(sent.contains(part), "{part} in {sent}");
    }
    rig.receive("PONG\r\nINFO {\"connect_info\":true,\"headers\":true}\r\n");
    assert_eq!(rig.client.state(), &State::Connected);
}

#[test]
fn each_transition_is_told_once() {
    let mut rig = Rig::connected();
    rig.pass(Duration::from_secs(2));
    rig.lose();
    for _ in 0..3 {
        rig.pass(Duration::from_secs(1));
        rig.client.transport_closed(rig.conn, Lost::Refused, rig.now);
        rig.pump();
    }
    rig.pass(Duration::from_secs(1));
    rig.establish();
    rig.call(|c, now| c.close(now));
    let names: Vec<String> =
        rig.states().iter().map(|state| format!("{state:?}").split(['(', ' ']).next().unwrap_or("").into()).collect();
    assert_eq!(names, ["Connecting", "Connected", "Disconnected", "Reconnecting", "Connected", "Closed"]);
    assert_eq!(rig.client.stats().reconnects, 1);
}

#[test]
fn the_first_attempt_after_a_loss_is_at_once_then_waits_double() {
    let mut rig = Rig::connected();
    rig.pass(Duration::from_secs(2));
    rig.lose();
    let mut waits = Vec::new();
    for _ in 0..9 {
        let lost_at = rig.now;
        let deadline = rig.client.deadline().expect("another attempt");
        waits.push(deadline.since(lost_at));
        rig.now = rig.now.max(deadline);
        rig.client.handle_timeout(rig.now);
        rig.pump();
        rig.client.transport_closed(rig.conn, Lost::Refused, rig.now);
        rig.pump();
    }
    assert_eq!(waits[0], Duration::ZERO);
    for (at, wait) in waits.iter().enumerate().skip(1) {
        let base = Duration::from_millis(100 << (at - 1)).min(Duration::from_secs(5));
        assert!(*wait >= base * 3 / 4 && *wait <= base * 5 / 4, "wait {at} is {wait:?}, around {base:?}");
    }
}

#[test]
fn the_pool_is_tried_in_turn_and_grows_by_discovery() {
    let servers = vec!["nats://a".into(), "nats://b".into()];
    let mut rig = Rig::new(Config { servers, ..Config::default() });
    rig.client.transport_closed(rig.conn, Lost::Refused, rig.now);
    rig.pump();
    rig.pass(Duration::from_millis(1));
    rig.open();
    rig.receive("INFO {\"headers\":true,\"connect_urls\":[\"b:4222\",\"c:4333\"]}\r\nPONG\r\n");
    rig.pass(Duration::from_secs(2));
    rig.lose();
    for _ in 0..3 {
        rig.pass(Duration::from_millis(1));
        rig.client.transport_closed(rig.conn, Lost::Refused, rig.now);
        rig.pump();
    }
    let dialled: Vec<String> = rig
        .actions
        .iter()
        .filter_map(|action| if let Action::Connect { server, .. } = action { Some(server.to_string()) } else { None })
        .collect();
    assert_eq!(&dialled[..2], ["nats://a:4222", "nats://b:4222"]);
    assert!(dialled[2..].contains(&"nats://c:4333".to_string()), "{dialled:?}");
}

#[test]
fn an_address_learnt_from_a_server_has_that_servers_name_on_its_certificate() {
    let mut rig =
        Rig::new(Config { servers: vec!["tls://cluster.example".into()], tls_first: true, ..Config::default() });
    rig.open();
    rig.receive("INFO {\"headers\":true,\"connect_urls\":[\"10.0.0.7:4222\",\"b.example:4222\"]}\r\nPONG\r\n");
    for _ in 0..4 {
        rig.lose();
        rig.pass(Duration::from_secs(10));
    }
    let names: Vec<(&str, &str)> = rig
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::Connect { server, .. } => Some((server.host.as_str(), server.tls_name.as_str())),
            _ => None,
        })
        .collect();
    for expected in
        [("cluster.example", "cluster.example"), ("10.0.0.7", "cluster.example"), ("b.example", "b.example")]
    {
        assert!(names.contains(&expected), "{expected:?} in {names:?}");
    }
}

#[test]
fn a_first_connect_that_fails_closes_with_its_reason() {
    let mut rig = Rig::new(Config::default());
    let ready = rig.call(|c, now| c.ready(None, now)).expect("accepted");
    rig.client.transport_closed(rig.conn, Lost::Refused, rig.now);
    rig.pump();
    let error = rig.result(ready).as_ref().expect_err("closed");
    assert_eq!(error.code, ErrorCode::ConnectFailed);
    assert!(error.message.contains("127.0.0.1:4222") && error.message.contains("refused"), "{error}");
}

#[test]
fn the_same_server_refusing_twice_ends_it() {
    let mut rig = Rig::new(Config { retry_first_connect: true, ..Config::default() });
    for _ in 0..2 {
        rig.open();
        rig.receive(INFO);
        rig.receive("-ERR 'Authorization Violation'\r\n");
        rig.pass(Duration::from_secs(10));
    }
    assert!(
        matches!(rig.client.state(), State::Closed(Some(error)) if error.code == ErrorCode::Auth),
        "{:?}",
        rig.client.state()
    );
}

#[test]
fn silence_makes_a_connection_stale() {
    let mut rig = Rig::connected();
    rig.pass(Duration::from_secs(119));
    assert_eq!(rig.sent().matches("PING").count(), 1, "a ping each 60 s");
    rig.receive("PONG\r\n");
    rig.pass(Duration::from_secs(181));
    assert!(
        rig.states().iter().any(|state| matches!(state, State::Disconnected(error) if error.message.contains("stale")))
    );
    assert!(rig.actions.iter().any(|action| matches!(action, Action::Disconnect { .. })));
}

#[test]
fn asleep_it_makes_no_connection_until_it_wakes() {
    let mut rig = Rig::connected();
    rig.pass(Duration::from_secs(2));
    rig.call(|c, now| c.sleep(now));
    let last = rig.actions.len();
    assert!(matches!(rig.actions.last(), Some(Action::Disconnect { conn }) if *conn == rig.conn), "{:?}", rig.actions);
    rig.pass(Duration::from_secs(600));
    assert_eq!(rig.actions.len(), last, "nothing happens meanwhile");
    rig.call(|c, now| c.wake(now));
    assert!(matches!(rig.actions.last(), Some(Action::Connect { .. })), "{:?}", rig.actions);
    rig.establish();
    assert_eq!(rig.client.state(), &State::Connected);
}

#[test]
fn asleep_before_the_first_connection_is_no_failure_of_it() {
    for opened in [false, true] {
        let mut rig = Rig::new(Config::default());
        if opened {
            rig.open();
        }
        rig.call(|c, now| c.sleep(now));
        rig.pass(Duration::from_secs(600));
        rig.call(|c, now| c.wake(now));
        rig.establish();
        assert_eq!(rig.client.state(), &State::Connected);
    }
}

#[test]
fn waking_ends_the_wait_for_the_next_attempt() {
    let mut rig = Rig::connected();
    rig.pass(Duration::from_secs(2));
    rig.lose();
    for _ in 0..9 {
        rig.pass(rig.client.deadline().map_or(Duration::ZERO, |deadline| deadline.since(rig.now)));
        rig.client.transport_closed(rig.conn, Lost::Refused, rig.now);
        rig.pump();
    }
    assert!(rig.client.deadline().is_some_and(|deadline| deadline.since(rig.now) > Duration::from_secs(1)));
    let (dialled, before) = (rig.conn, rig.now);
    rig.call(|c, now| c.wake(now));
    assert!(rig.conn > dialled && rig.now == before);
    rig.call(|c, now| c.wake(now)); // while it dials: that attempt may have begun too early
    for is_at_once in [true, false] {
        rig.client.transport_closed(rig.conn, Lost::Refused, rig.now);
        rig.pump();
        assert_eq!(rig.client.deadline().is_some_and(|deadline| deadline <= rig.now), is_at_once);
        rig.pass(Duration::ZERO);
    }
}

#[test]
fn waking_asks_a_connection_for_proof_of_life() {
    let mut rig = Rig::connected();
    rig.sent();
    rig.call(|c, now| c.wake(now));
    rig.call(|c, now| c.wake(now));
    assert_eq!(rig.sent(), "PING\r\n", "once");
    rig.receive("PONG\r\n");
    rig.pass(Duration::from_secs(50));
    assert_eq!(rig.client.state(), &State::Connected);
    rig.call(|c, now| c.wake(now));
    rig.receive("PING\r\n"); // may have been on its way for long
    rig.pass(Duration::from_secs(6));
    assert!(
        rig.states()
            .iter()
            .any(|state| matches!(state, State::Disconnected(error) if error.message.contains("waking")))
    );
}

#[test]
fn a_machine_that_slept_asks_before_it_calls_a_connection_stale() {
    let sleep = |rig: &mut Rig, seconds: u64| {
        rig.now = rig.now + Duration::from_secs(seconds);
        rig.call(|c, now| c.handle_timeout(now));
    };
    for answers in [true, false] {
        let mut rig = Rig::connected();
        rig.pass(Duration::from_secs(179)); // two pings are out, the third second later it would be stale
        rig.sent();
        sleep(&mut rig, 3600);
        assert_eq!(rig.client.state(), &State::Connected);
        assert_eq!(rig.sent(), "PING\r\n", "the question");
        if answers {
            rig.receive("PONG\r\nPONG\r\nPONG\r\n");
            rig.pass(Duration::from_secs(50));
            assert_eq!(rig.client.state(), &State::Connected);
        } else {
            rig.pass(Duration::from_secs(6));
            assert_eq!(rig.client.state(), &State::Reconnecting, "found out in seconds");
        }
    }
    // Asleep again while the answer is on its way, and a clock that is always late: it ends all the same.
    let mut rig = Rig::connected();
    sleep(&mut rig, 3600);
    for nap in 0..3 {
        assert_eq!(rig.client.state() == &State::Connected, nap < 2, "nap {nap}");
        sleep(&mut rig, 60);
    }
    let mut rig = Rig::connected();
    sleep(&mut rig, 3600);
    sleep(&mut rig, 60);
    rig.receive("PONG\r\n");
    sleep(&mut rig, 1);
    assert_eq!(rig.client.state(), &State::Connected, "it lay in the socket");
}

#[test]
fn any_traffic_keeps_it_alive() {
    let mut rig = Rig::connected();
    for _ in 0..20 {
        rig.pass(Duration::from_secs(30));
        rig.receive("PING\r\n");
    }
    assert_eq!(rig.client.state(), &State::Connected);
    assert!(!rig.sent().contains("PING"), "what came in was proof enough");
}

#[test]
fn attempts_have_a_deadline_in_each_phase() {
    for phase in 0..3 {
        let mut rig = Rig::new(Config::default());
        if phase > 0 {
            rig.open();
        }
        if phase > 1 {
            rig.receive(INFO);
        }
        rig.pass(Duration::from_secs(6));
        assert!(
            matches!(rig.client.state(), State::Closed(Some(error)) if error.code == ErrorCode::ConnectFailed),
            "phase {phase}"
        );
    }
}

#[test]
fn tls_is_asked_for_when_either_side_wants_it() {
    let info = "INFO {\"headers\":true,\"tls_required\":true}\r\n";
    let mut rig = Rig::new(Config::default());
    rig.open();
    rig.receive(info);
    assert!(matches!(rig.actions.last(), Some(Action::StartTls { server_name, .. }) if server_name == "127.0.0.1"));
    assert_eq!(rig.written, "", "nothing in the clear");
    rig.call(|c, now| c.transport_secured(natskv_core::ConnId(1), now));
    assert!(rig.sent().contains("\"tls_required\":true"));

    let mut rig = Rig::new(Config { tls: true, ..Config::default() });
    rig.open();
    rig.receive(INFO);
    assert!(
        matches!(rig.client.state(), State::Closed(Some(error)) if error.code == ErrorCode::Tls),
        "{:?}",
        rig.client.state()
    );
}

#[test]
fn a_websocket_in_the_clear_is_not_taken_for_tls() {
    for (url, tls, is_fine) in [("ws://h", true, false), ("ws://h", false, true), ("wss://h", true, true)] {
        let config = Config { servers: vec![url.into()], tls, ..Config::default() };
        match natskv_core::Client::new(config, [1; 32], natskv_core::Instant::default()) {
            Ok(_) => assert!(is_fine, "{url}"),
            Err(error) => assert!(!is_fine && error.message.contains("wss://"), "{url}: {error}"),
        }
    }
}

#[test]
fn what_came_in_the_clear_behind_info_is_forgotten() {
    let mut rig = Rig::new(Config::default());
    rig.open();
    rig.receive(
        "INFO {\"headers\":true,\"tls_required\":true}\r\nINFO {\"connect_urls\":[\"evil:1\"]}\r\nINFO {\"connect_urls\":[",
    );
    rig.call(|c, now| c.transport_secured(natskv_core::ConnId(1), now));
    rig.receive("PONG\r\n");
    assert_eq!(rig.client.state(), &State::Connected);
    assert!(!rig.client.server_info().is_some_and(|info| info.json.contains("evil")));
}

#[test]
fn what_goes_wrong_between_tls_first_and_the_server_is_hinted_at() {
    let failed = |config: Config, act: fn(&mut Rig)| {
        let mut rig = Rig::new(config);
        act(&mut rig);
        let State::Closed(Some(error)) = rig.client.state() else { panic!("{:?}", rig.client.state()) };
        (error.code, error.message.to_string())
    };
    let plain = Config::default;
    let (code, text) = failed(plain(), |rig| {
        rig.open();
        rig.lose();
    });
    assert!(code == ErrorCode::ConnectFailed && text.contains("needs tls_first"), "{text}");
    let (_, text) = failed(plain(), |rig| {
        rig.open();
        rig.pass(Duration::from_secs(6));
    });
    assert!(text.contains("needs tls_first"), "{text}");
    let (code, text) = failed(Config { tls_first: true, ..plain() }, |rig| {
        rig.call(|c, now| c.transport_closed(natskv_core::ConnId(1), Lost::Tls("wrong version number".into()), now));
    });
    assert!(code == ErrorCode::Tls && text.contains("wrong version number"), "{text}");
    assert!(text.contains("a server without handshake_first"), "{text}");
    let (_, text) = failed(plain(), |rig| {
        rig.client.transport_closed(rig.conn, Lost::Refused, rig.now);
    });
    assert!(!text.contains("tls_first"), "{text}");
}

#[test]
fn what_comes_and_goes_is_counted() {
    let mut rig = Rig::new(Config::default());
    rig.open();
    let (mut received, mut sent) = (0, 0);
    let mut receive = |rig: &mut Rig, bytes: &str| {
        received += bytes.len() as u64;
        rig.receive(bytes);
        sent += rig.sent().len() as u64;
        let stats = rig.client.stats();
        assert_eq!((stats.in_bytes, stats.out_bytes), (received, sent));
    };
    receive(&mut rig, INFO);
    receive(&mut rig, "PONG\r\n");
    receive(&mut rig, "MSG x 9 2\r\nhi\r\nMSG x 9 0\r\n\r\nPING\r\n");
    let bucket = rig.client.bind("b", &HandleOptions::default()).expect("bind");
    for _ in 0..3 {
        rig.client.put(bucket, "k", b"v", None, None, rig.now).expect("put");
    }
    rig.pump();
    receive(&mut rig, "PING\r\n");
    let stats = rig.client.stats();
    assert_eq!((stats.in_msgs, stats.out_msgs, stats.reconnects), (2, 3, 0));
}

#[test]
fn a_round_trip_is_known_from_the_first_connection_on() {
    let mut rig = Rig::new(Config::default());
    rig.open();
    rig.receive(INFO);
    rig.pass(Duration::from_millis(7));
    rig.receive("PONG\r\n");
    assert_eq!(rig.client.stats().round_trip, Duration::from_millis(7));
    rig.call(|c, now| c.flush(None, now)).expect("flush");
    rig.pass(Duration::from_millis(3));
    rig.receive("PONG\r\n");
    assert_eq!(rig.client.stats().round_trip, Duration::from_millis(3));
}

#[test]
fn max_reconnects_ends_it() {
    let mut rig = Rig::new(Config { max_reconnects: Some(3), ..Config::default() });
    rig.establish();
    rig.pass(Duration::from_secs(2));
    rig.lose();
    for _ in 0..3 {
        rig.pass(Duration::from_secs(10));
        rig.client.transport_closed(rig.conn, Lost::Refused, rig.now);
        rig.pump();
    }
    assert!(matches!(rig.client.state(), State::Closed(Some(_))), "{:?}", rig.client.state());
}

#[test]
fn flushes_in_flight_are_no_sign_of_a_stale_connection() {
    let mut rig = Rig::connected();
    rig.pass(Duration::from_secs(59));
    rig.now = natskv_core::Instant::from_nanos(rig.now.as_nanos() + 2_000_000_000); // a late wake-up
    for _ in 0..3 {
        rig.call(|c, now| c.flush(None, now)).expect("flush");
    }
    rig.call(|c, now| c.handle_timeout(now));
    assert_eq!(rig.client.state(), &State::Connected);
}

#[test]
fn durations_without_sense_are_refused() {
    let long = Duration::MAX;
    for (config, name) in [
        (Config { max_reconnect_wait: long, reconnect_wait: long, ..Config::default() }, "reconnect_wait"),
        (Config { watch_heartbeat: long, ..Config::default() }, "watch_heartbeat"),
        (Config { inactive_threshold: long, ..Config::default() }, "inactive_threshold"),
        (Config { ping_interval: Duration::ZERO, ..Config::default() }, "ping_interval"),
        (Config { inbox_prefix: "a b".into(), ..Config::default() }, "inbox_prefix"),
    ] {
        let error = natskv_core::Client::new(config, [1; 32], natskv_core::Instant::default()).expect_err(name);
        assert!(error.code == ErrorCode::InvalidArgument && error.message.contains(name), "{error}");
    }
}
