//! Who the client says it is: what the user gave, checked once, and what CONNECT says of it.
//!
//! Seeds never leave: with the feature `nkeys` the server's nonce is signed here, without it the binding is asked to.

use alloc::{format, string::String, vec::Vec};

use crate::{
    base64::URL_SAFE_NO_PAD,
    config::Config,
    error::{Error, ErrorCode},
    proto::{
        creds::Creds,
        nkey::{self, KeyKind, Seed},
    },
    secret::Secret,
};

/// What opens the door: one of a user with a password, a token, an nkey, or a JWT. Nothing at all is `default()`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// User name.
    pub user: Option<String>,
    /// Password of `user`.
    pub password: Option<Secret>,
    /// Token.
    pub token: Option<Secret>,
    /// Seed of a user's nkey, `SU…`: logs in by itself, or signs for `jwt`.
    pub nkey_seed: Option<Secret>,
    /// Public nkey, `U…`, of a user whose seed only the binding knows; wants `signs`.
    pub nkey: Option<String>,
    /// A user's JWT. With neither `nkey_seed` nor `signs` it is sent alone, which is enough for a bearer JWT.
    pub jwt: Option<Secret>,
    /// The text of a credentials file: a JWT, a seed, or both.
    pub creds: Option<Secret>,
    /// Whether the binding signs the server's nonce: `Action::Sign`.
    pub signs: bool,
}

impl Credentials {
    /// Whether they can open a door at all: exactly one way in, or none, and well-formed.
    pub fn check(&self) -> Result<(), Error> {
        Login::of(self).map(drop)
    }
}

/// Why credentials are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The first connection is being made.
    First,
    /// A later one, and nothing was wrong with the last credentials.
    Reconnect,
    /// A server refused the last ones.
    Refused,
    /// A server accepted the last ones and then no longer: they expired or were revoked.
    Expired,
}

/// The answer to `Action::Sign`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// ed25519 over the bytes of the nonce as they are.
    pub signature: [u8; 64],
    /// The seed's public key; needed for an nkey without a JWT, where the action had a seed.
    pub public_key: Option<[u8; 32]>,
}

