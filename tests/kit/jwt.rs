//! An operator with its accounts and users: keys, and the JWTs that they sign for each other. What `nsc` makes, made here.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpStream},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use natskv_core::wire::{KeyKind, Seed, encode_public};
use serde_json::{Map, Value, json};

/// A fresh key.
#[derive(Clone, Debug)]
pub struct Key(Seed);

impl Key {
    pub fn new(kind: KeyKind) -> io::Result<Self> {
        let mut bytes = [0; 32];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(Self(Seed::new(kind, bytes)))
    }

    /// `U…`
    pub fn public(&self) -> String {
        encode_public(self.0.kind(), &self.0.public())
    }

    /// `SU…`
    pub fn seed(&self) -> String {
        self.0.encode().to_string()
    }

    /// A JWT of these claims, signed.
    fn sign(&self, claims: &Value) -> String {
        let part = |value: &Value| BASE64.encode(value.to_string());
        let body = format!("{}.{}", part(&json!({"typ": "JWT", "alg": "ed25519-nkey"})), part(claims));
        let signature = BASE64.encode(self.0.sign(body.as_bytes()));
        format!("{body}.{signature}")
    }
}

/// An operator that knows an account with JetStream, and the system account that JetStream needs beside.
#[derive(Debug)]
pub struct Operator {
    key: Key,
    account: Key,
    system: Key,
    /// User keys, with the times from which on their JWTs count again.
    revoked: Map<String, Value>,
}

/// What one user's JWT says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Claims {
    /// From now. None: never. Negative times are over.
    pub expires_in: Option<i64>,
    /// Whether the JWT is enough, without a signature.
    pub is_bearer: bool,
}

/// A user's JWT and key.
#[derive(Clone, Debug)]
pub struct User {
    pub jwt: String,
    pub key: Key,
}

impl User {
    /// A credentials file, as nsc writes it.
    pub fn creds(&self) -> String {
        let Self { jwt, key } = self;
        format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             ************************* IMPORTANT *************************\n\
             NKEY Seed printed below can be used to sign and prove identity.\n\
             NKEYs are sensitive and should be treated as secrets.\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n\n\
             *************************************************************\n",
            key.seed()
        )
    }
}

impl Operator {
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            key: Key::new(KeyKind::Operator)?,
            account: Key::new(KeyKind::Account)?,
            system: Key::new(KeyKind::Account)?,
            revoked: Map::new(),
        })
    }

    /// The part of a server's configuration that makes it obey this operator.
    pub fn config(&self) -> String {
        let (account, system) = (self.account.public(), self.system.public());
        let operator = self.key.sign(&claims(&self.key, &self.key, "operator", json!({}), None));
        format!(
            "operator: {operator}\nsystem_account: {system}\nresolver: MEMORY\nresolver_preload: {{ {account}: {}, {system}: {} }}\n",
            self.account_jwt(&self.account, true),
            self.account_jwt(&self.system, false),
        )
    }

    /// Tells a running server what the account's JWT says now. A resolver in memory is not read again at a reload.
    pub fn push(&self, port: u16) -> io::Result<()> {
        let user = Self::user_of(&self.system, Claims::default())?;
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let info = lines.next().ok_or(io::ErrorKind::UnexpectedEof)??;
        let info: Value = serde_json::from_str(info.strip_prefix("INFO ").unwrap_or_default())?;
        let nonce = info["nonce"].as_str().unwrap_or_default();
        let connect =
            json!({"verbose": false, "jwt": user.jwt, "sig": BASE64.encode(user.key.0.sign(nonce.as_bytes()))});
        let jwt = self.account_jwt(&self.account, true);
        let subject = format!("$SYS.REQ.ACCOUNT.{}.CLAIMS.UPDATE", self.account.public());
        write!(stream, "CONNECT {connect}\r\nPUB {subject} {}\r\n{jwt}\r\nPING\r\n", jwt.len())?;
        match lines.next().ok_or(io::ErrorKind::UnexpectedEof)?? {
            pong if pong == "PONG" => Ok(()),
            refusal => Err(io::Error::other(refusal)),
        }
    }

    fn account_jwt(&self, account: &Key, has_streams: bool) -> String {
        let mut limits = Map::new();
        for name in ["subs", "data", "payload", "imports", "exports", "conn", "leaf"] {
            limits.insert(name.into(), (-1).into());
        }
        limits.insert("wildcards".into(), true.into());
        if has_streams {
            for name in ["mem_storage", "disk_storage", "streams", "consumer"] {
                limits.insert(name.into(), (-1).into());
            }
        }
        let nats =
            json!({"limits": limits, "default_permissions": {"pub": {}, "sub": {}}, "revocations": self.revoked});
        self.key.sign(&claims(&self.key, account, "account", nats, None))
    }

    /// A new user of the account.
    pub fn user(&self, given: Claims) -> io::Result<User> {
        Self::user_of(&self.account, given)
    }

    /// A user whose account no server knows.
    pub fn stranger() -> io::Result<User> {
        Self::user_of(&Key::new(KeyKind::Account)?, Claims::default())
    }

    fn user_of(account: &Key, given: Claims) -> io::Result<User> {
        let key = Key::new(KeyKind::User)?;
        let nats =
            json!({"pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1, "bearer_token": given.is_bearer});
        Ok(User { jwt: account.sign(&claims(account, &key, "user", nats, given.expires_in)), key })
    }

    /// Takes a user's rights away; `push` tells a server.
    pub fn revoke(&mut self, user: &User) {
        self.revoked.insert(user.key.public(), now().into());
    }
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs() as i64
}

fn claims(issuer: &Key, subject: &Key, kind: &str, mut nats: Value, expires_in: Option<i64>) -> Value {
    nats["type"] = kind.into();
    nats["version"] = 2.into();
    let subject = subject.public();
    let mut claims =
        json!({"iss": issuer.public(), "sub": subject, "name": kind, "jti": subject, "iat": now(), "nats": nats});
    if let Some(seconds) = expires_in {
        claims["exp"] = (now() + seconds).into();
    }
    claims
}
