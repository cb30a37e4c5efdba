"""What both APIs share: options of `connect`, words for lost transports, the log, forks, and the feed of a watch."""

from __future__ import annotations

import errno
import logging
import os
import socket
import ssl
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from inspect import iscoroutinefunction
from typing import Any, Protocol, TypedDict

from . import _native
from ._credentials import Callback, Credentials, Source
from ._native import Bucket, Engine, KeyValueEntry
from .errors import KeyValueError
from .types import StatusEvent

logger = logging.getLogger("natskv")
logger.addHandler(logging.NullHandler())  # without one, Python prints what nobody has asked to see

Seconds = float | timedelta
"""A duration: seconds, or a timedelta."""

Progress = Callable[[int, int], object]
"""Called now and then, and at the end, with how many keys are done and of how many."""

Value = bytes | bytearray | memoryview | str
"""What can be written: bytes, anything with the buffer protocol, or text, which is written as UTF-8."""

WatchItem = KeyValueEntry | None | str | KeyValueError
"""An entry; None for "all initial values were handed out"; `"reset"`; the error that ended the watch."""


class Options(TypedDict, total=False):
    """The keyword options of `connect`. All may be left out; durations are seconds or timedeltas."""

    name: str
    """The client's name in the server's monitoring. Default: none."""
    user: str
    """User name; `nats://user:password@host` in a URL wins. Default: none."""
    password: str
    """Password of `user`. Default: none."""
    token: str
    """Token, instead of user and password; `nats://token@host` in a URL wins. Default: none."""
    nkey_seed: str
    """Seed of a user's nkey, `SU…`. Default: none."""
    credentials: str | os.PathLike[str] | Credentials
    """A credentials file: its path, read anew for each connection, or its text; or `natskv.Credentials`. Default: none.
    """
    credentials_callback: Callback
    """Asked before each connection, instead of all these, with the reason: `"first"`, `"reconnect"`, `"refused"` (a
    server refused the last ones) or `"expired"` (it no longer accepts them). Gives `natskv.Credentials`, a mapping of
    their fields, or a credentials file; may be a coroutine function with asyncio. Has as long as `connect_timeout`.
    With natskv.sync it is called on a thread of its own. Default: none."""
    tls: ssl.SSLContext | bool
    """True, or a context: TLS must be used. Default: used when a URL or the server asks for it, with
    `ssl.create_default_context()`."""
    tls_hostname: str
    """The name that the server's certificate must have. Default: the host in the URL."""
    tls_first: bool
    """TLS before the server's first line (`handshake_first` in its configuration). Default: False."""
    connect_timeout: Seconds
    """How long one server may take. Default: 5 s."""
    request_timeout: Seconds
    """How long a call may take that does not say `timeout`. Default: 5 s."""
    ping_interval: Seconds
    """How often the server is asked whether it lives. Default: 60 s."""
    max_pings_out: int
    """Unanswered pings after which the connection counts as lost. Default: 2."""
    reconnect: bool
    """Whether a lost connection is made anew. Default: True."""
    max_reconnects: int | None
    """Failed attempts in a row after which the client closes. Default: None, for ever."""
    retry_first_connect: bool
    """Whether `connect` returns at once and the first connection is retried like a lost one; calls wait for it as long
    as their timeouts allow. Default: False, it raises when no server can be reached."""
    reconnect_wait: Seconds
    """Wait after the second failed attempt (the first is tried at once); doubles each time. Default: 0.1 s."""
    max_reconnect_wait: Seconds
    """Longest wait between attempts. Default: 5 s."""
    randomize_servers: bool
    """Whether servers are tried in random order. Default: True."""
    inbox_prefix: str
    """First tokens of the reply subjects, for accounts whose permissions name one. Default: `_INBOX`."""
    domain: str
    """JetStream domain. Default: none."""
    api_prefix: str
    """Prefix of the JetStream API, for imported accounts; excludes `domain`. Default: `$JS.API`."""
    pending_limit: int
    """Bytes of requests kept while disconnected; beyond it calls fail. Default: 8 MiB."""
    retry_writes: bool
    """Whether writes carry a message id, so that one cut off by a disconnect is sent again and its outcome found out,
    instead of raising DisconnectedError with `maybe_applied`. Writes go without one to buckets that forget ids sooner
    than the call may take (their ttl, at most 2 minutes); one opened with `check=False` is asked before a write is sent
    again. Default: False."""
    on_status: Callable[[StatusEvent], object]
    """A plain function, called with each change of the connection, and with what the log is told. Default: none."""


