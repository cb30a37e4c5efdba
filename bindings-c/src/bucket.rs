//! Buckets: made, opened, changed, listed and deleted.

use std::{
    ffi::{CStr, c_char, c_void},
    mem::MaybeUninit,
    ptr,
    sync::Arc,
};

use natskv_core::{BucketConfig, Client as Core, Compare, Error, Instant, OpId, Outcome};

use crate::{
    bucket_config::natskv_config,
    client::natskv_client,
    engine::unexpected,
    entry::natskv_keys_list,
    ffi::{self, boxed, guard, invalid, millis, natskv_code, natskv_error, required, text},
    handle::{Handle, natskv_handle_options},
    kv::natskv_kv,
    kv_async::callback,
    reply::{natskv_callback, natskv_op},
    status::natskv_status_list,
};

/// Core's form of a configuration that must be there, and of the handle that it is for.
fn given(config: *const natskv_config) -> Result<(BucketConfig, Handle), Error> {
    if config.is_null() {
        return Err(invalid("config is NULL"));
    }
    let config = ffi::options(config)?;
    let mut handle = Handle::of(config.handle)?;
    handle.timeout = handle.timeout.or(millis("timeout_ms", config.timeout_ms)?);
    Ok((config.core()?, handle))
}

/// The commands that open a bucket, alike in both forms.
fn create(config: &BucketConfig, handle: Handle) -> impl FnOnce(&mut Core, Instant) -> Result<OpId, Error> {
    move |core, now| core.create_bucket(config, &handle.options, Compare::All, handle.on_drift, handle.timeout, now)
}

fn update(config: &BucketConfig, handle: Handle) -> impl FnOnce(&mut Core, Instant) -> Result<OpId, Error> {
    move |core, now| core.update_bucket(config, &handle.options, handle.timeout, now)
}

fn create_or_update(config: &BucketConfig, handle: Handle) -> impl FnOnce(&mut Core, Instant) -> Result<OpId, Error> {
    move |core, now| core.create_or_update_bucket(config, &handle.options, handle.timeout, now)
}

fn open(name: &str, handle: Handle) -> impl FnOnce(&mut Core, Instant) -> Result<OpId, Error> {
    move |core, now| core.open(name, &handle.options, handle.timeout, now)
}

impl natskv_client {
    /// A command that answers with an opened bucket, to its end.
    fn opened(
        &self,
        out: &mut MaybeUninit<*mut natskv_kv>,
        command: impl FnOnce(&mut Core, Instant) -> Result<OpId, Error>,
    ) -> Result<(), Error> {
        let Outcome::Opened(opened) = self.engine.call(command)? else { return Err(unexpected()) };
        out.write(boxed(natskv_kv::opened(Arc::clone(&self.engine), &opened)));
        Ok(())
    }

    /// Starts a command.
    pub(crate) fn submit(
        &self,
        callback: natskv_callback,
        user: *mut c_void,
        op: Option<&mut MaybeUninit<natskv_op>>,
        command: impl FnOnce(&mut Core, Instant) -> Result<OpId, Error>,
    ) -> Result<(), Error> {
        let no_bucket: Arc<CStr> = Arc::from(c"");
        let id = self.engine.submit(self::callback(callback, user, &no_bucket)?, command)?;
        if let Some(op) = op {
            op.write(id.0);
        }
        Ok(())
    }
}

