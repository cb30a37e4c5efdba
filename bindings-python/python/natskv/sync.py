"""The blocking API: the names of `natskv`, used without `await` and `async`.

    import natskv.sync

    with natskv.sync.connect("nats://127.0.0.1:4222") as client:
        kv = client.create_key_value("settings")
        kv.put("color", b"red")
        for entry in kv.watch("color"):
            print(entry.text())

A client and its buckets may be used from many threads; Ctrl-C works in every wait. A verb is one line: it hands core's
verb of the same name to the driver, which moves bytes until its end has come (`Driver.run` in `_blocking.py`).
"""

from __future__ import annotations

import builtins
import contextlib
import json
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from . import _native, types
from ._blocking import Driver, Waiter
from ._common import Feed, Options, Seconds, Setup, Value, WatchOptions, described, filters
from ._native import Bucket, KeyValueEntry, __version__
from .errors import (
    AuthenticationError,
    BadBucketError,
    BucketExistsError,
    BucketFullError,
    BucketNotFoundError,
    ClosedError,
    DisconnectedError,
    HistoryTooLargeError,
    InvalidArgumentError,
    InvalidBucketNameError,
    InvalidKeyError,
    KeyExistsError,
    KeyNotFoundError,
    KeyValueError,
    NatsConnectionError,
    NoRespondersError,
    PermissionDeniedError,
    ProtocolError,
    RequestTimeoutError,
    ServerError,
    TlsError,
    UnsupportedError,
    ValueTooLargeError,
    WrongRevisionError,
)
from .types import (
    ExternalStream,
    KeyValueConfig,
    KeyValueOp,
    KeyValueStatus,
    Placement,
    Republish,
    Stats,
    StatusEvent,
    StreamSource,
    SubjectTransform,
)

__all__ = [
    "AuthenticationError",
    "BadBucketError",
    "BucketExistsError",
    "BucketFullError",
    "BucketNotFoundError",
    "Client",
    "ClosedError",
    "DisconnectedError",
    "ExternalStream",
    "HistoryTooLargeError",
    "InvalidArgumentError",
    "InvalidBucketNameError",
    "InvalidKeyError",
    "KeyExistsError",
    "KeyHistory",
    "KeyLister",
    "KeyNotFoundError",
    "KeyValue",
    "KeyValueConfig",
    "KeyValueEntry",
    "KeyValueError",
    "KeyValueOp",
    "KeyValueStatus",
    "KeyWatcher",
    "NatsConnectionError",
    "NoRespondersError",
    "Options",
    "PermissionDeniedError",
    "Placement",
    "ProtocolError",
    "Republish",
    "RequestTimeoutError",
    "ServerError",
    "Stats",
    "StatusEvent",
    "StreamSource",
    "SubjectTransform",
    "TlsError",
    "UnsupportedError",
    "ValueTooLargeError",
    "WrongRevisionError",
    "__version__",
    "connect",
    "version",
]

T = TypeVar("T")


def version() -> str:
    """The version of natskv, such as `"0.1.0"`."""
    return __version__


def connect(servers: str | Sequence[str] = "nats://127.0.0.1:4222", **options: Unpack[Options]) -> Client:
    """Connects: `client = connect(…)`, or `with connect(…) as client:`, which closes it at the end.

    Args:
        servers: One URL or several: `nats://` or `tls://`, host and port, with `user:password@` or `token@` if need be.
        **options: All are optional; `natskv.Options` describes each: `name`, `user`, `password`, `token`, `tls`,
            `tls_hostname`, `tls_first`, `connect_timeout`, `request_timeout`, `ping_interval`, `max_pings_out`,
            `reconnect`, `max_reconnects`, `retry_first_connect`, `reconnect_wait`, `max_reconnect_wait`,
            `randomize_servers`, `inbox_prefix`, `domain`, `api_prefix`, `pending_limit`, `retry_writes`, `on_status`.

    Raises:
        NatsConnectionError: No server could be reached; AuthenticationError and TlsError say so.
        InvalidArgumentError: An option is wrong; the message names it.
        UnsupportedError: A `ws://` URL: this package speaks TCP and TLS.
    """
    setup = Setup(servers, options)
    driver = Driver(setup)
    try:
        if setup.waits:
            driver.run(driver.engine.ready, setup.ready_timeout)
        else:
            driver.pump()
    except BaseException:
        driver.close()
        raise
    return Client(driver)


