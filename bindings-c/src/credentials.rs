//! Who the client says it is: given once, read from a file for each connection, or asked for by callbacks.

use std::{
    ffi::{CString, c_char, c_void},
    fs, ptr,
};

use natskv_core::{ConnId, Credentials, Error, ErrorCode, Reason, Secret, Signature};

use crate::{
    ffi::{invalid, optional_string, optional_text},
    options::{Hooks, natskv_options},
};

/// Why `on_credentials` is called.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum natskv_credentials_reason {
    /// The first connection is being made.
    NATSKV_CREDENTIALS_FIRST = 0,
    /// A later one, and nothing was wrong with the last credentials.
    NATSKV_CREDENTIALS_RECONNECT = 1,
    /// A server refused the last ones.
    NATSKV_CREDENTIALS_REFUSED = 2,
    /// A server accepted the last ones and then no longer: they expired or were revoked.
    NATSKV_CREDENTIALS_EXPIRED = 3,
}

impl natskv_credentials_reason {
    const fn of(reason: Reason) -> Self {
        match reason {
            Reason::First => Self::NATSKV_CREDENTIALS_FIRST,
            Reason::Reconnect => Self::NATSKV_CREDENTIALS_RECONNECT,
            Reason::Refused => Self::NATSKV_CREDENTIALS_REFUSED,
            Reason::Expired => Self::NATSKV_CREDENTIALS_EXPIRED,
        }
    }
}

/// What opens the door, for `on_credentials` to fill in: one of a user with a password, a token, an nkey, a JWT, or the text of a
/// credentials file; nothing at all is fine too. The fields mean what those of natskv_options do.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct natskv_credentials {
    /// User name.
    pub user_name: *const c_char,
    /// Password of `user_name`.
    pub password: *const c_char,
    /// Token.
    pub token: *const c_char,
    /// Seed of a user's nkey.
    pub nkey_seed: *const c_char,
    /// Public nkey, for which `on_sign` signs.
    pub nkey: *const c_char,
    /// A user's JWT.
    pub jwt: *const c_char,
    /// The text of a credentials file.
    pub credentials: *const c_char,
}

/// Says who we are, before each connection: sets fields of `answer`, which are all NULL, and returns 0. The strings are copied when it
/// has returned, and have to live until then, in `user` for instance. Any other number fails this attempt to connect, and another
/// one may follow. It must be back within `connect_timeout_ms`, and other callbacks wait meanwhile.
pub type natskv_on_credentials = Option<
    extern "C" fn(user: *mut c_void, reason: natskv_credentials_reason, answer: Option<&mut natskv_credentials>) -> i32,
>;

/// Signs: writes the 64 bytes of ed25519 over the bytes of `nonce`, without its NUL, to `signature`, and returns 0. Any other number
/// fails this attempt to connect. Otherwise as `natskv_on_credentials`.
pub type natskv_on_sign = Option<extern "C" fn(user: *mut c_void, nonce: *const c_char, signature: *mut u8) -> i32>;

impl natskv_credentials {
    const NONE: Self = Self {
        user_name: ptr::null(),
        password: ptr::null(),
        token: ptr::null(),
        nkey_seed: ptr::null(),
        nkey: ptr::null(),
        jwt: ptr::null(),
        credentials: ptr::null(),
    };

    fn core(&self, on_sign: natskv_on_sign) -> Result<Credentials, Error> {
        let secret = |name, text| Ok::<_, Error>(optional_string(name, text)?.map(Secret::from));
        let has_signer = on_sign.is_some() && self.nkey_seed.is_null();
        let given = Credentials {
            user: optional_string("user_name", self.user_name)?,
            password: secret("password", self.password)?,
            token: secret("token", self.token)?,
            nkey_seed: secret("nkey_seed", self.nkey_seed)?,
            nkey: optional_string("nkey", self.nkey)?,
            jwt: secret("jwt", self.jwt)?,
            creds: secret("credentials", self.credentials)?,
            signs: has_signer && (!self.nkey.is_null() || !self.jwt.is_null()),
        };
        given.check()?;
        Ok(given)
    }
}

/// Where credentials come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// Core has them.
    Given(Credentials),
    /// This file has them, and is read for each connection.
    File(String),
    /// `on_credentials` is asked.
    Asked,
}

impl natskv_options {
    pub(crate) fn credentials(&self) -> Result<Source, Error> {
        let fields = natskv_credentials {
            user_name: self.user_name,
            password: self.password,
            token: self.token,
            nkey_seed: self.nkey_seed,
            nkey: self.nkey,
            jwt: self.jwt,
            credentials: self.credentials,
        };
        let given = fields.core(self.on_sign)?;
        let file = optional_text("credentials_file", self.credentials_file)?;
        let ways = [given != Credentials::default(), file.is_some(), self.on_credentials.is_some()];
        if ways.into_iter().filter(|is_given| *is_given).count() > 1 {
            return Err(invalid("credentials, credentials_file and on_credentials exclude each other: give one"));
        }
        Ok(match file {
            Some(path) => {
                read(path)?;
                Source::File(path.into())
            }
            None if self.on_credentials.is_some() => Source::Asked,
            None => Source::Given(given),
        })
    }
}

/// The credentials of a file.
pub(crate) fn read(path: &str) -> Result<Credentials, Error> {
    let text = fs::read_to_string(path).map_err(|e| invalid(format!("credentials_file {path:?}: {e}")))?;
    let given = Credentials { creds: Some(text.into()), ..Credentials::default() };
    match given.check() {
        Ok(()) => Ok(given),
        Err(error) => Err(Error::new(error.code, format!("credentials_file {path:?}: {}", error.message))),
    }
}

/// What core wants to know of the user.
#[derive(Debug)]
pub(crate) enum Question {
    Credentials(ConnId, Reason),
    Sign(ConnId, String),
}

/// What the user said.
pub(crate) enum Answer {
    Credentials(ConnId, Result<Credentials, Error>),
    Signature(ConnId, Result<Signature, Error>),
}

impl Question {
    pub(crate) fn conn(&self) -> ConnId {
        match self {
            Self::Credentials(conn, _) | Self::Sign(conn, _) => *conn,
        }
    }

    /// Runs the user's callback.
    pub(crate) fn ask(self, hooks: &Hooks) -> Answer {
        let refused = |name, code| Error::new(ErrorCode::Auth, format!("{name} returned {code}"));
        let user = hooks.user.user.0;
        match self {
            Self::Credentials(conn, reason) => {
                let mut answer = natskv_credentials::NONE;
                let reason = natskv_credentials_reason::of(reason);
                let code = hooks.on_credentials.map_or(-1, |ask| ask(user, reason, Some(&mut answer)));
                let given = if code == 0 { answer.core(hooks.on_sign) } else { Err(refused("on_credentials", code)) };
                Answer::Credentials(conn, given)
            }
            Self::Sign(conn, nonce) => {
                let mut signature = [0; 64];
                let nonce = CString::new(nonce).unwrap_or_default();
                let code = hooks.on_sign.map_or(-1, |sign| sign(user, nonce.as_ptr(), signature.as_mut_ptr()));
                let signature = Signature { signature, public_key: None };
                Answer::Signature(conn, if code == 0 { Ok(signature) } else { Err(refused("on_sign", code)) })
            }
        }
    }
}
