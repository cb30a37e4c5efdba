//! Getting in: what CONNECT says for each kind of credentials, when they are asked for, and that nobody sees them.

use std::time::Duration;

use natskv_core::{
    Action, Client, Config, ConnId, Credentials, Error, ErrorCode, Instant, Lost, Reason, Signature, State,
};
use natskv_kit::rig::{INFO, Rig};

const SEED: &str = "SUAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H776Y";
const PUBLIC: &str = "UAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3RLKK";
const JWT: &str = "eyJ0eXAi.c2VjcmV0LWNsYWltcw.c2ln_-";
const NONCE_INFO: &str = "INFO {\"headers\":true,\"max_payload\":1048576,\"nonce\":\"PXoWU7zWAMt75FY\"}\r\n";
const SIG: &str = "\"sig\":\"bnxg5G8aOV2LQdSE_lcM9clxm_fbTTZxsqQ1EpTNgJXmH6z5ezesd49kXfuNhoAqw_DmEtsGcNsJdug9wMuRDQ\"";

fn token(text: &str) -> Credentials {
    Credentials { token: Some(text.into()), ..Credentials::default() }
}

fn asking() -> Config {
    Config { asks_credentials: true, ..Config::default() }
}

/// What the client writes when a server greets it so.
fn greeted(credentials: Credentials, info: &str) -> (String, Rig) {
    let mut rig = Rig::new(Config { credentials, ..Config::default() });
    rig.open();
    rig.receive(info);
    (rig.sent(), rig)
}

/// Answers the question for credentials, which must be the last action, and gives its reason.
fn answer(rig: &mut Rig, given: Result<Credentials, Error>) -> Reason {
    let Some(&Action::Credentials { conn, reason }) = rig.actions.last() else { panic!("{:?}", rig.actions) };
    rig.call(|c, now| c.credentials(conn, given, now));
    reason
}

/// Lets the time pass until credentials are asked for.
fn until_asked(rig: &mut Rig) {
    rig.pass(Duration::from_secs(10));
    // No longer than the deadline for them: 10 s are two of those, so the last question may be the second already.
    assert!(
        matches!(rig.actions.last(), Some(Action::Credentials { .. } | Action::Disconnect { .. })),
        "{:?}",
        rig.actions
    );
}

fn refuse(rig: &mut Rig) {
    rig.open();
    rig.receive(INFO);
    rig.receive("-ERR 'Authorization Violation'\r\n");
    rig.lose();
    let wait = rig.client.deadline().map_or(Duration::ZERO, |deadline| deadline.since(rig.now));
    rig.pass(wait);
}

fn is_closed_by(rig: &Rig, code: ErrorCode) -> bool {
    matches!(rig.client.state(), State::Closed(Some(error)) if error.code == code)
}

#[test]
#[cfg_attr(miri, ignore = "signatures take minutes there")]
fn each_kind_says_its_own_and_nothing_else() {
    let creds = format!("---BEGIN---\n{JWT}\n---END---\n---BEGIN---\n{SEED}\n---END---\n");
    let kinds: [(&str, Credentials, &[&str]); 7] = [
        ("nobody", Credentials::default(), &[]),
        ("token", token("t0ken"), &["\"auth_token\":\"t0ken\""]),
        (
            "user",
            Credentials { user: Some("bob".into()), ..Credentials::default() },
            &["\"user\":\"bob\"", "\"pass\":\"\""],
        ),
        ("nkey", Credentials { nkey_seed: Some(SEED.into()), ..Credentials::default() }, &[PUBLIC, SIG]),
        ("creds", Credentials { creds: Some(creds.into()), ..Credentials::default() }, &[JWT, SIG]),
        ("seed file", Credentials { creds: Some(SEED.into()), ..Credentials::default() }, &[PUBLIC, SIG]),
        ("bearer", Credentials { jwt: Some(JWT.into()), ..Credentials::default() }, &[JWT]),
    ];
    for (name, credentials, parts) in kinds {
        let (sent, _) = greeted(credentials, NONCE_INFO);
        for part in parts {
            assert!(sent.contains(part), "{name}: {part} in {sent}");
        }
        for field in ["\"user\"", "\"pass\"", "\"auth_token\"", "\"nkey\"", "\"jwt\"", "\"sig\""] {
            let is_wanted = match name {
                "token" => field == "\"auth_token\"",
                "user" => matches!(field, "\"user\"" | "\"pass\""),
                "nkey" | "seed file" => matches!(field, "\"nkey\"" | "\"sig\""),
                "creds" => matches!(field, "\"jwt\"" | "\"sig\""),
                "bearer" => field == "\"jwt\"",
                _ => false,
            };
            assert_eq!(sent.contains(field), is_wanted, "{name}: {field} in {sent}");
        }
        assert!(!sent.contains(SEED), "{name}");
    }
}

