//! nats-servers of every kind that a client must get into, with all that opens them and all that must not.

use std::{env, fs, io, path::PathBuf};

use serde_json::{Value, json};

use crate::{
    certificates::{Certificate, Certificates, Pair},
    jwt::{Claims, Key, Operator, User},
    server::{Server, Settings, free_ports},
};
use natskv_core::wire::KeyKind;

/// The bucket that the users of `permissions` may read or write.
pub const BUCKET: &str = "proof";

/// What a read-only user of a bucket must be allowed to publish to.
pub const READ: &[&str] = &[
    "$JS.API.STREAM.INFO.KV_proof",
    "$JS.API.STREAM.MSG.GET.KV_proof",
    "$JS.API.DIRECT.GET.KV_proof",
    "$JS.API.DIRECT.GET.KV_proof.>",
    "$JS.API.CONSUMER.CREATE.KV_proof.>",
    "$JS.API.CONSUMER.DELETE.KV_proof.*",
    "$JS.API.CONSUMER.INFO.KV_proof.*",
    "$JS.FC.KV_proof.>",
];

/// What a user who also writes must be allowed beside.
pub const WRITE: &[&str] = &["$KV.proof.>", "$JS.API.STREAM.PURGE.KV_proof"];

/// Seconds from the lame duck signal to the first connection that the server closes.
pub const GRACE: u64 = 20;

/// Words that say what kind of server it is, and what they mean.
pub const WORDS: &[(&str, &str)] = &[
    ("users", "users with passwords"),
    ("token", "a token"),
    ("nkey", "a user with an nkey"),
    ("jwt", "an operator, and users with JWTs"),
    ("permissions", "users with passwords, of whom some may do little"),
    ("tls", "TLS, by the CA told of"),
    ("tls-first", "TLS before INFO"),
    ("tls-auto", "TLS before INFO, or after it for who waits 50 ms"),
    ("mtls", "TLS, and a client certificate is demanded"),
    ("tls-name-only", "TLS, by a certificate for localhost and not for 127.0.0.1"),
    ("tls-wrong-name", "TLS, by a certificate for another host"),
    ("tls-expired", "TLS, by a certificate whose time is over"),
    ("tls-unknown-ca", "TLS, by a certificate of another CA than the one told of"),
    ("wss", "TLS on the WebSocket port alone"),
    ("three-subscriptions", "no connection may have more than three"),
    ("cluster", "three servers that know each other"),
];

/// One server or a cluster, running; ended when dropped.
#[derive(Debug)]
pub struct Proof {
    pub servers: Vec<Server>,
    words: Vec<String>,
    access: Access,
    certificates: Option<(Certificates, Pair)>,
    /// Each with `as` and `accepted`, and the fields that a client takes.
    pub credentials: Vec<Value>,
    folder: PathBuf,
    cluster_ports: [u16; 3],
}

/// Who is let in.
#[derive(Debug)]
enum Access {
    Everyone,
    Users { is_revoked: bool },
    Token { is_revoked: bool },
    Nkey { public: String },
    Operator { operator: Box<Operator>, user: User },
    Permissions,
}

const PASSWORD: &str = "p@ss/wörd:%41 #1";