class WatchOptions(TypedDict, total=False):
    """The keyword options of `watch`, which describes them."""

    include_history: bool
    ignore_deletes: bool
    meta_only: bool
    updates_only: bool
    resume_from_revision: int | None
    timeout: Seconds | None


class Setup:
    """An engine made from the options of `connect`, and the options that are not core's."""

    def __init__(self, servers: str | Sequence[str], options: Mapping[str, Any]) -> None:
        urls = [url.strip() for url in servers.split(",")] if isinstance(servers, str) else list(servers)
        core = dict(options, servers=urls)
        self.credentials = Source(core)
        tls: ssl.SSLContext | bool | None = core.pop("tls", None)
        core["tls"] = tls is True or isinstance(tls, ssl.SSLContext)
        self._context = tls if isinstance(tls, ssl.SSLContext) else None
        self.tls_hostname: str | None = core.pop("tls_hostname", None)
        self.on_status: Callable[[StatusEvent], object] | None = core.pop("on_status", None)
        if self.on_status is not None and (not callable(self.on_status) or iscoroutinefunction(self.on_status)):
            raise _native.error(
                "INVALID_ARGUMENT", f"option on_status: a plain function is called, not {self.on_status!r}"
            )
        self._was_connected = False
        self.engine = Engine(core, os.urandom(32), time.monotonic())
        self.connect_timeout = seconds(core.get("connect_timeout") or None, 5)
        self.waits = not core.get("retry_first_connect")
        self.ready_timeout = 2 * self.connect_timeout * max(1, len(urls)) + 1  # a refusal may be a reason to ask again

    def tell(self, told: Iterable[tuple[str, KeyValueError | None, str]]) -> list[StatusEvent]:
        """Writes the log, and gives what `on_status` is to be called with."""
        events = [StatusEvent(name, message, error) for name, error, message in told]
        for event in events:
            self._was_connected = self._was_connected or event.name == "connected"
            is_news = event.name in _QUIET and (event.error is None or not self._was_connected)  # `connect` raises it
            logger.log(logging.INFO if is_news else logging.WARNING, "%s", event.message)
        return events

    def tls_context(self) -> ssl.SSLContext:
        """The user's context, or a default one made when it is first needed."""
        if self._context is None:
            self._context = ssl.create_default_context()
        return self._context


_TLS_HINTS = {
    "CERTIFICATE_VERIFY_FAILED": "; `tls` takes an ssl.SSLContext that trusts the server's CA, `tls_hostname` its name",
    "WRONG_VERSION_NUMBER": "; this server speaks first, without TLS, and wants no `tls_first`",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "; the server asks for a client certificate (SSLContext.load_cert_chain)",
    "SSLV3_ALERT_BAD_CERTIFICATE": "; the server refuses the client certificate, or misses one",
    "TLSV1_ALERT_UNKNOWN_CA": "; the server does not trust the CA of the client certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "; the client certificate has expired",
}


def lost(error: BaseException | None) -> tuple[str, str]:
    """Core's word for why a transport is gone, and the reason in words."""
    match error:
        case None:
            return "eof", ""
        case ssl.SSLError():
            return "tls", f"{error}{_TLS_HINTS.get(error.reason or '', '')}"
        case ConnectionRefusedError():
            return "refused", str(error)
        case ConnectionResetError() | BrokenPipeError():
            return "reset", str(error)
        case socket.gaierror():
            return "unreachable", str(error)
        case OSError(errno=errno.EHOSTUNREACH | errno.ENETUNREACH):
            return "unreachable", str(error)
    return "other", str(error) or type(error).__name__