class Client:
    """A connection to NATS, made anew whenever it is lost. Made by `connect`; for any number of threads."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._engine = driver.engine

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Client {described(self._engine)}>"

    def __del__(self) -> None:
        unclosed = f"{self!r} was never closed"
        if self._driver.abandon():
            warnings.warn(unclosed, ResourceWarning, source=self, stacklevel=1)

    # ── buckets

    def create_key_value(
        self,
        config: KeyValueConfig | str | Mapping[str, Any] | None = None,
        *,
        timeout: Seconds | None = None,
        **fields: Any,
    ) -> KeyValue:
        """Creates a bucket, or opens the one that exists if its configuration is equal.

        Args:
            config: A configuration, a mapping of its fields, or a name: `create_key_value("settings", history=5)`.
                May be left out when `bucket` is among the fields.
            timeout: Seconds or timedelta; default: the client's `request_timeout`.
            **fields: Fields of `KeyValueConfig`, in place of those in `config`.

        Raises:
            BucketExistsError: It exists with another configuration; the message lists the fields that differ.
            InvalidArgumentError: A field is unknown, of a wrong type or out of range. Nothing was sent.
        """
        bucket, _ = self._driver.run(self._engine.create_bucket, types.spec(config, fields), timeout)
        return KeyValue(self, bucket)

    def update_key_value(
        self,
        config: KeyValueConfig | str | Mapping[str, Any] | None = None,
        *,
        timeout: Seconds | None = None,
        **fields: Any,
    ) -> KeyValue:
        """Changes the fields that are given of an existing bucket.

        Args:
            config: As for `create_key_value`. With a name or a mapping, only what is named changes.
            timeout: Seconds or timedelta; default: the client's `request_timeout`.
            **fields: Fields of `KeyValueConfig`, in place of those in `config`.

        Raises:
            BucketNotFoundError: There is no such bucket.
            ServerError: The server refuses the change.
        """
        bucket, _ = self._driver.run(self._engine.update_bucket, types.spec(config, fields), timeout)
        return KeyValue(self, bucket)

    def create_or_update_key_value(
        self,
        config: KeyValueConfig | str | Mapping[str, Any] | None = None,
        *,
        timeout: Seconds | None = None,
        **fields: Any,
    ) -> KeyValue:
        """Changes the fields that are given of a bucket, or creates it where there is none.

        Args:
            config: As for `create_key_value`.
            timeout: Seconds or timedelta; default: the client's `request_timeout`.
            **fields: Fields of `KeyValueConfig`, in place of those in `config`.
        """
        verb = self._engine.create_or_update_bucket
        bucket, _ = self._driver.run(verb, types.spec(config, fields), timeout)
        return KeyValue(self, bucket)

    def key_value(self, bucket: str, *, check: bool = True, timeout: Seconds | None = None) -> KeyValue:
        """Opens a bucket.

        Args:
            bucket: Its name.
            check: False: do not ask the server. The first verb tells if there is no such bucket.
            timeout: Seconds or timedelta; default: the client's `request_timeout`.

        Raises:
            BucketNotFoundError: There is no such bucket.
            BadBucketError: There is a stream of that name, which is not a bucket.
            InvalidBucketNameError: The name has other characters than letters, digits, `_` and `-`.
        """
        if not check:
            return KeyValue(self, self._engine.bind(bucket))
        opened, _ = self._driver.run(self._engine.open, bucket, timeout)
        return KeyValue(self, opened)

    def delete_key_value(self, bucket: str, *, timeout: Seconds | None = None) -> None:
        """Deletes a bucket with all that is in it.

        Raises:
            BucketNotFoundError: There is no such bucket.
        """
        self._driver.run(self._engine.delete_bucket, bucket, timeout)

    def key_value_bucket_names(self, *, timeout: Seconds | None = None) -> Listing[str]:
        """Names of all buckets, sorted: `for name in client.key_value_bucket_names()`."""
        return Listing(self._driver.run(self._engine.bucket_names, timeout))

    def key_value_buckets(self, *, timeout: Seconds | None = None) -> Listing[KeyValueStatus]:
        """Statuses of all buckets, sorted by name: `for status in client.key_value_buckets()`."""
        return Listing([types.status(text) for text in self._driver.run(self._engine.bucket_list, timeout)])

    # ── the connection

    def flush(self, *, timeout: Seconds | None = None) -> None:
        """Returns when everything asked before has reached the server."""
        self._driver.run(self._engine.flush, timeout)

    def rtt(self, *, timeout: Seconds | None = None) -> float:
        """The round trip to the server and back, in seconds."""
        seconds: float = self._driver.run(self._engine.flush, timeout)
        return seconds

    def drain(self) -> None:
        """Finishes what is in flight, ends the watches, then closes. Takes 30 seconds at most."""
        self._driver.drain()

    def close(self) -> None:
        """Ends everything now: calls in flight raise ClosedError, watches end. A second call does nothing."""
        self._driver.close()

    @property
    def state(self) -> str:
        """`"connecting"`, `"connected"`, `"disconnected"`, `"reconnecting"`, `"draining"` or `"closed"`."""
        return self._engine.state

    @property
    def server_info(self) -> Mapping[str, Any] | None:
        """What the connected server says of itself (`version`, `server_name`, `max_payload`, …)."""
        info = self._engine.server_info
        return None if info is None else json.loads(info)

    @property
    def connected_url(self) -> str:
        """URL of the server in use or last used, without credentials."""
        return self._engine.connected_url

    @property
    def stats(self) -> Stats:
        """Counters since the client was made."""
        return Stats(*self._engine.stats)


class KeyValue:
    """One bucket. Made by the client's `create_key_value` and `key_value`.

    Every verb takes `timeout`, in seconds or as a timedelta; default: the client's `request_timeout`, 5 seconds. It
    raises RequestTimeoutError when that passes, and InvalidKeyError, before anything is sent, for a key that cannot be.
    A verb interrupted by Ctrl-C is forgotten at once; a write may have been stored all the same.
    """

    def __init__(self, client: Client, bucket: Bucket) -> None:
        self._client = client  # which ends when nobody has it any more
        self._driver = client._driver
        self._engine = client._engine
        self._bucket = bucket

    def __repr__(self) -> str:
        return f"<KeyValue {self.bucket}>"

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return self._bucket.name

    # ── reading

    def get(self, key: str, *, revision: int | None = None, timeout: Seconds | None = None) -> KeyValueEntry:
        """The live value of a key.

        Args:
            key: The key.
            revision: The key's value at this revision, in place of the newest.
            timeout: Seconds or timedelta.

        Raises:
            KeyNotFoundError: Never written, deleted, purged or expired; or not this key's revision.
        """
        entry: KeyValueEntry = self._driver.run(self._engine.get, self._bucket, key, revision, timeout)
        return entry

    def entry(self, key: str, *, timeout: Seconds | None = None) -> KeyValueEntry:
        """The newest entry of a key, even when it is the marker of a delete or purge.

        Raises:
            KeyNotFoundError: The bucket has nothing of this key.
        """
        entry: KeyValueEntry = self._driver.run(self._engine.entry, self._bucket, key, timeout)
        return entry

    def keys(self, keys: str | Sequence[str] = ">", *, timeout: Seconds | None = None) -> KeyLister:
        """The live keys that match, each once: `for key in kv.keys()`, or `kv.keys().list()`.

        Args:
            keys: One filter or several; `*` stands for one token, `>` for the rest.
            timeout: Longest silence of the server, in seconds or as a timedelta.
        """
        return KeyLister(self._driver.run(self._engine.keys, self._bucket, filters(keys), timeout))

    def history(self, key: str, *, timeout: Seconds | None = None) -> KeyHistory:
        """All revisions of a key that the bucket keeps, oldest first, markers included.

        Args:
            key: The key.
            timeout: Longest silence of the server, in seconds or as a timedelta.

        Raises:
            KeyNotFoundError: The bucket has nothing of this key.
        """
        return KeyHistory(self._driver.run(self._engine.history, self._bucket, key, timeout))

    # ── writing

    def put(self, key: str, value: Value, *, timeout: Seconds | None = None) -> int:
        """Writes a value, whatever was there, and returns its revision.

        Raises:
            ValueTooLargeError: Larger than the server or the bucket takes. Nothing was sent.
            BucketFullError: The bucket reached its `max_bytes`.
            DisconnectedError: The connection was lost before the answer; see `maybe_applied`.
        """
        revision: int = self._driver.run(self._engine.put, self._bucket, key, value, timeout)
        return revision

    def create(self, key: str, value: Value, *, ttl: Seconds | None = None, timeout: Seconds | None = None) -> int:
        """Writes the value of a key that has none, and returns its revision.

        Args:
            key: The key.
            value: The value.
            ttl: After this time the key expires; at least 1 second, in buckets with `limit_marker_ttl`. Where
                it is shorter than that, the server takes `limit_marker_ttl` in its place.
            timeout: Seconds or timedelta.

        Raises:
            KeyExistsError: It has a live value.
            UnsupportedError: `ttl`, in a bucket without `limit_marker_ttl`.
        """
        revision: int = self._driver.run(self._engine.create, self._bucket, key, value, ttl, timeout)
        return revision

    def update(self, key: str, value: Value, revision: int, *, timeout: Seconds | None = None) -> int:
        """Writes a value if `revision` is still the newest of the key, and returns the new one.

        Raises:
            WrongRevisionError: It is not; the error's `revision` is the newest one when the server told it.
        """
        written: int = self._driver.run(self._engine.update, self._bucket, key, value, revision, timeout)
        return written

    def delete(self, key: str, *, last_revision: int | None = None, timeout: Seconds | None = None) -> int:
        """Puts a delete marker on a key and returns its revision. Earlier revisions stay as far as history goes.

        Args:
            key: The key; it need not exist.
            last_revision: Only if this is the newest revision of the key.
            timeout: Seconds or timedelta.

        Raises:
            WrongRevisionError: `last_revision` is not the newest.
        """
        revision: int = self._driver.run(self._engine.delete, self._bucket, key, last_revision, timeout)
        return revision

    def purge(
        self,
        key: str,
        *,
        last_revision: int | None = None,
        ttl: Seconds | None = None,
        timeout: Seconds | None = None,
    ) -> int:
        """Removes all revisions of a key, leaves a purge marker, and returns the marker's revision.

        Args:
            key: The key; it need not exist.
            last_revision: Only if this is the newest revision of the key.
            ttl: How long the marker stays; at least 1 second, in buckets with `limit_marker_ttl`. Default: for ever.
            timeout: Seconds or timedelta.

        Raises:
            WrongRevisionError: `last_revision` is not the newest.
        """
        revision: int = self._driver.run(self._engine.purge, self._bucket, key, last_revision, ttl, timeout)
        return revision

    def purge_deletes(self, *, older_than: Seconds = timedelta(minutes=30), timeout: Seconds | None = None) -> int:
        """Removes the markers that are older, with all that is under them, and returns how many.

        A key that is written meanwhile loses nothing.

        Args:
            older_than: Age in seconds or as a timedelta; 0 for all markers.
            timeout: Seconds or timedelta.
        """
        count: int = self._driver.run(self._engine.purge_deletes, self._bucket, older_than, timeout)
        return count

    # ── the bucket

    def status(self, *, timeout: Seconds | None = None) -> KeyValueStatus:
        """What the bucket is and holds now."""
        return types.status(self._driver.run(self._engine.status, self._bucket, timeout))

    def execute(self, operation: Mapping[str, Any] | str | bytes, *, timeout: Seconds | None = None) -> dict[str, Any]:
        """Runs one operation in SPEC.md's JSON form: `{"operation": "PUT", "key": "a", "value": "dGV4dA=="}`.

        Args:
            operation: The object, or its JSON text. Values are base64 (or text as `value_text`), durations nanoseconds.
            timeout: Seconds or timedelta.

        Returns:
            The reply; when the operation failed, the error's JSON form, with its `kind`.
        """
        text = types.operation(operation)
        reply: dict[str, Any] = json.loads(self._driver.run(self._engine.execute, self._bucket, text, timeout))
        return reply

    # ── watching

    def watch(
        self,
        keys: str | Sequence[str] = ">",
        *,
        include_history: bool = False,
        ignore_deletes: bool = False,
        meta_only: bool = False,
        updates_only: bool = False,
        resume_from_revision: int | None = None,
        timeout: Seconds | None = None,
    ) -> KeyWatcher:
        """Watches keys: first the newest value of each that matches, then every change.

            for entry in kv.watch("a.>"): …
            with kv.watch("a.>") as watcher: …    stops it at the end
            watcher = kv.watch("a.>")             stop it yourself, or from another thread

        Lost connections, restarted servers and slow readers are dealt with: revisions strictly increase, and the newest
        state of every key arrives.

        Args:
            keys: One filter or several; `*` stands for one token, `>` for the rest.
            include_history: All revisions that the bucket keeps, not only the newest of each key.
            ignore_deletes: No markers of deletes and purges.
            meta_only: No values, only their length.
            updates_only: No initial values. Not together with `include_history`.
            resume_from_revision: Everything from this revision on; wins over the two before.
            timeout: How long the watch may take to be established.

        Raises:
            InvalidArgumentError: A filter or an option is wrong. Nothing was sent.
            BucketNotFoundError: There is no such bucket; raised by the iteration when it is deleted later.
        """
        options = (include_history, ignore_deletes, meta_only, updates_only, resume_from_revision, timeout)
        return KeyWatcher(self._client, self._bucket, filters(keys), options)

    def watch_filtered(self, keys: Sequence[str], **options: Unpack[WatchOptions]) -> KeyWatcher:
        """`watch` with several filters; takes its options."""
        return self.watch(keys, **options)

    def watch_all(self, **options: Unpack[WatchOptions]) -> KeyWatcher:
        """`watch` of all keys; takes its options."""
        return self.watch(">", **options)


class Listing(builtins.list[T]):
    """A finite list that is complete: a list, which can be entered too."""

    def list(self) -> builtins.list[T]:
        """All of it, as a plain list."""
        return builtins.list(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left open."""


