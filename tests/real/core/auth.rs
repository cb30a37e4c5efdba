//! Getting in, and being thrown out: each kind of credentials over TCP and over core's own WebSocket, on real servers.

use std::time::Duration;

use natskv_core::{
    BucketConfig, Compare, Config, Credentials, Error, ErrorCode, HandleOptions, OnDrift, Outcome, Reason, Secret,
    State,
};
use natskv_kit::{live::Live, proof::Proof};
use serde_json::Value;

use crate::started;

const PATIENCE: Duration = Duration::from_secs(20);

/// One of a proof server's credentials, in each of the ways that it can be given.
fn ways(credential: &Value) -> Vec<(&'static str, Credentials)> {
    let text = |name: &str| credential[name].as_str().map(String::from);
    let secret = |name: &str| text(name).map(Secret::from);
    let plain = Credentials {
        user: text("user"),
        password: secret("password"),
        token: secret("token"),
        nkey_seed: secret("nkey_seed"),
        jwt: secret("jwt"),
        ..Credentials::default()
    };
    let mut ways = vec![("fields", plain)];
    if let Some(creds) = secret("creds_text") {
        ways.push(("a credentials file", Credentials { creds: Some(creds), ..Credentials::default() }));
    }
    ways
}

/// The URL with the credential in it; None where a URL cannot say it.
fn url_with(url: &str, credential: &Value) -> Option<String> {
    let (scheme, address) = url.split_once("://")?;
    let escaped = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let user = match (credential["user"].as_str(), credential["password"].as_str(), credential["token"].as_str()) {
        (Some(user), Some(password), _) => format!("{}:{}", escaped(user), escaped(password)),
        (_, _, Some(token)) => escaped(token),
        _ => return None,
    };
    Some(format!("{scheme}://{user}@{address}"))
}

fn config(url: &str, credentials: Credentials) -> Config {
    Config { servers: vec![url.into()], websocket_in_core: true, credentials, ..Config::default() }
}

/// Connects, writes a value that takes several frames, and reads it back.
fn use_it(config: Config) -> Result<(), Error> {
    let mut live = Live::new(config)?;
    live.run(|c, now| c.ready(None, now))?;
    let bucket = BucketConfig::new("b");
    let opened = live
        .run(|c, now| c.create_bucket(&bucket, &HandleOptions::default(), Compare::Given, OnDrift::Error, None, now))?;
    let Outcome::Opened(opened) = opened else { panic!("{opened:?}") };
    let b = opened.bucket;
    let value: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
    live.run(|c, now| c.put(b, "k", &value, None, None, now))?;
    let Outcome::Entry(entry) = live.run(|c, now| c.get(b, "k", None, None, now))? else { panic!("an entry") };
    assert!(entry.value() == value);
    Ok(())
}

fn each_is_judged_rightly(kind: &str) {
    started(&[kind], |proof| {
        let told = proof.describe();
        for url in ["url", "ws_url"].map(|name| told[name].as_str().expect("a URL")) {
            for credential in &proof.credentials {
                let is_accepted = credential["accepted"] == true;
                let mut configs: Vec<_> =
                    ways(credential).into_iter().map(|(way, credentials)| (way, config(url, credentials))).collect();
                if let Some(url) = url_with(url, credential) {
                    configs.push(("the URL", config(&url, Credentials::default())));
                }
                for (way, config) in configs {
                    let what = format!("{kind}: {} by {way} over {url}", credential["as"]);
                    match use_it(config) {
                        Ok(()) => assert!(is_accepted, "{what} was let in"),
                        Err(error) => {
                            assert!(!is_accepted, "{what}: {error}");
                            assert_eq!(error.code, ErrorCode::Auth, "{what}: {error}");
                            assert!(error.message.contains("Authorization Violation"), "{what}: {error}");
                        }
                    }
                }
            }
        }
    });
}

