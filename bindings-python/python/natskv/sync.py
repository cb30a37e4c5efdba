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
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

import natskv

from . import _native
from ._blocking import Driver, Waiter
from ._common import Feed, Setup, described, filters, reply, status
from ._credentials import Credentials
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
from .options import KeyPolicy, OnDrift, Options, Progress, Seconds, Value, WatchOptions
from .types import KeyValueEntries, KeyValueOp, KeyValueStatus, Stats, StatusEvent

if TYPE_CHECKING:
    from .config import ExternalStream, KeyValueConfig, Placement, Republish, StreamSource, SubjectTransform

__all__ = [
    "AuthenticationError",
    "BadBucketError",
    "BucketExistsError",
    "BucketFullError",
    "BucketNotFoundError",
    "Client",
    "ClosedError",
    "Credentials",
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
    "KeyValueEntries",
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


def __getattr__(name: str) -> Any:
    if name in __all__:  # what `natskv` imports when it is first asked for
        return getattr(natskv, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def version() -> str:
    """The version of natskv, such as `"0.1.0"`."""
    return __version__


def connect(servers: str | Sequence[str] = "nats://127.0.0.1:4222", **options: Unpack[Options]) -> Client:
    """Connects: `client = connect(…)`, or `with connect(…) as client:`, which closes it at the end.

    Args:
        servers: One URL or several: `nats://`, `tls://`, `ws://` or `wss://`, host and port, with `user:password@` or
            `token@` if need be.
        **options: All are optional; `natskv.Options` describes each: `name`, `user`, `password`, `token`, `nkey_seed`,
            `credentials`, `credentials_callback`, `tls`, `tls_hostname`, `tls_first`, `connect_timeout`,
            `request_timeout`, `ping_interval`, `max_pings_out`, `reconnect`, `max_reconnects`, `retry_first_connect`,
            `reconnect_wait`, `max_reconnect_wait`, `randomize_servers`, `inbox_prefix`, `domain`, `api_prefix`,
            `pending_limit`, `retry_writes`, `on_status`.

    Raises:
        NatsConnectionError: No server could be reached; AuthenticationError and TlsError say so.
        InvalidArgumentError: An option is wrong; the message names it.
    """
    setup = Setup(servers, options, Waiter)
    driver = Driver(setup)
    try:
        if setup.waits:
            driver.run(driver.engine.ready, setup.ready_timeout)
        else:
            driver.pump()
    except BaseException:
        driver.close(None)
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
        config: natskv.KeyValueConfig | str | Mapping[str, Any] | None = None,
        *,
        on_drift: OnDrift = None,
        key_policy: KeyPolicy = None,
        leader_reads: bool = False,
        read_only: bool = False,
        reserved_keys: bool = False,
        timeout: Seconds | None = None,
        **fields: Any,
    ) -> KeyValue:
        """Creates a bucket, or opens the one that exists if its configuration is equal.

        Args:
            config: A configuration, a mapping of its fields, or a name: `create_key_value("settings", history=5)`.
                May be left out when `bucket` is among the fields.
            on_drift: What happens if it exists with another configuration: `"error"`, the default; `"ignore"` opens it
                as it is; `"update"` changes it. The handle's `drift` then tells the fields.
            key_policy: As for `key_value`.
            leader_reads: As for `key_value`.
            read_only: As for `key_value`.
            reserved_keys: As for `key_value`.
            timeout: Seconds or timedelta; default: the client's `request_timeout`.
            **fields: Fields of `KeyValueConfig`, in place of those in `config`.

        Raises:
            BucketExistsError: It exists with another configuration; the message lists the fields that differ.
            UnsupportedError: Its keys have a codec that natskv does not know; or the server is too old for a field.
            InvalidArgumentError: A field is unknown, of a wrong type or out of range. Nothing was sent.
        """
        spec, handle = (config, fields), (key_policy, leader_reads, read_only, reserved_keys)
        bucket = self._driver.run(self._engine.create_bucket, spec, handle, on_drift, timeout)
        return KeyValue(self, bucket)

    def update_key_value(
        self,
        config: natskv.KeyValueConfig | str | Mapping[str, Any] | None = None,
        *,
        key_policy: KeyPolicy = None,
        leader_reads: bool = False,
        read_only: bool = False,
        reserved_keys: bool = False,
        timeout: Seconds | None = None,
        **fields: Any,
    ) -> KeyValue:
        """Changes the fields that are given of an existing bucket.

        Args:
            config: As for `create_key_value`. With a name or a mapping, only what is named changes.
            key_policy: As for `key_value`.
            leader_reads: As for `key_value`.
            read_only: As for `key_value`.
            reserved_keys: As for `key_value`.
            timeout: Seconds or timedelta; default: the client's `request_timeout`.
            **fields: Fields of `KeyValueConfig`, in place of those in `config`.

        Raises:
            BucketNotFoundError: There is no such bucket.
            ServerError: The server refuses the change.
        """
        spec, handle = (config, fields), (key_policy, leader_reads, read_only, reserved_keys)
        return KeyValue(self, self._driver.run(self._engine.update_bucket, spec, handle, timeout))

    def create_or_update_key_value(
        self,
        config: natskv.KeyValueConfig | str | Mapping[str, Any] | None = None,
        *,
        key_policy: KeyPolicy = None,
        leader_reads: bool = False,
        read_only: bool = False,
        reserved_keys: bool = False,
        timeout: Seconds | None = None,
        **fields: Any,
    ) -> KeyValue:
        """Changes the fields that are given of a bucket, or creates it where there is none.

        Args:
            config: As for `create_key_value`.
            key_policy: As for `key_value`.
            leader_reads: As for `key_value`.
            read_only: As for `key_value`.
            reserved_keys: As for `key_value`.
            timeout: Seconds or timedelta; default: the client's `request_timeout`.
            **fields: Fields of `KeyValueConfig`, in place of those in `config`.
        """
        spec, handle = (config, fields), (key_policy, leader_reads, read_only, reserved_keys)
        return KeyValue(self, self._driver.run(self._engine.create_or_update_bucket, spec, handle, timeout))

    def key_value(
        self,
        bucket: str,
        *,
        check: bool = True,
        key_policy: KeyPolicy = None,
        leader_reads: bool = False,
        read_only: bool = False,
        reserved_keys: bool = False,
        timeout: Seconds | None = None,
    ) -> KeyValue:
        """Opens a bucket.

        Args:
            bucket: Its name.
            check: False: do not ask the server. The first verb tells if there is no such bucket; a mirror, and a bucket
                whose keys have a codec that is not named here, cannot be opened so.
            key_policy: Which keys are taken and how they are stored. `"strict"`: letters, digits and `-/_=`, in tokens
                between dots, what all clients agree on. `"permissive"`: printable ASCII but `*` and `>`, such as
                `user:12345`, which other clients may refuse. `"base64"`, `"escape"`: any text, `"path"`: paths such as
                `/a/b`, stored by this codec. Default: the codec that the bucket records, else `"strict"`.
            leader_reads: Reads go to the leader of the bucket's replicas, which knows every write that was
                acknowledged. Else any replica may answer, and only what was written or read through this handle is
                sure not to go back.
            read_only: Writes are refused here, before they are sent.
            reserved_keys: Writes to keys that begin with `_kv` are allowed.
            timeout: Seconds or timedelta; default: the client's `request_timeout`.

        Raises:
            BucketNotFoundError: There is no such bucket.
            BadBucketError: There is a stream of that name, which is not a bucket.
            InvalidBucketNameError: The name has other characters than letters, digits, `_` and `-`.
            UnsupportedError: The bucket records a codec that natskv does not know.
        """
        handle = (key_policy, leader_reads, read_only, reserved_keys)
        if not check:
            return KeyValue(self, self._engine.bind(bucket, handle))
        return KeyValue(self, self._driver.run(self._engine.open, bucket, handle, timeout))

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
        return Listing([status(text) for text in self._driver.run(self._engine.bucket_list, timeout)])

    # ── the connection

    def flush(self, *, timeout: Seconds | None = None) -> None:
        """Returns when everything asked before has reached the server."""
        self._driver.run(self._engine.flush, timeout)

    def rtt(self, *, timeout: Seconds | None = None) -> float:
        """The round trip to the server and back, in seconds."""
        seconds: float = self._driver.run(self._engine.flush, timeout)
        return seconds

    def drain(self, *, timeout: Seconds | None = None) -> None:
        """Finishes what is in flight, ends the watches, then closes.

        Args:
            timeout: How long that may take, in seconds or as a timedelta; default: 30 s.

        Raises:
            RequestTimeoutError: It took longer. The client is closed; what was not finished has raised this too.
        """
        self._driver.drain(timeout)

    def close(self, *, timeout: Seconds | None = None) -> None:
        """Ends everything now: calls in flight raise ClosedError, watches end. A second call does nothing.

        Args:
            timeout: How long what is on its way out may take to leave, in seconds or as a timedelta; default: 1 s.
        """
        self._driver.close(timeout)

    @property
    def state(self) -> str:
        """`"connecting"`, `"connected"`, `"disconnected"`, `"reconnecting"`, `"draining"` or `"closed"`."""
        return self._engine.state

    @property
    def server_info(self) -> Mapping[str, Any] | None:
        """What the connected server says of itself (`version`, `server_name`, `max_payload`, …)."""
        return self._engine.server_info

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

    @property
    def key_policy(self) -> str:
        """Which keys this handle takes and how they are stored, in the words of `Client.key_value`."""
        return self._engine.key_policy(self._bucket)

    @property
    def read_only(self) -> bool:
        """Whether writes are refused: asked for, or the bucket is sealed, or a mirror of something that is no bucket.

        `status` tells which. A handle that did not ask the server knows only the first.
        """
        return self._engine.read_only(self._bucket) is not None

    @property
    def drift(self) -> tuple[str, ...]:
        """What differed from the configuration asked for, a text a field, where `on_drift` let it pass."""
        return self._bucket.drift

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

    def keys(self, keys: str | Iterable[str] = ">", *, timeout: Seconds | None = None) -> KeyLister:
        """The live keys that match, each once: `for key in kv.keys()`, or `kv.keys().list()`.

        Args:
            keys: One filter or several; `*` stands for one token, `>` for the rest.
            timeout: Longest silence of the server, in seconds or as a timedelta.
        """
        return KeyLister(self._driver.run(self._engine.keys, self._bucket, filters(keys), timeout))

    def get_many(self, keys: str | Iterable[str], *, timeout: Seconds | None = None) -> KeyValueEntries:
        """The live values of many keys, in as few requests as the server allows.

        Args:
            keys: The keys; filters may stand among them.
            timeout: Longest silence of the server, in seconds or as a timedelta.

        Returns:
            The entries by their keys, without those that have no live value; and the revision at which they all were
            the newest, as `as_of`.
        """
        found: KeyValueEntries = self._driver.run(self._engine.get_many, self._bucket, filters(keys), timeout)
        return found

    def entries(self, keys: str | Iterable[str] = ">", *, timeout: Seconds | None = None) -> Listing[KeyValueEntry]:
        """The newest entries of the live keys that match, in the order of their revisions.

        `for entry in kv.entries()`, or `kv.entries().list()`.

        Args:
            keys: One filter or several; `*` stands for one token, `>` for the rest.
            timeout: Longest silence of the server, in seconds or as a timedelta.
        """
        return Listing(self._driver.run(self._engine.entries, self._bucket, filters(keys), timeout))

    def count(self, keys: str | Iterable[str] = ">", *, timeout: Seconds | None = None) -> int:
        """How many live keys match: as many as `keys` would give.

        Args:
            keys: One filter or several; `*` stands for one token, `>` for the rest.
            timeout: Longest silence of the server, in seconds or as a timedelta.
        """
        count: int = self._driver.run(self._engine.count, self._bucket, filters(keys), timeout)
        return count

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

    def put(self, key: str, value: Value, *, ttl: Seconds | None = None, timeout: Seconds | None = None) -> int:
        """Writes a value, whatever was there, and returns its revision.

        Args:
            key: The key.
            value: The value.
            ttl: After this time the key expires; at least 1 second, in buckets with `limit_marker_ttl` that keep one
                revision a key. Where it is shorter than `limit_marker_ttl`, the server takes that in its place.
            timeout: Seconds or timedelta.

        Raises:
            UnsupportedError: `ttl`, in another bucket: an older revision would come back when this one expires.
            ValueTooLargeError: Larger than the server or the bucket takes. Nothing was sent.
            BucketFullError: The bucket reached its `max_bytes`.
            DisconnectedError: The connection was lost before the answer; see `maybe_applied`.
        """
        revision: int = self._driver.run(self._engine.put, self._bucket, key, value, ttl, timeout)
        return revision

    def put_many(
        self, values: Mapping[str, Value], *, timeout: Seconds | None = None
    ) -> dict[str, int | KeyValueError]:
        """Writes many values, whatever was there, with many in flight at a time.

        Args:
            values: The values by their keys.
            timeout: Longest silence of the server, in seconds or as a timedelta.

        Returns:
            For each key the revision of its value, or the exception that says why it was not written. It is not raised:
            look at it, and at its `maybe_applied`.

        Raises:
            InvalidArgumentError: A key cannot be, or a value is too large; the message names it. Nothing was sent.
        """
        written: dict[str, int | KeyValueError]
        written = self._driver.run(self._engine.put_many, self._bucket, values, timeout)
        return written

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

    def update(
        self,
        key: str,
        value: Value,
        revision: int,
        *,
        ttl: Seconds | None = None,
        timeout: Seconds | None = None,
    ) -> int:
        """Writes a value if `revision` is still the newest of the key, and returns the new one.

        Args:
            key: The key.
            value: The value.
            revision: The newest revision of the key, as far as you know.
            ttl: After this time the key expires, as for `put`.
            timeout: Seconds or timedelta.

        Raises:
            WrongRevisionError: It is not; the error's `revision` is the newest one when the server told it.
        """
        written: int = self._driver.run(self._engine.update, self._bucket, key, value, revision, ttl, timeout)
        return written

    def touch(self, key: str, ttl: Seconds, *, timeout: Seconds | None = None) -> int:
        """Gives a key a new time to live, its value as it is, and returns the new revision.

        Nothing that others write meanwhile is undone.

        Args:
            key: The key.
            ttl: From now on, in seconds or as a timedelta; at least 1 second, in buckets where `put` takes one.
            timeout: Seconds or timedelta.

        Raises:
            KeyNotFoundError: It has no live value.
            UnsupportedError: The bucket takes no `ttl`.
        """
        revision: int = self._driver.run(self._engine.touch, self._bucket, key, ttl, timeout)
        return revision

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

    def purge_deletes(
        self,
        *,
        older_than: Seconds = 30 * 60,
        on_progress: Progress | None = None,
        timeout: Seconds | None = None,
    ) -> int:
        """Removes the markers that are older, with all that is under them, and returns how many.

        A key that is written meanwhile loses nothing.

        Args:
            older_than: Age in seconds or as a timedelta, default: 30 minutes; 0 for all markers.
            on_progress: A plain function that is called, in this thread, with how many markers are dealt with and how
                many there are: now and then, and at the end. What it raises ends the call.
            timeout: Longest silence of the server, in seconds or as a timedelta.
        """
        verb = self._engine.purge_deletes
        count: int = self._driver.run_telling(on_progress, verb, self._bucket, older_than, timeout)
        return count

    def clear(self, prefix: str, *, on_progress: Progress | None = None, timeout: Seconds | None = None) -> int:
        """Purges a key and all keys under it, and returns how many.

        A key that is written meanwhile keeps that value. The markers stay, until `purge_deletes`.

        Args:
            prefix: `"a.b"`: the key `a.b` and all that begin with `a.b.`. With wildcards it is a filter: `">"` is all.
            on_progress: As for `purge_deletes`, with keys.
            timeout: Longest silence of the server, in seconds or as a timedelta.
        """
        verb = self._engine.clear
        count: int = self._driver.run_telling(on_progress, verb, self._bucket, prefix, timeout)
        return count

    # ── the bucket

    def status(self, *, timeout: Seconds | None = None) -> KeyValueStatus:
        """What the bucket is and holds now."""
        return status(self._driver.run(self._engine.status, self._bucket, timeout))

    def execute(self, operation: Mapping[str, Any] | str | bytes, *, timeout: Seconds | None = None) -> dict[str, Any]:
        """Runs one operation in SPEC.md's JSON form: `{"operation": "PUT", "key": "a", "value": "dGV4dA=="}`.

        Args:
            operation: The object, or its JSON text. Values are base64 (or text as `value_text`), durations nanoseconds.
            timeout: Seconds or timedelta.

        Returns:
            The reply; when the operation failed, the error's JSON form, with its `kind`.
        """
        return reply(self._driver.run(self._engine.execute, self._bucket, operation, timeout))

    # ── watching

    def watch(
        self,
        keys: str | Iterable[str] = ">",
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

    def watch_filtered(self, keys: Iterable[str], **options: Unpack[WatchOptions]) -> KeyWatcher:
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