#[test]
fn without_a_nonce_an_nkey_is_no_use_and_a_jwt_goes_alone() {
    let (sent, rig) = greeted(Credentials { nkey_seed: Some(SEED.into()), ..Credentials::default() }, INFO);
    assert!(sent.is_empty() && is_closed_by(&rig, ErrorCode::Auth), "{sent} {:?}", rig.client.state());
    assert!(format!("{:?}", rig.client.state()).contains("nonce"));
    let both = Credentials { jwt: Some(JWT.into()), nkey_seed: Some(SEED.into()), ..Credentials::default() };
    let (sent, _) = greeted(both, INFO);
    assert!(sent.contains(JWT) && !sent.contains("\"sig\""), "{sent}");
}

#[test]
#[cfg_attr(miri, ignore = "signatures take minutes there")]
fn the_nonce_that_counts_is_the_first_of_the_connection() {
    let mut rig = Rig::new(Config {
        credentials: Credentials { nkey_seed: Some(SEED.into()), ..Credentials::default() },
        ..Config::default()
    });
    rig.establish_with(NONCE_INFO);
    rig.receive("INFO {\"headers\":true,\"nonce\":\"other\"}\r\n");
    rig.lose();
    rig.pass(Duration::from_secs(1));
    rig.open();
    rig.receive(NONCE_INFO);
    assert!(rig.sent().contains(SIG), "the nonce of the new connection");
}

#[test]
fn credentials_of_a_url_win_and_are_not_asked_for() {
    let servers = vec!["nats://bob:p%40ss@h".into()];
    for config in [
        Config { servers: servers.clone(), ..asking() },
        Config { servers, credentials: token("x"), ..Config::default() },
    ] {
        let mut rig = Rig::new(config);
        assert!(matches!(rig.actions[..], [Action::Connect { .. }]), "{:?}", rig.actions);
        rig.open();
        rig.receive(INFO);
        let sent = rig.sent();
        assert!(
            sent.contains("\"user\":\"bob\"") && sent.contains("\"pass\":\"p@ss\"") && !sent.contains("auth_token")
        );
    }
}

#[test]
fn credentials_are_given_or_asked_for_not_both() {
    let config = Config { credentials: token("x"), ..asking() };
    let error = Client::new(config, [1; 32], Instant::default()).expect_err("both");
    assert_eq!(error.code, ErrorCode::InvalidArgument);
}

#[test]
fn they_are_asked_for_before_each_connection_with_the_reason() {
    let mut rig = Rig::new(asking());
    assert!(matches!(rig.actions[..], [Action::Credentials { .. }]), "nothing is dialled before: {:?}", rig.actions);
    assert_eq!(answer(&mut rig, Ok(token("one"))), Reason::First);
    rig.open();
    rig.receive(INFO);
    assert!(rig.sent().contains("\"auth_token\":\"one\""));
    rig.receive("PONG\r\n");
    rig.pass(Duration::from_secs(2));

    rig.lose();
    rig.pass(Duration::ZERO);
    assert_eq!(answer(&mut rig, Ok(token("two"))), Reason::Reconnect);
    rig.open();
    rig.receive(INFO);
    assert!(rig.sent().contains("\"auth_token\":\"two\""));
    rig.receive("PONG\r\n");
    rig.pass(Duration::from_secs(2));

    rig.receive("-ERR 'User Authentication Expired'\r\n");
    rig.pass(Duration::ZERO);
    assert_eq!(answer(&mut rig, Ok(token("three"))), Reason::Expired);
    refuse(&mut rig);
    assert_eq!(answer(&mut rig, Ok(token("four"))), Reason::Refused);
    rig.establish();
    assert_eq!(rig.client.state(), &State::Connected);
}

