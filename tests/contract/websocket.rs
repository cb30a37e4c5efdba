//! WebSocket that core speaks itself: the upgrade, frames both ways, and how it ends.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use natskv_core::{Action, Client, Config, ErrorCode, HandleOptions, Instant, State, TlsMode};
use natskv_kit::{
    dice::Dice,
    rig::{INFO, Rig},
};

fn rig(url: &str) -> Rig {
    Rig::new(Config { servers: vec![url.into()], websocket_in_core: true, ..Config::default() })
}

/// The request, which the client writes as soon as the transport is open; and the answer that it waits for.
fn asked(rig: &mut Rig) -> (String, String) {
    rig.open();
    let request = rig.sent();
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).expect("a key");
    let accept = BASE64.encode(sha1(&format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11")));
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    (request, answer)
}

/// A frame of the server, of at most 65,535 bytes.
fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..=125 => bytes.push(short as u8),
        long => {
            bytes.push(126);
            bytes.extend_from_slice(&(long as u16).to_be_bytes());
        }
    }
    bytes.extend_from_slice(payload);
    bytes
}

/// Frames of the client: first byte and payload of each. Panics where one is not masked.
fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let [first, second, rest @ ..] = bytes {
        assert!(second & 0x80 != 0, "masked");
        let (length, rest) = match second & 0x7f {
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            127 => (u64::from_be_bytes(rest[..8].try_into().expect("8 bytes")) as usize, &rest[8..]),
            short => (usize::from(short), rest),
        };
        let (mask, rest) = rest.split_at(4);
        let payload = rest[..length].iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        frames.push((*first, payload));
        bytes = &rest[length..];
    }
    frames
}

fn text(frames: &[(u8, Vec<u8>)]) -> String {
    let data = frames.iter().filter(|(first, _)| *first == 0x82);
    data.map(|(_, payload)| String::from_utf8_lossy(payload)).collect()
}

fn connected(url: &str) -> Rig {
    let mut rig = rig(url);
    let (_, answer) = asked(&mut rig);
    rig.receive(answer);
    rig.receive(frame(0x82, INFO));
    rig.receive(frame(0x82, "PONG\r\n"));
    assert_eq!(rig.client.state(), &State::Connected);
    rig.sent();
    rig
}

fn closed_with(rig: &Rig) -> &natskv_core::Error {
    let State::Closed(Some(error)) = rig.client.state() else { panic!("{:?}", rig.client.state()) };
    error
}

#[test]
fn upgrades_then_speaks_in_frames() {
    let mut rig = rig("ws://h:1/nats?x=1");
    let (request, answer) = asked(&mut rig);
    assert!(
        request.starts_with("GET /nats?x=1 HTTP/1.1\r\nHost: h:1\r\n") && request.ends_with("\r\n\r\n"),
        "{request}"
    );
    assert!(!request.to_ascii_lowercase().contains("protocol:") && !request.contains("Extensions"), "{request}");
    // What follows the answer in the same read is WebSocket already.
    rig.receive([answer.as_bytes(), &frame(0x82, INFO)].concat());
    let sent = frames(&rig.raw);
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert!(text(&sent).starts_with("CONNECT {") && text(&sent).ends_with("}\r\nPING\r\n"), "{sent:?}");
    rig.sent();
    rig.receive(frame(0x82, "PONG\r\nINFO {\"headers\":true,\"connect_info\":true}\r\nPING\r\n"));
    assert_eq!(rig.client.state(), &State::Connected);
    assert!(text(&frames(&rig.raw)).contains("PONG\r\n"));
}

