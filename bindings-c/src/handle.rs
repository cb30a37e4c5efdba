//! What a bucket handle is to be like, and what it turned out to be.

use std::{ffi::c_char, mem::MaybeUninit, ptr};

use natskv_core::{Error, HandleOptions, KeyPolicy, OnDrift};

use crate::{
    ffi::{self, Options, guard_value, invalid, natskv_flag},
    kv::natskv_kv,
};

/// Which keys a bucket handle takes, and how they are stored.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum natskv_key_policy {
    /// What the bucket's metadata says where the server is asked (natskv_config.key_codec), else NATSKV_KEYS_STRICT.
    NATSKV_KEYS_AS_BUCKET = 0,
    /// `[-/_=.A-Za-z0-9]+` without empty tokens, stored as they are: what all clients agree on.
    NATSKV_KEYS_STRICT = 1,
    /// Printable ASCII but `*` and `>`, without empty tokens, stored as it is; such as "user:12345". Other clients may refuse these.
    NATSKV_KEYS_PERMISSIVE = 2,
    /// Any text. Each token (between dots) is stored as base64, URL alphabet, not padded.
    NATSKV_KEYS_BASE64 = 3,
    /// Paths: "/a/b" is stored as "_root_.a.b", "a/b" as "a.b"; a slash at the end goes.
    NATSKV_KEYS_PATH = 4,
    /// Any text. Bytes outside `[A-Za-z0-9_/-]` are stored as "=" and two upper-case hex digits; dots separate tokens.
    NATSKV_KEYS_ESCAPE = 5,
}

impl natskv_key_policy {
    pub(crate) const fn of(policy: KeyPolicy) -> Self {
        match policy {
            KeyPolicy::Strict => Self::NATSKV_KEYS_STRICT,
            KeyPolicy::Permissive => Self::NATSKV_KEYS_PERMISSIVE,
            KeyPolicy::Base64 => Self::NATSKV_KEYS_BASE64,
            KeyPolicy::Path => Self::NATSKV_KEYS_PATH,
            KeyPolicy::Escape => Self::NATSKV_KEYS_ESCAPE,
        }
    }

    /// Of the number in a struct; None for 0.
    pub(crate) fn core(name: &'static str, policy: i32) -> Result<Option<KeyPolicy>, Error> {
        Ok(Some(match policy {
            0 => return Ok(None),
            1 => KeyPolicy::Strict,
            2 => KeyPolicy::Permissive,
            3 => KeyPolicy::Base64,
            4 => KeyPolicy::Path,
            5 => KeyPolicy::Escape,
            other => return Err(invalid(format!("{name} is {other}; it must be one of the NATSKV_KEYS_ values"))),
        }))
    }
}

/// What creating does with a bucket that exists and differs from what is asked for.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum natskv_on_drift {
    /// NATSKV_BUCKET_EXISTS, and the message lists the fields that differ.
    NATSKV_DRIFT_ERROR = 0,
    /// It is opened as it is; `natskv_kv_drift_at` tells the fields.
    NATSKV_DRIFT_IGNORE = 1,
    /// It is changed to what is asked for; `natskv_kv_drift_at` tells the fields as they were.
    NATSKV_DRIFT_UPDATE = 2,
}

/// What a bucket handle is to be like. Call `natskv_handle_options_init` first. NULL in place of the struct: all defaults.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct natskv_handle_options {
    /// Set by `natskv_handle_options_init`.
    pub struct_size: usize,
    /// Which keys it takes, a `natskv_key_policy`. Default: NATSKV_KEYS_AS_BUCKET.
    pub key_policy: i32,
    /// Reads of keys go to the server that leads the bucket, which knows every acknowledged write. Else any copy may answer, and
    /// only keys that this client wrote or read before are sure not to go back. Default: false.
    pub leader_reads: natskv_flag,
    /// Writes are refused here, with NATSKV_UNSUPPORTED. Default: false.
    pub read_only: natskv_flag,
    /// Writes to keys that begin with `_kv` are allowed. Default: false.
    pub reserved_keys: natskv_flag,
    /// What creating does with an existing bucket that differs, a `natskv_on_drift`. Default: NATSKV_DRIFT_ERROR.
    pub on_drift: i32,
    /// How long opening may take, in milliseconds. Default: 0, the `timeout_ms` of natskv_config, or the client's `request_timeout_ms`.
    pub timeout_ms: i64,
}