#[test]
fn refused_twice_ends_it_only_with_the_same_credentials() {
    let mut rig = Rig::new(asking());
    answer(&mut rig, Ok(token("0")));
    rig.establish();
    rig.pass(Duration::from_secs(2));
    rig.lose();
    rig.pass(Duration::ZERO);
    for attempt in 1..6 {
        answer(&mut rig, Ok(token(&attempt.to_string())));
        refuse(&mut rig);
        assert_eq!(rig.client.state(), &State::Reconnecting, "attempt {attempt}");
    }
    answer(&mut rig, Ok(token("5")));
    refuse(&mut rig);
    assert!(is_closed_by(&rig, ErrorCode::Auth), "{:?}", rig.client.state());
}

#[test]
fn at_the_first_connect_fresh_credentials_get_one_more_chance() {
    for (second, is_let_in) in [("fresh", true), ("fresh", false), ("old", false)] {
        let mut rig = Rig::new(asking());
        assert_eq!(answer(&mut rig, Ok(token("old"))), Reason::First);
        refuse(&mut rig);
        assert_eq!(answer(&mut rig, Ok(token(second))), Reason::Refused);
        if is_let_in {
            rig.establish();
            assert_eq!(rig.client.state(), &State::Connected);
        } else {
            refuse(&mut rig);
            assert!(is_closed_by(&rig, ErrorCode::Auth), "{:?}", rig.client.state());
        }
    }
}

#[test]
fn the_chance_is_there_at_the_last_of_several_servers_too() {
    let servers = vec!["nats://a".into(), "nats://b".into()];
    let mut rig = Rig::new(Config { servers, ..asking() });
    answer(&mut rig, Ok(token("old")));
    rig.client.transport_closed(rig.conn, Lost::Refused, rig.now);
    rig.pump();
    rig.pass(Duration::ZERO);
    assert_eq!(answer(&mut rig, Ok(token("old"))), Reason::First, "nobody has judged them yet");
    refuse(&mut rig);
    assert_eq!(answer(&mut rig, Ok(token("fresh"))), Reason::Refused);
    rig.establish();
    assert_eq!(rig.client.state(), &State::Connected);
}

#[test]
fn expired_credentials_that_nobody_renews_end_it() {
    let mut rig = Rig::new(Config { credentials: token("x"), ..Config::default() });
    rig.establish();
    rig.pass(Duration::from_secs(60));
    rig.receive("-ERR 'User Authentication Revoked'\r\n");
    assert_eq!(rig.client.state(), &State::Reconnecting, "another server may let it in");
    rig.pass(Duration::ZERO);
    refuse(&mut rig);
    assert!(is_closed_by(&rig, ErrorCode::Auth), "{:?}", rig.client.state());
}

#[test]
fn refused_right_after_pong_counts_as_a_failed_attempt() {
    let mut rig = Rig::new(Config { credentials: token("x"), ..Config::default() });
    rig.establish();
    rig.pass(Duration::from_millis(20));
    rig.receive("-ERR 'User Authentication Expired'\r\n");
    let wait = rig.client.deadline().expect("another attempt").since(rig.now);
    assert!(wait >= Duration::from_millis(75), "no hammering: {wait:?}");
    rig.pass(wait);
    rig.establish();
    rig.receive("-ERR 'User Authentication Expired'\r\n");
    assert!(is_closed_by(&rig, ErrorCode::Auth), "{:?}", rig.client.state());
}

#[test]
fn another_server_may_let_in_whom_one_refuses() {
    let servers = vec!["nats://a".into(), "nats://b".into()];
    let mut rig = Rig::new(Config { servers, credentials: token("x"), ..Config::default() });
    refuse(&mut rig);
    rig.establish();
    assert_eq!(rig.client.state(), &State::Connected);
}

#[test]
fn an_authentication_timeout_is_no_refusal() {
    let mut rig = Rig::new(Config { retry_first_connect: true, credentials: token("x"), ..Config::default() });
    for _ in 0..4 {
        rig.open();
        rig.receive(INFO);
        rig.receive("-ERR 'Authentication Timeout'\r\n");
        rig.pass(Duration::from_secs(6));
    }
    assert_eq!(rig.client.state(), &State::Connecting);
}

