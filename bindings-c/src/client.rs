//! The client: connecting, the caller's own loop, the connection's state, and the end.

use std::{
    ffi::{CString, c_char, c_int, c_void},
    mem::MaybeUninit,
    sync::Arc,
    thread::{self, JoinHandle},
};

use natskv_core::{Client as Core, Error, ErrorCode, OpId, Outcome, WatchId};

use crate::{
    engine::{Engine, internal, unexpected},
    ffi::{self, boxed, c_string, guard, guard_value, millis, natskv_code, natskv_error, peek, required, to_millis},
    kv_async::callback,
    net::driver::Driver,
    options::{Hooks, natskv_connection_state, natskv_options},
    reply::{WATCH_BIT, natskv_callback, natskv_op},
};

/// One connection to a NATS server, or to one server after another of a cluster. Any thread may use it, several at once too.
#[derive(Debug)]
pub struct natskv_client {
    pub(crate) engine: Arc<Engine>,
    /// None: the client lives on the caller's loop.
    quiet: Option<JoinHandle<()>>,
}

impl natskv_client {
    fn new(options: &natskv_options, hooks: Hooks, is_external: bool) -> Result<Self, Error> {
        let (config, trust, credentials) = (options.config()?, options.trust()?, options.credentials()?);
        let engine = Arc::new(Engine::new(Driver::new(config, trust, credentials)?, hooks, is_external)?);
        let mut client = Self { engine, quiet: None };
        if !is_external {
            let engine = Arc::clone(&client.engine);
            let quiet = thread::Builder::new().name("natskv".into()).spawn(move || {
                let _ = engine.serve_idle().and_then(|()| engine.finish()); // fails only where a panic broke the client
            });
            client.quiet = Some(quiet.map_err(|_| internal("the system has no thread left for the client"))?);
        }
        Ok(client)
    }
}

impl Drop for natskv_client {
    fn drop(&mut self) {
        let _ = self.engine.close(); // a client broken by a panic has nothing to say any more
        self.engine.end();
        let is_inside = self.engine.is_inside();
        match self.quiet.take() {
            Some(quiet) if !is_inside => drop(quiet.join()),
            Some(_) => {} // freed in a callback: the thread ends after it
            None if !is_inside => drop(self.engine.finish()),
            None => {} // likewise, `natskv_process` finishes
        }
    }
}

/// Connects and waits until requests can go out, at most `connect_timeout_ms` for each server of the list. `options` may be
/// NULL: all defaults. `*out` gets the client, to be freed with `natskv_client_free`. The client has one thread of its own,
/// which serves the connection while nobody waits in a call, and runs the callbacks.
///
/// Errors: NATSKV_CONNECT_FAILED, NATSKV_AUTH, NATSKV_TLS, NATSKV_TIMEOUT, NATSKV_INVALID_ARGUMENT for an option. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_connect(
    options: *const natskv_options,
    out: Option<&mut MaybeUninit<*mut natskv_client>>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard(err, || {
        let options = ffi::options(options)?;
        let hooks = options.hooks();
        let out = required("out", out)?;
        let client = natskv_client::new(&options, hooks, false)?;
        client.engine.call(|core, now| core.ready(Some(FOR_EVER), now))?;
        out.write(boxed(client));
        Ok(())
    })
}

/// Core closes a client whose servers all failed, each with its own timeout; `ready` needs none beside that.
const FOR_EVER: std::time::Duration = std::time::Duration::from_secs(365 * 86_400);

/// A client without any thread, for a program with a loop of its own (poll, epoll, libuv, …). Returns at once; the connection is
/// made, kept and used inside `natskv_process`, and there all callbacks run.
///
///     while (running) {
///         struct pollfd p = { natskv_fd(client), natskv_interest(client), 0 };
///         poll(&p, 1, (int)natskv_timeout_ms(client));
///         natskv_process(client, p.revents);
///     }
///
/// Ask `natskv_fd`, `natskv_interest` and `natskv_timeout_ms` anew before each wait: the descriptor changes with each connection,
/// and what to wait for with each operation. Start operations with the `_async` forms on the loop's thread, or wake the loop
/// afterwards. Blocking functions work too (outside of callbacks): they drive the connection meanwhile, and callbacks that
/// become due wait for the next `natskv_process`.
///
/// `natskv_ready_async` tells when requests can go out; operations may be started before that. Errors: NATSKV_INVALID_ARGUMENT for
/// an option. Free the client with `natskv_client_free`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_connect_external(
    options: *const natskv_options,
    out: Option<&mut MaybeUninit<*mut natskv_client>>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard(err, || {
        let options = ffi::options(options)?;
        let hooks = options.hooks();
        let out = required("out", out)?;
        let client = natskv_client::new(&options, hooks, true)?;
        client.engine.tell(|_, _| ())?; // the first connect is on its way, so that there is a descriptor to wait for
        out.write(boxed(client));
        Ok(())
    })
}