/// Creates the bucket, or opens an existing one that equals the whole configuration, defaults included. What happens to one that
/// differs, says `on_drift` of `config->handle`. `*out` gets the handle, to be freed with `natskv_kv_free`.
///
/// Errors: NATSKV_BUCKET_EXISTS where it differs, and the message lists how; NATSKV_INVALID_BUCKET, NATSKV_HISTORY_TOO_LARGE and
/// NATSKV_INVALID_ARGUMENT before anything is sent; NATSKV_SERVER with the server's words; NATSKV_TIMEOUT and those of the
/// connection. Any thread; inside a callback of the same client NATSKV_WOULD_DEADLOCK (this holds for all blocking functions).
#[unsafe(no_mangle)]
pub extern "C" fn natskv_bucket_create(
    client: Option<&natskv_client>,
    config: *const natskv_config,
    out: Option<&mut MaybeUninit<*mut natskv_kv>>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard(err, || {
        let (client, (config, handle), out) = (required("client", client)?, given(config)?, required("out", out)?);
        client.opened(out, create(&config, handle))
    })
}

/// `natskv_bucket_create` from the JSON form of a configuration, such as `{"bucket": "b", "history": 5}`; durations in it are
/// integer nanoseconds. An unknown field, a wrong type or a value out of range is NATSKV_INVALID_ARGUMENT and names the field.
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_bucket_create_json(
    client: Option<&natskv_client>,
    json: *const c_char,
    out: Option<&mut MaybeUninit<*mut natskv_kv>>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    natskv_bucket_create_json_with(client, json, ptr::null(), out, err)
}

/// `natskv_bucket_create_json` for a handle with `options`, which may be NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_bucket_create_json_with(
    client: Option<&natskv_client>,
    json: *const c_char,
    options: *const natskv_handle_options,
    out: Option<&mut MaybeUninit<*mut natskv_kv>>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard(err, || {
        let (client, json, out) = (required("client", client)?, text("json", json)?, required("out", out)?);
        let (config, handle) = (BucketConfig::from_json(json)?, Handle::of(options)?);
        client.opened(out, create(&config, handle))
    })
}

/// Changes the fields that are given and opens the bucket. NATSKV_BUCKET_NOT_FOUND where there is none. Otherwise as
/// `natskv_bucket_create`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_bucket_update(
    client: Option<&natskv_client>,
    config: *const natskv_config,
    out: Option<&mut MaybeUninit<*mut natskv_kv>>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard(err, || {
        let (client, (config, handle), out) = (required("client", client)?, given(config)?, required("out", out)?);
        client.opened(out, update(&config, handle))
    })
}

/// Changes the fields that are given, or creates the bucket where there is none; opens it. Otherwise as `natskv_bucket_create`.
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_bucket_create_or_update(
    client: Option<&natskv_client>,
    config: *const natskv_config,
    out: Option<&mut MaybeUninit<*mut natskv_kv>>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard(err, || {
        let (client, (config, handle), out) = (required("client", client)?, given(config)?, required("out", out)?);
        client.opened(out, create_or_update(&config, handle))
    })
}

/// Opens an existing bucket; asks the server. NATSKV_BUCKET_NOT_FOUND where there is none, NATSKV_NOT_A_BUCKET where the stream
/// of that name is something else, NATSKV_UNSUPPORTED where its metadata names a codec of keys that is not known here,
/// NATSKV_INVALID_BUCKET for the name. Free the handle with `natskv_kv_free`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_bucket_open(
    client: Option<&natskv_client>,
    name: *const c_char,
    out: Option<&mut MaybeUninit<*mut natskv_kv>>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    natskv_bucket_open_with(client, name, ptr::null(), out, err)
}

/// `natskv_bucket_open` for a handle with `options`, which may be NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_bucket_open_with(
    client: Option<&natskv_client>,
    name: *const c_char,
    options: *const natskv_handle_options,
    out: Option<&mut MaybeUninit<*mut natskv_kv>>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard(err, || {
        let (client, name, out) = (required("client", client)?, text("name", name)?, required("out", out)?);
        client.opened(out, open(name, Handle::of(options)?))
    })
}