_QUIET = {"connecting", "connected", "reconnecting", "draining", "closed", "watch_resumed"}


def seconds(time: Seconds | None, default: float) -> float:
    """A duration in seconds."""
    return default if time is None else _native.nanoseconds(time) / 1e9


def check_callback(name: str, callback: Callable[..., object] | None) -> None:
    """Refuses what cannot be called, and coroutine functions, which would be made and never run."""
    if callback is not None and (not callable(callback) or iscoroutinefunction(callback)):
        raise _native.error("INVALID_ARGUMENT", f"{name}: a plain function is called, not {callback!r}")


def filters(keys: str | Iterable[str]) -> list[str]:
    """One filter or several, as core takes them."""
    return [keys] if isinstance(keys, str) else list(keys)


def described(engine: Engine) -> str:
    """A client's connection, for its repr: without credentials, and without the lock of an engine in a fork."""
    state = engine.state
    return state if state == "closed" else f"{engine.connected_url} {state}"


class Driver(Protocol):
    """What is common to the two drivers."""

    engine: Engine
    is_closing: bool
    """The user has asked for the end, so that a watch that ends is no error."""

    def pump(self) -> None:
        """Drains the engine."""

    def let_go(self) -> None:
        """In a fork: makes the parent's connection unreachable from here."""


drivers: weakref.WeakSet[Driver] = weakref.WeakSet()
"""All that live in this process."""


def _after_fork() -> None:
    """In the child: clients of the parent refuse to be used, and let go of its sockets.

    A byte read from them here is one that the parent never sees; and while they are open here, no server sees the
    parent close them.
    """
    _native.after_fork()
    for driver in list(drivers):
        driver.let_go()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Feed:
    """The items of one watch on their way from core: taken in batches, handed out one by one."""

    def __init__(self, driver: Driver, bucket: Bucket, watch: int) -> None:
        self.is_over = False
        self.resets = 0
        self._driver = driver
        self._engine = driver.engine
        self._bucket = bucket
        self._watch = watch
        self.items: deque[WatchItem] = deque()
        self._is_caught_up = False

    def take(self) -> KeyValueEntry | None:
        """The next entry that is already here.

        Raises:
            KeyValueError: The watch has ended for this reason.
        """
        while self.items or self._pull():
            item = self.items.popleft()
            if isinstance(item, KeyValueEntry):
                return item
            self._pass(item)
        return None

    def take_initial(self) -> KeyValueEntry | None:
        """The next initial entry that is already here; None also when all were handed out."""
        while not self.is_caught_up() and self.items:
            item = self.items.popleft()
            if isinstance(item, KeyValueEntry):
                return item
            self._pass(item)
        return None

    def is_caught_up(self) -> bool:
        """Whether all initial values were handed out: looks one item ahead, so it is true with the last of them."""
        if not self._is_caught_up and (self.items or self._pull()) and self.items[0] is None:
            self._pass(self.items.popleft())
        return self._is_caught_up

    def stop(self) -> None:
        """Ends the watch on the server and forgets what was not handed out. May be called from anywhere, twice too."""
        if not self.is_over:
            self.is_over = True
            self._engine.watch_stop(self._watch)
            self.items.clear()

    def _pull(self) -> bool:
        if not self.is_over:
            self.items.extend(self._engine.watch_batch(self._watch, self._bucket))
            if self._engine.pending_transmit():  # flow control was answered, and the server waits for it
                self._driver.pump()
        return bool(self.items)

    def _pass(self, mark: WatchItem) -> None:
        """Takes note of what is no entry."""
        if isinstance(mark, KeyValueError):
            self.stop()
            if not self._driver.is_closing:
                raise mark
            return
        self._is_caught_up = mark is None
        if mark == "reset":
            self.resets += 1