#[test]
fn every_cut_is_the_same() {
    let whole = {
        let mut rig = rig("ws://h");
        let (_, answer) = asked(&mut rig);
        let frames = [frame(0x02, &INFO[..9]), frame(0x89, "p"), frame(0x80, &INFO[9..]), frame(0x82, "PONG\r\nPI")];
        [answer.as_bytes(), &frames.concat(), &frame(0x82, "NG\r\n")].concat()
    };
    let told = |cuts: &[usize]| {
        let mut rig = rig("ws://h");
        asked(&mut rig);
        let mut at = 0;
        for cut in cuts.iter().copied().chain([whole.len()]) {
            rig.receive(&whole[at..cut]);
            at = cut;
        }
        let sent = frames(&rig.raw);
        assert!(sent.contains(&(0x8a, b"p".to_vec())), "the ping was answered: {sent:?}");
        (rig.client.state().clone(), text(&sent), rig.client.stats().in_bytes)
    };
    let expected = told(&[]);
    assert_eq!(expected.0, State::Connected);
    assert_eq!(expected.2 as usize, INFO.len() + "PONG\r\nPING\r\n".len(), "bytes of NATS");
    for cut in (1..whole.len()).step_by(whole.len() / crate::times(whole.len())) {
        assert_eq!(told(&[cut]), expected, "cut at {cut}");
    }
    assert_eq!(told(&(1..whole.len()).collect::<Vec<_>>()), expected, "byte by byte");
}

#[test]
#[cfg_attr(miri, ignore = "that many bytes take minutes there")]
fn what_is_large_goes_out_in_several_frames() {
    let mut rig = connected("ws://h");
    let bucket = rig.client.bind("b", &HandleOptions::default()).expect("bind");
    let value: Vec<u8> = (0..200_000_u32).map(|at| (at / 7) as u8).collect();
    rig.call(|c, now| c.put(bucket, "k", &value, None, None, now)).expect("put");
    let sent = frames(&rig.raw);
    assert!(sent.len() > 3 && sent.iter().all(|(first, part)| *first == 0x82 && part.len() <= 64 << 10));
    let joined: Vec<u8> = sent.into_iter().flat_map(|(_, part)| part).collect();
    assert!(joined.windows(value.len()).any(|part| part == value), "nothing is lost between frames");
}

#[test]
fn closing_says_goodbye_behind_what_is_written() {
    let mut rig = connected("ws://h");
    let bucket = rig.client.bind("b", &HandleOptions::default()).expect("bind");
    rig.client.put(bucket, "k", b"v", None, None, rig.now).expect("put");
    rig.client.close(rig.now);
    rig.pump();
    let sent = frames(&rig.raw);
    assert!(text(&sent).contains("PUB $KV.b.k"), "{sent:?}");
    assert_eq!(sent.last(), Some(&(0x88, vec![3, 0xe8])), "close frame 1000, last");
    assert!(matches!(rig.actions.last(), Some(Action::Disconnect { .. })));
}

#[test]
fn a_close_frame_tells_why_the_connection_is_lost() {
    let mut rig = connected("ws://h");
    rig.pass(Duration::from_secs(2));
    rig.receive([frame(0x88, b"\x03\xe9server shutdown"), frame(0x82, "PING\r\n")].concat());
    let lost = rig.states().into_iter().find_map(|state| match state {
        State::Disconnected(error) => Some(error.clone()),
        _ => None,
    });
    let error = lost.expect("disconnected");
    assert_eq!(error.code, ErrorCode::Disconnected);
    for part in ["ws://h:80", "1001", "goes away", "server shutdown"] {
        assert!(error.message.contains(part), "{error}");
    }
    // An -ERR that came before says more than the code behind it.
    let mut rig = connected("ws://h");
    rig.pass(Duration::from_secs(2));
    rig.receive([frame(0x82, "-ERR 'Stale Connection'\r\n"), frame(0x88, b"\x03\xf0")].concat());
    assert!(rig.states().iter().any(|s| matches!(s, State::Disconnected(error) if error.message.contains("Stale"))));
}