class KeyLister(Listing[str]):
    """The keys of a bucket: what `kv.keys()` returns."""


class KeyHistory(Listing[KeyValueEntry]):
    """The revisions of a key: what `kv.history()` returns."""


class KeyWatcher:
    """A watch: what `kv.watch()` returns, established.

    Ends with `stop`, at the end of its `with`, when it is forgotten, and with the client; what the server keeps for it
    goes with it. Several threads may take from one watch: each entry goes to one of them.
    """

    def __init__(self, client: Client, bucket: Bucket, keys: builtins.list[str], options: tuple[Any, ...]) -> None:
        self._client = client
        driver = self._driver = client._driver
        self._lock = threading.RLock()  # on_status may be called under it, and may ask this watch
        self._ready = _Ready()
        self._feed: Feed | None = None
        opened = self._opened = Waiter()
        self._feed = Feed(driver, bucket, driver.engine.watch(opened, self._ready, bucket, keys, *options))
        try:
            driver.wait(opened)
            if opened.error is not None:
                raise opened.error
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> KeyValueEntry:
        entry = self._take(Feed.take, None)
        if entry is None:
            raise StopIteration
        return entry

    def next(self, timeout: Seconds | None = None) -> KeyValueEntry:
        """The next entry.

        Args:
            timeout: How long to wait for it, in seconds or as a timedelta. Default: for ever.

        Raises:
            RequestTimeoutError: None came in this time; the watch goes on.
            ClosedError: The watch was stopped.
        """
        entry = self._take(Feed.take, None if timeout is None else _native.nanoseconds(timeout) / 1e9)
        if entry is not None:
            return entry
        if self._feed is None or self._feed.is_over:
            raise _native.error("CLOSED", "the watch was stopped")
        raise _native.error("TIMEOUT", f"no entry within {timeout} s")

    def values(self) -> Iterator[KeyValueEntry]:
        """The initial values, then ends; the watch goes on and can be iterated further."""
        while (entry := self._take(Feed.take_initial, None)) is not None:
            yield entry

    def updates(self) -> Iterator[KeyValueEntry]:
        """What comes after the initial values, which are skipped."""
        for _ in self.values():
            pass
        yield from self

    def at_eod(self) -> bool:
        """Whether all initial values were handed out: true with the last of them, and always true after."""
        self._driver.engine.check_process()
        with self._lock:
            return self._feed is not None and self._feed.is_caught_up()

    @property
    def resets(self) -> int:
        """How often the bucket was deleted and created again under this watch, so that its picture began anew."""
        return 0 if self._feed is None else self._feed.resets

    def stop(self) -> None:
        """Ends the watch; who iterates it reaches the end. Does not wait, and may be called twice."""
        if self._driver.engine.is_forked:  # the lock may be held by a thread that is not there
            return
        with self._lock:
            if self._feed is not None:
                self._feed.stop()
        self._opened.set()
        self._ready.set()
        self._driver.wake()

    def __del__(self) -> None:
        if self._feed is not None and not self._feed.is_over:
            self._feed.stop()
            self._driver.wake()

    def _take(self, take: Callable[[Feed], KeyValueEntry | None], seconds: float | None) -> KeyValueEntry | None:
        """What `take` gives, once it gives something; None at the end, after `seconds`, and when values are over."""
        self._driver.engine.check_process()
        until = None if seconds is None else time.monotonic() + seconds
        feed = self._feed
        while feed is not None:
            with self._lock:
                entry = take(feed)
                if entry is None:  # core tells when there is more, maybe at this moment: listen, then ask again
                    waiter = self._ready.listen()
                    entry = take(feed)
                if entry is not None or feed.is_over or (take is Feed.take_initial and feed.is_caught_up()):
                    return entry
            self._driver.wait(waiter, until)
            if until is not None and not waiter.is_done:
                return None
        return None


class _Ready:
    """Passes on that a watch has something, to all threads that listen."""

    def __init__(self) -> None:
        self._waiters: deque[Waiter] = deque()

    def listen(self) -> Waiter:
        waiter = Waiter()
        self._waiters.append(waiter)
        return waiter

    def set(self) -> None:
        with contextlib.suppress(IndexError):
            while True:
                self._waiters.popleft().set()
