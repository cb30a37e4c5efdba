"""What both APIs share: the set-up, words for lost transports, the log, forks, and the feed of a watch."""

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
from inspect import iscoroutinefunction
from typing import Any, Protocol

from . import _native
from ._credentials import Source
from ._native import Bucket, Engine, KeyValueEntry
from .errors import KeyValueError
from .options import Seconds
from .types import KeyValueStatus, StatusEvent

logger = logging.getLogger("natskv")
logger.addHandler(logging.NullHandler())  # without one, Python prints what nobody has asked to see

WatchItem = KeyValueEntry | None | str | KeyValueError
"""An entry; None for "all initial values were handed out"; `"reset"`; the error that ended the watch."""


class Setup:
    """An engine made from the options of `connect`, and the options that are not core's; `waiter` makes its waiters."""

    def __init__(self, servers: str | Sequence[str], options: Mapping[str, Any], waiter: Callable[[], Any]) -> None:
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
        self.engine = Engine(core, os.urandom(32), time.monotonic(), waiter)
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


def status(text: str) -> KeyValueStatus:
    """A bucket's status from core's JSON text."""
    from . import config  # not before it is needed: see there

    return config.status(text)


def reply(text: str) -> dict[str, Any]:
    """What `execute` returns, from core's JSON text."""
    import json

    answer: dict[str, Any] = json.loads(text)
    return answer


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