#[test]
fn users() {
    each_is_judged_rightly("users");
}

#[test]
fn tokens() {
    each_is_judged_rightly("token");
}

#[test]
fn nkeys() {
    each_is_judged_rightly("nkey");
}

#[test]
fn jwts() {
    each_is_judged_rightly("jwt");
}

#[test]
fn an_nkey_where_the_server_knows_none_is_told_so() {
    started(&[], |proof| {
        let url = proof.describe()["url"].as_str().map(String::from).expect("a URL");
        let seed = natskv_kit::jwt::Key::new(natskv_core::wire::KeyKind::User).expect("key").seed();
        let error = use_it(config(&url, Credentials { nkey_seed: Some(seed.into()), ..Credentials::default() }));
        let error = error.expect_err("no nonce");
        assert!(error.code == ErrorCode::Auth && error.message.contains("nonce"), "{error}");
    });
}

/// Waits until the client has told of a state.
fn until(live: &mut Live, is_wanted: impl Fn(&State) -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !live.states.iter().any(&is_wanted) {
        assert!(std::time::Instant::now() < deadline, "{:?}", live.states);
        live.turn(Duration::from_millis(100));
    }
}

#[test]
fn revoked_while_connected() {
    // Of users and nkeys that are gone after a reload, 2.15.1 closes the connection without a word.
    for (kind, reason) in [
        ("users", ErrorCode::Disconnected),
        ("token", ErrorCode::Auth),
        ("nkey", ErrorCode::Disconnected),
        ("jwt", ErrorCode::Auth),
    ] {
        started(&[kind], |proof| {
            let url = proof.describe()["url"].as_str().map(String::from).expect("a URL");
            let credentials = ways(&proof.credentials[0]).remove(0).1;
            let mut live = Live::new(config(&url, credentials)).expect("config");
            live.run(|c, now| c.ready(None, now)).expect("let in");
            live.until_proven();
            proof.revoke().expect("revoked");
            until(&mut live, |state| matches!(state, State::Disconnected(error) if error.code == reason));
            until(&mut live, |state| matches!(state, State::Closed(Some(error)) if error.code == ErrorCode::Auth));
        });
    }
}

#[test]
fn expired_while_connected_and_asked_for_anew() {
    started(&["jwt"], |proof| {
        let url = proof.describe()["url"].as_str().map(String::from).expect("a URL");
        let config = Config { asks_credentials: true, ..config(&url, Credentials::default()) };
        let mut live = Live::new(config).expect("config");
        for seconds in [2, 3, 600] {
            let user = proof.user(seconds).expect("user");
            live.answers.push_back(Ok(ways(&user).remove(0).1));
        }
        live.run(|c, now| c.ready(None, now)).expect("let in");
        let is_back = |live: &Live| live.states.iter().filter(|state| **state == State::Connected).count() == 3;
        let deadline = std::time::Instant::now() + PATIENCE;
        while !is_back(&live) {
            assert!(std::time::Instant::now() < deadline, "{:?}", live.states);
            live.turn(Duration::from_millis(100));
        }
        assert_eq!(live.asked, [Reason::First, Reason::Expired, Reason::Expired]);
        live.run(|c, now| c.flush(None, now)).expect("works");
    });
}

#[test]
fn old_credentials_at_the_first_connect_are_asked_for_anew() {
    started(&["jwt"], |proof: &mut Proof| {
        let url = proof.describe()["url"].as_str().map(String::from).expect("a URL");
        let config = Config { asks_credentials: true, ..config(&url, Credentials::default()) };
        let mut live = Live::new(config).expect("config");
        for credential in [&proof.user(-5).expect("user"), &proof.credentials[0]] {
            live.answers.push_back(Ok(ways(credential).remove(0).1));
        }
        live.run(|c, now| c.ready(None, now)).expect("let in");
        assert_eq!(live.asked, [Reason::First, Reason::Refused]);
    });
}