/// Credentials that make sense.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Login {
    #[default]
    Nobody,
    User {
        user: String,
        password: Secret,
    },
    Token(Secret),
    Nkey {
        /// None: the seed's.
        public: Option<String>,
        signer: Signer,
    },
    Jwt {
        jwt: Secret,
        signer: Option<Signer>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Signer {
    Seed(Seed),
    Binding,
}

/// What is still to be done before CONNECT.
#[derive(Debug)]
pub(crate) enum Signing {
    /// Nothing.
    Done(Option<Signature>),
    /// The binding signs.
    Asked { nonce: String, seed: Option<Seed> },
}

impl Login {
    pub(crate) fn of_config(config: &Config) -> Result<Self, Error> {
        if config.asks_credentials && config.credentials != Credentials::default() {
            return Err(Error::argument("credentials: give them or have them asked for, not both"));
        }
        Self::of(&config.credentials)
    }

    /// Checks that exactly one way in was given, or none.
    pub(crate) fn of(given: &Credentials) -> Result<Self, Error> {
        let Credentials { user, password, token, nkey_seed, nkey, jwt, creds, signs } = given;
        let ways = [
            ("user", user.is_some() || password.is_some()),
            ("token", token.is_some()),
            ("credentials", creds.is_some()),
            ("an nkey or JWT", nkey_seed.is_some() || nkey.is_some() || jwt.is_some()),
        ];
        let mut ways = ways.into_iter().filter(|(_, is_given)| *is_given).map(|(name, _)| name);
        if let (Some(one), Some(other)) = (ways.next(), ways.next()) {
            return Err(Error::argument(format!("{one} and {other} exclude each other")));
        }
        match (user, password, token) {
            (Some(user), password, _) => {
                let password = password.clone().unwrap_or_else(|| "".into());
                return Ok(Self::User { user: user.clone(), password });
            }
            (None, Some(_), _) => return Err(Error::argument("password: a user is needed with it")),
            (None, None, Some(token)) => return Ok(Self::Token(token.clone())),
            (None, None, None) => {}
        }
        let mut seed = nkey_seed.as_ref().map(|seed| user_seed(seed.as_str())).transpose()?;
        let mut jwt = jwt.clone();
        if let Some(creds) = creds {
            let found = Creds::parse(creds.as_str())?;
            seed = found.seed.map(user_seed).transpose()?;
            jwt = found.jwt.map(Secret::from);
        }
        let signer = match (seed, signs) {
            (Some(_), true) => return Err(Error::argument("a seed is there, so nobody else has to sign")),
            (Some(seed), false) => Some(Signer::Seed(seed)),
            (None, true) => Some(Signer::Binding),
            (None, false) => None,
        };
        if let Some(nkey) = nkey {
            nkey::check_public_user(nkey)?;
        }
        match (jwt, nkey, signer) {
            (Some(_), Some(_), _) => Err(Error::argument("a JWT names its nkey; leave nkey out")),
            (Some(jwt), None, signer) => Ok(Self::Jwt { jwt, signer }),
            (None, Some(_), Some(Signer::Seed(_))) => {
                Err(Error::argument("an nkey's seed tells the nkey; leave nkey out"))
            }
            (None, None, Some(Signer::Binding)) => {
                Err(Error::argument("who signs must say for what: an nkey or a JWT"))
            }
            (None, None, Some(signer)) => Ok(Self::Nkey { public: None, signer }),
            (None, Some(nkey), Some(signer)) => Ok(Self::Nkey { public: Some(nkey.clone()), signer }),
            (None, Some(_), None) => Err(Error::argument("nkey: its seed or someone who signs is needed with it")),
            (None, None, None) => Ok(Self::Nobody),
        }
    }

    /// Signs the nonce of the server's first INFO, or says who has to.
    pub(crate) fn sign(&self, nonce: Option<&str>) -> Result<Signing, Error> {
        let (signer, needs_nonce) = match self {
            Self::Nkey { signer, .. } => (Some(signer), true),
            Self::Jwt { signer, .. } => (signer.as_ref(), false),
            Self::Nobody | Self::User { .. } | Self::Token(_) => (None, false),
        };
        match (signer, nonce) {
            (Some(signer), Some(nonce)) => Ok(signer.sign(nonce)),
            (Some(_), None) if needs_nonce => {
                Err(Error::new(ErrorCode::Auth, "the server sends no nonce to sign: it knows no nkeys"))
            }
            _ => Ok(Signing::Done(None)), // a JWT goes unsigned where there is nothing to sign: the server decides
        }
    }

    /// What CONNECT says of it.
    pub(crate) fn fields(&self, signature: Option<&Signature>) -> Result<Vec<(&'static str, Secret)>, Error> {
        let mut fields = Vec::new();
        match self {
            Self::Nobody => {}
            Self::User { user, password } => {
                fields.extend([("user", user.as_str().into()), ("pass", password.clone())])
            }
            Self::Token(token) => fields.push(("auth_token", token.clone())),
            Self::Jwt { jwt, .. } => fields.push(("jwt", jwt.clone())),
            Self::Nkey { public: Some(public), .. } => fields.push(("nkey", public.as_str().into())),
            Self::Nkey { public: None, .. } => {
                let key = signature.and_then(|signature| signature.public_key);
                let key = key.ok_or_else(|| Error::argument("the signature lacks the public key"))?;
                fields.push(("nkey", nkey::encode_public(KeyKind::User, &key).into()));
            }
        }
        if let Some(signature) = signature {
            fields.push(("sig", URL_SAFE_NO_PAD.encode(&signature.signature).into()));
        }
        Ok(fields)
    }
}

impl Signer {
    fn sign(&self, nonce: &str) -> Signing {
        match self {
            #[cfg(feature = "nkeys")]
            Self::Seed(seed) => Signing::Done(Some(Signature {
                signature: seed.sign(nonce.as_bytes()),
                public_key: Some(seed.public()),
            })),
            #[cfg(not(feature = "nkeys"))]
            Self::Seed(seed) => Signing::Asked { nonce: nonce.into(), seed: Some(seed.clone()) },
            Self::Binding => Signing::Asked { nonce: nonce.into(), seed: None },
        }
    }
}

fn user_seed(text: &str) -> Result<Seed, Error> {
    let seed = Seed::parse(text)?;
    if seed.kind() != KeyKind::User {
        return Err(Error::argument(format!(
            "nkey seed: it is one of kind {}, a user's is needed",
            seed.kind().name()
        )));
    }
    Ok(seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &str = "SUAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H776Y";

    fn login(change: impl FnOnce(&mut Credentials)) -> Result<Login, Error> {
        let mut given = Credentials::default();
        change(&mut given);
        Login::of(&given)
    }

    /// As in browsers: the seed goes out with the question, and the answer brings the public key.
    #[cfg(not(feature = "nkeys"))]
    #[test]
    fn without_ed25519_the_binding_signs() {
        let nkey = login(|c| c.nkey_seed = Some(SEED.into())).expect("nkey");
        let Ok(Signing::Asked { nonce, seed: Some(seed) }) = nkey.sign(Some("N")) else { panic!("asked") };
        assert_eq!((nonce.as_str(), seed.encode().as_str()), ("N", SEED));
        let mut signature = Signature { signature: [1; 64], public_key: None };
        assert!(nkey.fields(Some(&signature)).is_err(), "whose signature?");
        signature.public_key = Some([2; 32]);
        let fields = nkey.fields(Some(&signature)).expect("fields");
        assert!(fields[0].0 == "nkey" && fields[0].1.as_str().starts_with('U') && fields[1].0 == "sig", "{fields:?}");
    }

    type Change = fn(&mut Credentials);

    #[test]
    fn one_way_in_or_none() {
        assert_eq!(login(|_| {}), Ok(Login::Nobody));
        let refused: &[(Change, &str)] = &[
            (|c| (c.user, c.token) = (Some("u".into()), Some("t".into())), "user and token"),
            (|c| (c.token, c.creds) = (Some("t".into()), Some("x".into())), "token and credentials"),
            (|c| (c.jwt, c.user) = (Some("j".into()), Some("u".into())), "user and an nkey or JWT"),
            (|c| c.password = Some("p".into()), "a user is needed"),
            (|c| c.nkey_seed = Some("SUX".into()), "nkey seed"),
            (|c| c.creds = Some("nothing".into()), "neither a JWT nor a seed"),
            (|c| (c.nkey_seed, c.signs) = (Some(SEED.into()), true), "nobody else"),
            (|c| c.signs = true, "for what"),
            (|c| c.nkey = Some("UABC".into()), "no user's public key"),
            (
                |c| c.nkey = Some("UAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3RLKK".into()),
                "its seed or someone",
            ),
        ];
        for (change, part) in refused {
            let error = login(*change).expect_err(part);
            assert!(error.message.contains(part), "{part}: {error}");
        }
        let account = Seed::new(KeyKind::Account, [3; 32]).encode();
        assert!(login(|c| c.nkey_seed = Some(account.as_str().into())).is_err_and(|e| e.message.contains("account")));
    }
}