// SAFETY: repr(C), begins with its size; numbers and flags of one byte.
unsafe impl Options for natskv_handle_options {
    const INIT: &'static str = "natskv_handle_options_init";

    fn defaults() -> Self {
        Self {
            struct_size: size_of::<Self>(),
            key_policy: natskv_key_policy::NATSKV_KEYS_AS_BUCKET as i32,
            leader_reads: false.into(),
            read_only: false.into(),
            reserved_keys: false.into(),
            on_drift: natskv_on_drift::NATSKV_DRIFT_ERROR as i32,
            timeout_ms: 0,
        }
    }
}

/// Sets all defaults. NULL is fine. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_handle_options_init(options: Option<&mut MaybeUninit<natskv_handle_options>>) {
    if let Some(options) = options {
        options.write(natskv_handle_options::defaults());
    }
}

/// [`natskv_handle_options`] as core takes them.
#[derive(Clone, Copy)]
pub(crate) struct Handle {
    pub(crate) options: HandleOptions,
    pub(crate) on_drift: OnDrift,
    pub(crate) timeout: Option<std::time::Duration>,
}

impl Handle {
    pub(crate) fn of(given: *const natskv_handle_options) -> Result<Self, Error> {
        let given = ffi::options(given)?;
        Ok(Self {
            options: HandleOptions {
                keys: natskv_key_policy::core("key_policy", given.key_policy)?,
                leader_reads: given.leader_reads.is_set(),
                read_only: given.read_only.is_set(),
                reserved_keys: given.reserved_keys.is_set(),
            },
            on_drift: match given.on_drift {
                0 => OnDrift::Error,
                1 => OnDrift::Ignore,
                2 => OnDrift::Update,
                other => {
                    return Err(invalid(format!("on_drift is {other}; it must be one of the NATSKV_DRIFT_ values")));
                }
            },
            timeout: ffi::millis("timeout_ms", given.timeout_ms)?,
        })
    }
}

/// The keys that the handle takes, and how they are stored. NATSKV_KEYS_AS_BUCKET for NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_kv_key_policy(kv: Option<&natskv_kv>) -> natskv_key_policy {
    let none = natskv_key_policy::NATSKV_KEYS_AS_BUCKET;
    guard_value(none, || {
        let policy = kv.and_then(|kv| kv.engine.look(|core| core.key_policy(kv.bucket)).ok());
        policy.map_or(none, natskv_key_policy::of)
    })
}

/// Whether the handle is known to refuse writes: it was opened so, the bucket is sealed, or it mirrors what is no bucket. Why, says
/// `natskv_status_read_only`. False for NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_kv_read_only(kv: Option<&natskv_kv>) -> bool {
    guard_value(false, || {
        kv.is_some_and(|kv| kv.engine.look(|core| core.read_only(kv.bucket).is_some()).unwrap_or(false))
    })
}

/// How many fields of the bucket differed from what its creation asked for, with NATSKV_DRIFT_IGNORE or NATSKV_DRIFT_UPDATE; else 0.
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_kv_drift_count(kv: Option<&natskv_kv>) -> usize {
    kv.map_or(0, |kv| kv.drift.len())
}

/// What differed, a text for each field; NULL beyond the last one. It lives as long as the handle. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_kv_drift_at(kv: Option<&natskv_kv>, index: usize) -> *const c_char {
    kv.and_then(|kv| kv.drift.get(index)).map_or(ptr::null(), |text| text.as_ptr())
}