#[test]
fn an_error_instead_of_credentials_ends_the_attempt() {
    let mut rig = Rig::new(asking());
    answer(&mut rig, Err(Error::new(ErrorCode::Auth, "the vault is shut")));
    assert!(is_closed_by(&rig, ErrorCode::Auth), "{:?}", rig.client.state());
    assert!(format!("{:?}", rig.client.state()).contains("the vault is shut"));

    let mut rig = Rig::new(asking());
    answer(&mut rig, Ok(token("x")));
    rig.establish();
    rig.pass(Duration::from_secs(2));
    rig.lose();
    rig.pass(Duration::ZERO);
    for given in [Err(Error::new(ErrorCode::Auth, "shut")), Ok(Credentials { signs: true, ..Credentials::default() })] {
        answer(&mut rig, given);
        assert_eq!(rig.client.state(), &State::Reconnecting, "asked again later");
        let wait = rig.client.deadline().map_or(Duration::ZERO, |deadline| deadline.since(rig.now));
        rig.pass(wait);
    }
    answer(&mut rig, Ok(token("x")));
    rig.establish();
    assert_eq!(rig.client.state(), &State::Connected);
}

#[test]
fn a_question_has_a_deadline_and_an_answer_a_transport() {
    let mut rig = Rig::new(Config { retry_first_connect: true, ..asking() });
    let Some(&Action::Credentials { conn: old, .. }) = rig.actions.last() else { panic!("{:?}", rig.actions) };
    until_asked(&mut rig);
    assert!(rig.actions.iter().any(|action| matches!(action, Action::Disconnect { conn } if *conn == old)));
    let dialled = |rig: &Rig| rig.actions.iter().any(|action| matches!(action, Action::Connect { .. }));
    rig.call(|c, now| c.credentials(old, Ok(token("late")), now));
    assert!(!dialled(&rig), "a late answer is no answer");
    rig.call(|c, now| c.credentials(ConnId(u64::MAX), Ok(token("x")), now));
    assert!(!dialled(&rig));
    let closes = Rig::new(asking());
    let mut closes = { closes };
    closes.pass(Duration::from_secs(6));
    assert!(is_closed_by(&closes, ErrorCode::ConnectFailed), "{:?}", closes.client.state());
}

/// A client that asks its binding to sign.
fn signing(credentials: Credentials) -> (Rig, ConnId) {
    let (sent, rig) = greeted(credentials, NONCE_INFO);
    assert_eq!(sent, "", "nothing goes out unsigned");
    let Some(Action::Sign { conn, nonce, seed: None }) = rig.actions.last() else { panic!("{:?}", rig.actions) };
    assert_eq!(nonce, "PXoWU7zWAMt75FY");
    let conn = *conn;
    (rig, conn)
}

#[test]
fn who_has_the_seed_elsewhere_is_asked_to_sign() {
    let of_jwt = Credentials { jwt: Some(JWT.into()), signs: true, ..Credentials::default() };
    let of_nkey = Credentials { nkey: Some(PUBLIC.into()), signs: true, ..Credentials::default() };
    for (credentials, said) in [(of_jwt, JWT), (of_nkey, PUBLIC)] {
        let (mut rig, conn) = signing(credentials.clone());
        let signature = Signature { signature: [0xff; 64], public_key: None };
        rig.call(|c, now| c.signature(ConnId(conn.0 + 1), Ok(signature.clone()), now));
        assert_eq!(rig.sent(), "", "an answer for another transport");
        rig.call(|c, now| c.signature(conn, Ok(signature.clone()), now));
        let sent = rig.sent();
        let sig = format!("\"sig\":\"{}w\"", "_".repeat(85));
        assert!(sent.contains(said) && sent.contains(&sig), "{sent}");
        rig.call(|c, now| c.signature(conn, Ok(signature), now));
        assert_eq!(rig.sent(), "", "once");
        rig.receive("PONG\r\n");
        assert_eq!(rig.client.state(), &State::Connected);

        let (mut rig, conn) = signing(credentials.clone());
        rig.call(|c, now| c.signature(conn, Err(Error::new(ErrorCode::Auth, "no key card")), now));
        assert!(is_closed_by(&rig, ErrorCode::Auth) && format!("{:?}", rig.client.state()).contains("no key card"));

        let (mut rig, _) = signing(credentials);
        rig.pass(Duration::from_secs(6));
        assert!(is_closed_by(&rig, ErrorCode::ConnectFailed), "{:?}", rig.client.state());
    }
}

