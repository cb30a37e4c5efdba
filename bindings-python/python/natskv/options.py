"""What calls may be given: durations, values, words, and the keyword options of `connect` and `watch`."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from datetime import timedelta
from typing import Literal, TypedDict

from ._credentials import Callback, Credentials
from .types import StatusEvent

Seconds = float | timedelta
"""A duration: seconds, or a timedelta."""

Progress = Callable[[int, int], object]
"""Called now and then, and at the end, with how many keys are done and of how many."""

Value = bytes | bytearray | memoryview | str
"""What can be written: bytes, anything with the buffer protocol, or text, which is written as UTF-8."""

KeyPolicy = Literal["strict", "permissive", "base64", "path", "escape"] | None
"""Which keys a handle takes, and how they are stored."""

OnDrift = Literal["error", "ignore", "update"] | None
"""What becomes of a bucket that exists with another configuration."""


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