/// The descriptor to wait for with poll, epoll, select or the like; -1 while there is none (then wait for the time only). Never
/// read, write or close it. It is another one after a reconnect, so ask again after each `natskv_process`. A new one never has
/// the number of the one that this function gave before, so loops that register descriptors need only compare; the old one is
/// closed by then, and has left an epoll set by itself. -1 for NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_fd(client: Option<&natskv_client>) -> c_int {
    guard_value(-1, || client.and_then(|client| client.engine.fd().ok()).unwrap_or(-1))
}

/// What to wait for on `natskv_fd`: POLLIN, POLLOUT, both or 0, as in <poll.h>. 0 for NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_interest(client: Option<&natskv_client>) -> i16 {
    guard_value(0, || client.and_then(|client| client.engine.interest().ok()).unwrap_or(0))
}

/// How long to wait at most, in milliseconds, within an `int`; -1: for ever, as in poll(2). Calling `natskv_process` earlier or
/// without need is harmless, later delays timeouts and reconnects. -1 for NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_timeout_ms(client: Option<&natskv_client>) -> i64 {
    guard_value(-1, || {
        let timeout = client.and_then(|client| client.engine.timeout().ok()?);
        timeout.map_or(-1, |timeout| to_millis(timeout).min(i32::MAX.into()))
    })
}

/// Reads, writes, watches the time, then runs the callbacks that are due, all on this thread. `revents` is what poll(2) said of
/// `natskv_fd` (0: nothing; a wrong or stale one is harmless). Never blocks, and works off a bounded amount at once.
///
/// NATSKV_OK: go on. NATSKV_CLOSED: the client is closed and everything is told; only freeing is left. On one thread at a time;
/// inside a callback of the same client NATSKV_WOULD_DEADLOCK. Freeing the client in one of the callbacks is fine; the return
/// value is then NATSKV_CLOSED.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_process(client: *const natskv_client, revents: i16) -> natskv_code {
    guard(None, || {
        let engine = required("client", peek(client, |client| Arc::clone(&client.engine)))?;
        if engine.process(revents)? { Ok(()) } else { Err(Error::from_code(ErrorCode::Closed)) }
    })
}

/// Calls back when requests can go out, or with the error that closed the client first. `timeout_ms` 0: the client's
/// `request_timeout_ms`. See `natskv_get_async` for what all async forms share. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_ready_async(
    client: Option<&natskv_client>,
    timeout_ms: i64,
    callback: natskv_callback,
    user: *mut c_void,
    op: Option<&mut MaybeUninit<natskv_op>>,
) -> natskv_code {
    guard(None, || {
        let (client, timeout) = (required("client", client)?, millis("timeout_ms", timeout_ms)?);
        client.submit(callback, user, op, |core, now| core.ready(timeout, now))
    })
}

/// Ends an operation of the async form: its callback gets NATSKV_CANCELLED, or whatever it ended with before. A write may have
/// been stored all the same. An `op` that is over or unknown is ignored. Does not wait. Any thread, and inside callbacks too.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_op_cancel(client: Option<&natskv_client>, op: natskv_op) -> natskv_code {
    guard(None, || {
        let client = required("client", client)?;
        match op & WATCH_BIT {
            0 => client.engine.cancel(OpId(op)),
            _ => client.engine.cancel_watch(WatchId(op & !WATCH_BIT)),
        }
    })
}

/// Waits until everything sent before has reached the server (one PING and its PONG), at most `timeout_ms`; 0: the client's
/// `request_timeout_ms`. NATSKV_TIMEOUT and the errors of the connection. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_flush(
    client: Option<&natskv_client>,
    timeout_ms: i64,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard(err, || {
        let (client, timeout) = (required("client", client)?, millis("timeout_ms", timeout_ms)?);
        client.engine.call(|core, now| core.flush(timeout, now)).map(drop)
    })
}

/// `natskv_flush` without waiting; the round trip comes in `reply->round_trip_ns`. See `natskv_get_async`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_flush_async(
    client: Option<&natskv_client>,
    timeout_ms: i64,
    callback: natskv_callback,
    user: *mut c_void,
    op: Option<&mut MaybeUninit<natskv_op>>,
) -> natskv_code {
    guard(None, || {
        let (client, timeout) = (required("client", client)?, millis("timeout_ms", timeout_ms)?);
        client.submit(callback, user, op, |core, now| core.flush(timeout, now))
    })
}