/// A handle to a bucket without asking the server, which is assumed to have it: costs nothing, works while disconnected and
/// inside callbacks. Where there is no such bucket, operations fail. Open mirrors and buckets whose keys have a codec instead, unless
/// `natskv_bucket_bind_with` names the codec. Free the handle with `natskv_kv_free`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_bucket_bind(
    client: Option<&natskv_client>,
    name: *const c_char,
    out: Option<&mut MaybeUninit<*mut natskv_kv>>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    natskv_bucket_bind_with(client, name, ptr::null(), out, err)
}

/// `natskv_bucket_bind` for a handle with `options`, which may be NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_bucket_bind_with(
    client: Option<&natskv_client>,
    name: *const c_char,
    options: *const natskv_handle_options,
    out: Option<&mut MaybeUninit<*mut natskv_kv>>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard(err, || {
        let (client, name, out) = (required("client", client)?, text("name", name)?, required("out", out)?);
        let handle = Handle::of(options)?;
        let bucket = client.engine.tell(|core, _| core.bind(name, &handle.options))??;
        out.write(boxed(natskv_kv::new(Arc::clone(&client.engine), bucket, name)));
        Ok(())
    })
}

/// Deletes a bucket with all its keys. NATSKV_BUCKET_NOT_FOUND where there is none. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_bucket_delete(
    client: Option<&natskv_client>,
    name: *const c_char,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard(err, || {
        let (client, name) = (required("client", client)?, text("name", name)?);
        client.engine.call(|core, now| core.delete_bucket(name, None, now)).map(drop)
    })
}

/// The names of all buckets, sorted. Free the list with `natskv_keys_list_free`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_bucket_names(
    client: Option<&natskv_client>,
    out: Option<&mut MaybeUninit<*mut natskv_keys_list>>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard(err, || {
        let (client, out) = (required("client", client)?, required("out", out)?);
        let names = client.engine.call(|core, now| core.bucket_names(None, now))?;
        let Outcome::Names(names) = names else { return Err(unexpected()) };
        out.write(boxed(natskv_keys_list::new(&names)));
        Ok(())
    })
}

/// The statuses of all buckets, sorted by name. Free the list with `natskv_status_list_free`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_bucket_list(
    client: Option<&natskv_client>,
    out: Option<&mut MaybeUninit<*mut natskv_status_list>>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard(err, || {
        let (client, out) = (required("client", client)?, required("out", out)?);
        let statuses = client.engine.call(|core, now| core.bucket_list(None, now))?;
        let Outcome::Statuses(statuses) = statuses else { return Err(unexpected()) };
        out.write(boxed(natskv_status_list::new(statuses)));
        Ok(())
    })
}

/// `natskv_bucket_create` without waiting: the handle comes in `reply->kv`. See `natskv_get_async` for what all async forms share.
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_bucket_create_async(
    client: Option<&natskv_client>,
    config: *const natskv_config,
    callback: natskv_callback,
    user: *mut c_void,
    op: Option<&mut MaybeUninit<natskv_op>>,
) -> natskv_code {
    guard(None, || {
        let (client, (config, handle)) = (required("client", client)?, given(config)?);
        client.submit(callback, user, op, create(&config, handle))
    })
}

/// `natskv_bucket_create_json` without waiting: the handle comes in `reply->kv`. See `natskv_get_async` for what all async forms share.
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_bucket_create_json_async(
    client: Option<&natskv_client>,
    json: *const c_char,
    callback: natskv_callback,
    user: *mut c_void,
    op: Option<&mut MaybeUninit<natskv_op>>,
) -> natskv_code {
    natskv_bucket_create_json_with_async(client, json, ptr::null(), callback, user, op)
}

/// `natskv_bucket_create_json_with` without waiting: the handle comes in `reply->kv`. See `natskv_get_async` for what all async forms share.
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_bucket_create_json_with_async(
    client: Option<&natskv_client>,
    json: *const c_char,
    options: *const natskv_handle_options,
    callback: natskv_callback,
    user: *mut c_void,
    op: Option<&mut MaybeUninit<natskv_op>>,
) -> natskv_code {
    guard(None, || {
        let (client, json) = (required("client", client)?, text("json", json)?);
        let (config, handle) = (BucketConfig::from_json(json)?, Handle::of(options)?);
        client.submit(callback, user, op, create(&config, handle))
    })
}