#[test]
fn what_is_no_upgrade_says_what_it_was() {
    for (answer, part) in [
        ("HTTP/1.1 403 Forbidden\r\n\r\norigin not allowed", "HTTP 403"),
        ("HTTP/1.1 404 Not Found\r\n\r\n", "HTTP 404"),
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n", "Accept"),
        ("INFO {\"headers\":true}\r\n", "nats://"),
    ] {
        let mut rig = rig("ws://h");
        rig.open();
        rig.receive(answer);
        let error = closed_with(&rig);
        assert_eq!(error.code, ErrorCode::ConnectFailed);
        assert!(error.message.contains("ws://h:80") && error.message.contains(part), "{part}: {error}");
    }
    let mut rig = rig("ws://h");
    rig.open();
    rig.pass(Duration::from_secs(6));
    assert!(closed_with(&rig).message.contains("upgrade"), "{:?}", rig.client.state());
}

#[test]
fn wss_has_tls_below_and_ignores_what_info_says_of_it() {
    let mut rig = rig("wss://h");
    assert!(matches!(rig.actions[..], [Action::Connect { tls: TlsMode::First, .. }]), "{:?}", rig.actions);
    let (_, answer) = asked(&mut rig);
    rig.receive(answer);
    rig.receive(frame(0x82, "INFO {\"headers\":true,\"tls_required\":true,\"tls_available\":true}\r\n"));
    assert!(text(&frames(&rig.raw)).contains("\"tls_required\":true"), "{:?}", rig.actions);
}

#[test]
fn discovered_servers_have_the_scheme_and_no_path() {
    for urls in [r#""connect_urls":["i:1"]"#, r#""ws_connect_urls":["i:1"],"connect_urls":["j:2"]"#] {
        let mut rig = rig("ws://h/path");
        let (_, answer) = asked(&mut rig);
        rig.receive(answer);
        rig.receive(frame(0x82, format!("INFO {{\"headers\":true,{urls}}}\r\nPONG\r\n")));
        rig.pass(Duration::from_secs(2));
        rig.lose();
        rig.pass(Duration::ZERO);
        let Some(Action::Connect { server, .. }) = rig.actions.last() else { panic!("{:?}", rig.actions) };
        assert_eq!(server.to_string(), "ws://i:1");
        let request = asked(&mut rig).0;
        assert!(request.starts_with("GET / HTTP/1.1\r\nHost: i:1\r\n"), "{request}");
    }
}

#[test]
fn a_binding_with_a_websocket_of_its_own_gets_plain_nats() {
    let mut rig = Rig::new(Config { servers: vec!["ws://h".into()], ..Config::default() });
    rig.open();
    rig.receive(INFO);
    assert!(rig.sent().starts_with("CONNECT {"));
}

#[test]
fn tls_is_not_dropped_because_the_url_says_ws() {
    for config in [
        Config { tls: true, servers: vec!["ws://h".into()], ..Config::default() },
        Config { tls_first: true, servers: vec!["ws://h".into()], ..Config::default() },
    ] {
        let error = Client::new(config, [1; 32], Instant::default()).expect_err("ws");
        assert!(error.code == ErrorCode::InvalidArgument && error.message.contains("wss://"), "{error}");
    }
}

#[test]
fn garbage_never_panics_and_never_gets_in() {
    let mut dice = Dice::new(1);
    let mut next = || dice.roll();
    for round in 0..crate::times(2000) {
        let mut rig = if round % 2 == 0 { connected("ws://h") } else { rig("ws://h") };
        rig.open();
        for _ in 0..4 {
            let kinds = [0x82, 0x02, 0x80, 0x89, 0x8a, 0x88, 0xc2, next() as u8];
            let payload: Vec<u8> = (0..next() % 140).map(|_| next() as u8).collect();
            let mut bytes = frame(kinds[(next() % 8) as usize], payload);
            bytes.truncate(bytes.len() - (next() as usize % 3).min(bytes.len()));
            rig.receive(bytes);
        }
        rig.call(|c, now| c.close(now));
        assert!(matches!(rig.client.state(), State::Closed(_)), "round {round}");
    }
}

fn sha1(text: &str) -> impl AsRef<[u8]> {
    ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes())
}