impl Proof {
    /// Starts servers of a kind; None when there is no nats-server.
    pub fn start(words: &[&str]) -> io::Result<Option<Self>> {
        if let Some(unknown) = words.iter().find(|word| WORDS.iter().all(|(known, _)| known != *word)) {
            return Err(io::Error::other(format!("no kind of server is called {unknown:?}")));
        }
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        let is = |word: &str| words.iter().any(|given| given == word);
        let [number] = free_ports()?;
        let folder = env::temp_dir().join(format!("natskv-proof-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let certificates = words.iter().any(|word| word.contains("tls") || word == "wss");
        let certificates = if certificates {
            let made = Certificates::new(&folder)?;
            let server = made.server(match () {
                () if is("tls-name-only") => Certificate::NameOnly,
                () if is("tls-wrong-name") => Certificate::WrongName,
                () if is("tls-expired") => Certificate::Expired,
                () if is("tls-unknown-ca") => Certificate::UnknownCa,
                () => Certificate::Good,
            })?;
            Some((made, server))
        } else {
            None
        };
        let nodes = if is("cluster") { 3 } else { 1 };
        let mut proof = Self {
            servers: Vec::new(),
            access: Access::Everyone,
            certificates,
            credentials: vec![credential("nobody", true, json!({}))],
            folder,
            cluster_ports: free_ports()?,
            words,
        };
        proof.admit()?;
        for node in 0..nodes {
            let Some(server) = Server::begin(&proof.settings(node)?)? else { return Ok(None) };
            proof.servers.push(server);
        }
        for server in &proof.servers {
            server.wait_until_ready()?;
        }
        Ok(Some(proof))
    }

    fn is(&self, word: &str) -> bool {
        self.words.iter().any(|given| given == word)
    }

    /// Decides who is let in, and lists what opens the door and what does not.
    fn admit(&mut self) -> io::Result<()> {
        let nobody = credential("nobody", false, json!({}));
        let user = |name: &str, password: &str| json!({"user": name, "password": password});
        if self.is("users") {
            self.access = Access::Users { is_revoked: false };
            self.credentials = vec![
                credential("user and password", true, user("alice", PASSWORD)),
                credential("a wrong password", false, user("alice", "wrong-secret")),
                credential("an unknown user", false, user("mallory", PASSWORD)),
                nobody,
            ];
        } else if self.is("token") {
            self.access = Access::Token { is_revoked: false };
            self.credentials = vec![
                credential("token", true, json!({"token": PASSWORD})),
                credential("a wrong token", false, json!({"token": "wrong-secret"})),
                nobody,
            ];
        } else if self.is("nkey") {
            let (key, other) = (Key::new(KeyKind::User)?, Key::new(KeyKind::User)?);
            self.access = Access::Nkey { public: key.public() };
            self.credentials = vec![
                credential("nkey", true, json!({"nkey_seed": key.seed(), "nkey": key.public()})),
                credential("an unknown nkey", false, json!({"nkey_seed": other.seed(), "nkey": other.public()})),
                nobody,
            ];
        } else if self.is("jwt") {
            let operator = Box::new(Operator::new()?);
            let user = operator.user(Claims::default())?;
            let bearer = operator.user(Claims { is_bearer: true, ..Claims::default() })?;
            let expired = operator.user(Claims { expires_in: Some(-10), ..Claims::default() })?;
            let (stranger, other) = (Operator::stranger()?, Key::new(KeyKind::User)?);
            let wrong_key = User { jwt: user.jwt.clone(), key: other };
            self.credentials = vec![
                self.creds("JWT and seed", true, &user)?,
                credential("bearer JWT", true, json!({"jwt": bearer.jwt})),
                self.creds("an expired JWT", false, &expired)?,
                self.creds("a JWT of an unknown account", false, &stranger)?,
                self.creds("a JWT with another's seed", false, &wrong_key)?,
                credential("a JWT without a signature", false, json!({"jwt": user.jwt})),
                nobody,
            ];
            self.access = Access::Operator { operator, user };
        } else if self.is("permissions") {
            self.access = Access::Permissions;
            let names = ["admin", "reader", "writer", "narrow", "inbox", "silent"];
            self.credentials = names.map(|name| credential(name, true, user(name, PASSWORD))).into();
            self.credentials.push(nobody);
        }
        Ok(())
    }

    /// A credential with its file beside.
    fn creds(&self, name: &str, is_accepted: bool, user: &User) -> io::Result<Value> {
        let file = self.folder.join(format!("{}.creds", name.replace([' ', '\''], "-")));
        fs::write(&file, user.creds())?;
        let fields = json!({"jwt": user.jwt, "nkey_seed": user.key.seed(), "creds": file, "creds_text": user.creds()});
        Ok(credential(name, is_accepted, fields))
    }

    fn settings(&self, node: usize) -> io::Result<Settings> {
        let mut settings = Settings::default();
        settings.extra.push_str(&format!("lame_duck_grace_period: \"{GRACE}s\"\nlame_duck_duration: \"30s\"\n"));
        settings.extra.push_str(&self.access_config());
        if self.is("three-subscriptions") {
            settings.extra.push_str("max_subscriptions: 3\n");
        }
        if let Some((certificates, pair)) = &self.certificates {
            let mut tls = format!("cert_file: {:?}, key_file: {:?}", pair.certificate, pair.key);
            if self.is("mtls") {
                tls.push_str(&format!(", ca_file: {:?}, verify: true", certificates.ca()));
            }
            settings.websocket = format!("tls {{ {tls} }}");
            let first = match () {
                () if self.is("tls-first") => ", handshake_first: true",
                () if self.is("tls-auto") => ", handshake_first: auto",
                () => "",
            };
            if !self.is("wss") {
                settings.extra.push_str(&format!("tls {{ {tls}{first} }}\n"));
            }
        }
        if self.is("cluster") {
            let [a, b, c] = self.cluster_ports.map(|port| format!("\"nats://127.0.0.1:{port}\""));
            let port = self.cluster_ports[node];
            // One route between two servers: with several, 2.15.1 at times mistakes one for another while all start at once ("Not
            // possible to have a dedicated route"), and then it takes long to find a leader.
            settings.extra.push_str(&format!(
                "server_name: n{node}\ncluster {{ name: proof, listen: \"127.0.0.1:{port}\", pool_size: -1, routes: [{a}, {b}, {c}] }}\n"
            ));
        }
        Ok(settings)
    }

    fn access_config(&self) -> String {
        match &self.access {
            Access::Everyone => String::new(),
            Access::Users { is_revoked: false } => {
                format!(
                    "authorization {{ users: [{{ user: alice, password: {PASSWORD:?} }}, {{ user: bob, password: other }}] }}\n"
                )
            }
            Access::Users { is_revoked: true } => "authorization { users: [{ user: bob, password: other }] }\n".into(),
            Access::Token { is_revoked: false } => format!("authorization {{ token: {PASSWORD:?} }}\n"),
            Access::Token { is_revoked: true } => "authorization { token: \"changed\" }\n".into(),
            Access::Nkey { public } => format!("authorization {{ users: [{{ nkey: {public} }}] }}\n"),
            Access::Operator { operator, .. } => operator.config(),
            Access::Permissions => permissions(),
        }
    }

    /// Takes the first credential's rights away and tells all servers.
    pub fn revoke(&mut self) -> io::Result<()> {
        let has_tls = self.words.iter().any(|word| word.contains("tls"));
        match &mut self.access {
            Access::Operator { .. } if has_tls => return Err(io::Error::other("jwt can be revoked only without TLS")),
            Access::Everyone | Access::Permissions => return Err(io::Error::other("nothing can be revoked here")),
            Access::Users { is_revoked } | Access::Token { is_revoked } => *is_revoked = true,
            Access::Nkey { public } => *public = Key::new(KeyKind::User)?.public(),
            Access::Operator { operator, user } => {
                operator.revoke(user);
                return self.servers.iter().try_for_each(|server| operator.push(server.port));
            }
        }
        for (node, server) in self.servers.iter().enumerate() {
            server.configure(&self.settings(node)?)?;
            server.signal("HUP")?;
        }
        Ok(())
    }

    /// A new user whose JWT is good for so many seconds.
    pub fn user(&self, seconds: i64) -> io::Result<Value> {
        let Access::Operator { operator, .. } = &self.access else {
            return Err(io::Error::other("only servers of the kind jwt have users that expire"));
        };
        let user = operator.user(Claims { expires_in: Some(seconds), ..Claims::default() })?;
        self.creds(&format!("expires in {seconds} s"), true, &user)
    }

    /// All that a client's test needs to know.
    pub fn describe(&self) -> Value {
        let has_tls = self.certificates.is_some();
        let (scheme, host) = if has_tls && !self.is("wss") { ("tls", "localhost") } else { ("nats", "127.0.0.1") };
        let (ws_scheme, ws_host) = if has_tls { ("wss", "localhost") } else { ("ws", "127.0.0.1") };
        let all = |scheme: &str, host: &str, port: fn(&Server) -> u16| -> Vec<String> {
            self.servers.iter().map(|server| format!("{scheme}://{host}:{}", port(server))).collect()
        };
        let urls = all(scheme, host, |server| server.port);
        let ws_urls = all(ws_scheme, ws_host, |server| server.ws_port);
        let client = |is_known| -> Value {
            let pair = self.certificates.as_ref().and_then(|(certificates, _)| certificates.client(is_known).ok());
            pair.map_or(Value::Null, |pair| json!({"certificate": pair.certificate, "key": pair.key}))
        };
        json!({
            "kind": self.words, "url": urls[0], "ws_url": ws_urls[0], "urls": urls, "ws_urls": ws_urls,
            "monitor_urls": all("http", "127.0.0.1", |server| server.monitor_port),
            "ca": self.certificates.as_ref().map(|(certificates, _)| certificates.ca()),
            "other_ca": self.certificates.as_ref().map(|(certificates, _)| certificates.other_ca()),
            "client": client(true), "other_client": client(false),
            "credentials": self.credentials, "bucket": BUCKET, "grace": GRACE,
        })
    }
}

impl Drop for Proof {
    fn drop(&mut self) {
        self.servers.clear();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn credential(name: &str, is_accepted: bool, mut fields: Value) -> Value {
    fields["as"] = name.into();
    fields["accepted"] = is_accepted.into();
    fields
}

/// `admin` may all; `reader` and `writer` what they need for the bucket; `narrow` only gets below `pub.`; `inbox` is a writer who
/// may subscribe to nothing but `_INBOX_inbox.>`; `silent` a reader without the flow control subject.
fn permissions() -> String {
    let list = |subjects: &[&[&str]]| {
        let quoted: Vec<String> = subjects.concat().iter().map(|subject| format!("{subject:?}")).collect();
        format!("[{}]", quoted.join(", "))
    };
    let user = |name: &str, publish: &str, subscribe: &str| {
        format!(
            "{{ user: {name}, password: {PASSWORD:?}, permissions: {{ publish: {publish}, subscribe: {subscribe} }} }}"
        )
    };
    let read_silently: Vec<&str> = READ.iter().copied().filter(|subject| !subject.starts_with("$JS.FC")).collect();
    let users = [
        format!("{{ user: admin, password: {PASSWORD:?} }}"),
        user("reader", &list(&[READ]), "\"_INBOX.>\""),
        user("writer", &list(&[READ, WRITE]), "\"_INBOX.>\""),
        user("narrow", "\"$JS.API.DIRECT.GET.KV_proof.$KV.proof.pub.>\"", "\"_INBOX.>\""),
        user("inbox", &list(&[READ, WRITE]), "\"_INBOX_inbox.>\""),
        user("silent", &list(&[&read_silently]), "\"_INBOX.>\""),
    ];
    format!("authorization {{ users: [{}] }}\n", users.join(", "))
}