/// `natskv_bucket_update` without waiting: the handle comes in `reply->kv`. See `natskv_get_async` for what all async forms share.
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_bucket_update_async(
    client: Option<&natskv_client>,
    config: *const natskv_config,
    callback: natskv_callback,
    user: *mut c_void,
    op: Option<&mut MaybeUninit<natskv_op>>,
) -> natskv_code {
    guard(None, || {
        let (client, (config, handle)) = (required("client", client)?, given(config)?);
        client.submit(callback, user, op, update(&config, handle))
    })
}

/// `natskv_bucket_create_or_update` without waiting: the handle comes in `reply->kv`. See `natskv_get_async` for what all async forms share.
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_bucket_create_or_update_async(
    client: Option<&natskv_client>,
    config: *const natskv_config,
    callback: natskv_callback,
    user: *mut c_void,
    op: Option<&mut MaybeUninit<natskv_op>>,
) -> natskv_code {
    guard(None, || {
        let (client, (config, handle)) = (required("client", client)?, given(config)?);
        client.submit(callback, user, op, create_or_update(&config, handle))
    })
}

/// `natskv_bucket_open` without waiting: the handle comes in `reply->kv`. See `natskv_get_async` for what all async forms share.
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_bucket_open_async(
    client: Option<&natskv_client>,
    name: *const c_char,
    callback: natskv_callback,
    user: *mut c_void,
    op: Option<&mut MaybeUninit<natskv_op>>,
) -> natskv_code {
    natskv_bucket_open_with_async(client, name, ptr::null(), callback, user, op)
}

/// `natskv_bucket_open_with` without waiting: the handle comes in `reply->kv`. See `natskv_get_async` for what all async forms share.
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_bucket_open_with_async(
    client: Option<&natskv_client>,
    name: *const c_char,
    options: *const natskv_handle_options,
    callback: natskv_callback,
    user: *mut c_void,
    op: Option<&mut MaybeUninit<natskv_op>>,
) -> natskv_code {
    guard(None, || {
        let (client, name) = (required("client", client)?, text("name", name)?);
        client.submit(callback, user, op, open(name, Handle::of(options)?))
    })
}

/// `natskv_bucket_delete` without waiting: the end comes in `reply->code`. See `natskv_get_async` for what all async forms share.
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_bucket_delete_async(
    client: Option<&natskv_client>,
    name: *const c_char,
    callback: natskv_callback,
    user: *mut c_void,
    op: Option<&mut MaybeUninit<natskv_op>>,
) -> natskv_code {
    guard(None, || {
        let (client, name) = (required("client", client)?, text("name", name)?);
        client.submit(callback, user, op, |core, now| core.delete_bucket(name, None, now))
    })
}

/// `natskv_bucket_names` without waiting: the list comes in `reply->keys`. See `natskv_get_async` for what all async forms share.
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_bucket_names_async(
    client: Option<&natskv_client>,
    callback: natskv_callback,
    user: *mut c_void,
    op: Option<&mut MaybeUninit<natskv_op>>,
) -> natskv_code {
    guard(None, || {
        let client = required("client", client)?;
        client.submit(callback, user, op, |core, now| core.bucket_names(None, now))
    })
}

/// `natskv_bucket_list` without waiting: the list comes in `reply->statuses`. See `natskv_get_async` for what all async forms share.
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_bucket_list_async(
    client: Option<&natskv_client>,
    callback: natskv_callback,
    user: *mut c_void,
    op: Option<&mut MaybeUninit<natskv_op>>,
) -> natskv_code {
    guard(None, || {
        let client = required("client", client)?;
        client.submit(callback, user, op, |core, now| core.bucket_list(None, now))
    })
}