/// Measures one round trip to the server, in nanoseconds. Otherwise as `natskv_flush`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_rtt_ns(
    client: Option<&natskv_client>,
    timeout_ms: i64,
    out: Option<&mut MaybeUninit<u64>>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard(err, || {
        let (client, out) = (required("client", client)?, required("out", out)?);
        let timeout = millis("timeout_ms", timeout_ms)?;
        let Outcome::RoundTrip(time) = client.engine.call(|core, now| core.flush(timeout, now))? else {
            return Err(unexpected());
        };
        out.write(time.as_nanos() as u64);
        Ok(())
    })
}

/// Takes no new operations, finishes those in flight, ends the watches, closes, and waits for all that, at most
/// `drain_timeout_ms`: then NATSKV_TIMEOUT, and what was not finished has failed with that too. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_drain(
    client: Option<&natskv_client>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard(err, || required("client", client)?.engine.drain())
}

/// `natskv_drain` without waiting: calls back when the client is closed. It cannot be cancelled; `op`, which may be NULL, gets 0.
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_drain_async(
    client: Option<&natskv_client>,
    callback: natskv_callback,
    user: *mut c_void,
    op: Option<&mut MaybeUninit<natskv_op>>,
) -> natskv_code {
    guard(None, || {
        let client = required("client", client)?;
        client.engine.submit_drain(self::callback(callback, user, &Arc::from(c""))?)?;
        if let Some(op) = op {
            op.write(0);
        }
        Ok(())
    })
}

/// Says that the network may be another one, or that time was lost (a laptop was opened, an interface came up): a wait between two
/// attempts to connect ends now, and a connection that does not answer within `connect_timeout_ms` counts as lost, instead of after
/// two silent pings. On Linux a client notices by itself that the machine slept. Does not wait. Any thread, and inside callbacks too.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_wake(client: Option<&natskv_client>) -> natskv_code {
    guard(None, || required("client", client)?.engine.tell(Core::wake))
}

/// Ends everything now: operations in flight fail with NATSKV_CLOSED, watches end, and the connection is closed. Does not wait: where a
/// watch was just being made, the connection stays up to a second longer, to take it back on the server. Closing twice is fine. Any
/// thread, and inside callbacks too.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_close(client: Option<&natskv_client>) -> natskv_code {
    guard(None, || required("client", client)?.engine.close())
}

/// Closes the client where that was not done, runs the callbacks that are left, and frees it. No other call may be using the
/// client, and blocked calls through its bucket handles and watchers return NATSKV_CLOSED. Handles, watchers and entries are
/// freed apart from it, before or after. Inside a callback it is fine; the rest is done after that callback. NULL is fine.
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_client_free(client: *mut natskv_client) {
    let _: natskv_code = guard(None, || {
        ffi::unbox(client);
        Ok(())
    });
}

/// The connection's state. NATSKV_STATE_CLOSED for NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_state(client: Option<&natskv_client>) -> natskv_connection_state {
    guard_value(natskv_connection_state::NATSKV_STATE_CLOSED, || {
        let state =
            client.and_then(|client| client.engine.look(|core| natskv_connection_state::of(core.state()).0).ok());
        state.unwrap_or(natskv_connection_state::NATSKV_STATE_CLOSED)
    })
}

/// Counters since the client was made.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct natskv_statistics {
    /// Messages received.
    pub in_msgs: u64,
    /// Bytes received.
    pub in_bytes: u64,
    /// Messages sent.
    pub out_msgs: u64,
    /// Bytes sent.
    pub out_bytes: u64,
    /// Connections made after the first.
    pub reconnects: u64,
}

/// The client's counters. NATSKV_INVALID_ARGUMENT for NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_stats(
    client: Option<&natskv_client>,
    out: Option<&mut MaybeUninit<natskv_statistics>>,
) -> natskv_code {
    guard(None, || {
        let (client, out) = (required("client", client)?, required("out", out)?);
        let stats = client.engine.look(natskv_core::Client::stats)?;
        out.write(natskv_statistics {
            in_msgs: stats.in_msgs,
            in_bytes: stats.in_bytes,
            out_msgs: stats.out_msgs,
            out_bytes: stats.out_bytes,
            reconnects: stats.reconnects,
        });
        Ok(())
    })
}

/// What the connected server said of itself, as JSON; "" before the first connection. Free it with `natskv_string_free`.
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_server_info(
    client: Option<&natskv_client>,
    out_json: Option<&mut MaybeUninit<*mut c_char>>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard(err, || {
        let (client, out_json) = (required("client", client)?, required("out_json", out_json)?);
        let json = client.engine.look(|core| core.server_info().map(|info| info.json.clone()))?;
        out_json.write(CString::into_raw(c_string(json.unwrap_or_default())));
        Ok(())
    })
}

/// The version of the library, such as "0.1.0". Lives for ever. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}