#[test]
#[cfg_attr(miri, ignore = "signatures take minutes there")]
fn nobody_sees_a_secret() {
    let creds = format!("---BEGIN---\n{JWT}\n---END---\n---BEGIN---\n{SEED}\n---END---\n");
    let of = |change: fn(&mut Credentials)| {
        let mut credentials = Credentials::default();
        change(&mut credentials);
        credentials
    };
    let mut kinds = vec![
        of(|c| (c.user, c.password) = (Some("bob".into()), Some("s3cret-pass".into()))),
        token("s3cret-token"),
        of(|c| c.nkey_seed = Some(SEED.into())),
        of(|c| (c.jwt, c.nkey_seed) = (Some(JWT.into()), Some(SEED.into()))),
        of(|c| (c.jwt, c.signs) = (Some(JWT.into()), true)),
    ];
    kinds.push(Credentials { creds: Some(creds.into()), ..Credentials::default() });
    let urls = ["nats://bob:s3cret-pass@h", "nats://s3cret-token@h,nats://bob:s3cret-pass@g"];
    let configs = kinds
        .iter()
        .flat_map(|kind| {
            [Config { credentials: kind.clone(), ..Config::default() }, asking()].map(|c| (c, kind.clone()))
        })
        .chain(urls.map(|url| (Config { servers: vec![url.into()], ..Config::default() }, Credentials::default())));
    for (config, kind) in configs {
        let mut told = vec![format!("{config:?} {kind:?}")];
        for end in 0..8 {
            let mut rig = Rig::new(Config { retry_first_connect: true, ..config.clone() });
            let mut tell = |rig: &Rig| told.push(shown(rig));
            tell(&rig);
            if config.asks_credentials {
                answer(&mut rig, Ok(kind.clone()));
                tell(&rig);
            }
            rig.open();
            // Everything that was drained is on its way; here it is left inside.
            rig.client.receive(rig.conn, NONCE_INFO.as_bytes(), rig.now);
            tell(&rig);
            rig.pump();
            tell(&rig);
            if let Some(&Action::Sign { conn, .. }) = rig.actions.last() {
                let signature = Signature { signature: [7; 64], public_key: None };
                rig.client.signature(conn, Ok(signature), rig.now);
                tell(&rig);
            }
            match end {
                0 => rig.receive("-ERR 'Authorization Violation'\r\n"),
                1 => rig.lose(),
                2 => rig.call(|c, now| c.close(now)),
                3 => rig.call(|c, now| c.transport_closed(now_conn(c), Lost::Tls("no".into()), now)),
                4 => rig.pass(Duration::from_secs(6)),
                5 => rig.receive("garbage\r\n"),
                _ => rig.receive("PONG\r\n"),
            }
            tell(&rig);
            rig.receive("-ERR 'User Authentication Expired'\r\n");
            tell(&rig);
            rig.pass(Duration::from_secs(1));
            tell(&rig);
        }
        for text in told {
            for secret in ["s3cret", SEED, &SEED[..20], JWT, "c2VjcmV0LWNsYWltcw"] {
                assert!(!text.contains(secret), "{secret} in {text}");
                let numbers = format!("{:?}", secret.as_bytes());
                assert!(!text.contains(numbers.trim_matches(['[', ']'])), "{secret}, as numbers, in {text}");
            }
        }
    }
}

fn now_conn(_: &Client) -> ConnId {
    ConnId(1)
}

/// Everything that can be looked at.
fn shown(rig: &Rig) -> String {
    let state = match rig.client.state() {
        State::Closed(Some(error)) | State::Disconnected(error) => format!("{error} {error:?} {}", error.to_json()),
        state => format!("{state:?}"),
    };
    let client = format!("{:?} {:#?}", rig.client, rig.client);
    let rest =
        format!("{:?} {:?} {} {:?}", rig.actions, rig.events, rig.client.connected_url(), rig.client.server_info());
    format!("{state}\n{client}\n{rest}")
}

#[test]
fn wrong_credentials_are_refused_without_repeating_them() {
    let seed = &SEED[..50];
    for credentials in [
        Credentials { nkey_seed: Some(seed.into()), ..Credentials::default() },
        Credentials { creds: Some(format!("---\nA.B\n---\n---\n{seed}\n---").into()), ..Credentials::default() },
    ] {
        let error =
            Client::new(Config { credentials, ..Config::default() }, [1; 32], Instant::default()).expect_err("cut");
        assert!(error.code == ErrorCode::InvalidArgument && !error.message.contains(&seed[..8]), "{error}");
    }
}
