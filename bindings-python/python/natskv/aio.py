"""The asyncio API, which `import natskv` gives: `connect`, `Client`, `KeyValue`, `KeyWatcher` and the lists.

A verb is one line: it hands core's verb of the same name to the driver, which waits for its end (`Driver.run` in
`_loop.py`). `natskv.sync` has the same names without `await`.
"""

from __future__ import annotations

import asyncio
import builtins
import warnings
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Mapping,
    Sequence,
)
from types import TracebackType
from typing import Any, Generic, NoReturn, Self, TypeVar, Unpack

import natskv

from ._common import Feed, Setup, described, filters, reply, status
from ._loop import Driver, future_maker
from ._native import Bucket, KeyValueEntry
from .errors import KeyValueError
from .options import KeyPolicy, OnDrift, Options, Progress, Seconds, Value, WatchOptions
from .types import KeyValueEntries, KeyValueStatus, Stats

__all__ = ["Client", "KeyHistory", "KeyLister", "KeyValue", "KeyWatcher", "connect"]

T = TypeVar("T")


def connect(servers: str | Sequence[str] = "nats://127.0.0.1:4222", **options: Unpack[Options]) -> Connecting:
    """Connects: `client = await connect(…)`, or `async with connect(…) as client:`, which closes it at the end.

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
    return Connecting(servers, options)


class Connecting:
    """What `connect` returns: await it, or enter it."""

    def __init__(self, servers: str | Sequence[str], options: Mapping[str, Any]) -> None:
        self._servers = servers
        self._options = options
        self._client: Client | None = None

    def __await__(self) -> Generator[Any, None, Client]:
        return self._connect().__await__()

    async def __aenter__(self) -> Client:
        self._client = await self._connect()
        return self._client

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.close()

    async def _connect(self) -> Client:
        setup = Setup(self._servers, self._options, future_maker())
        driver = Driver(setup)
        try:
            if setup.waits:
                await driver.run(driver.engine.ready, setup.ready_timeout)
            else:
                driver.poke()
        except BaseException:
            await driver.close(None)
            raise
        return Client(driver)


class Client:
    """A connection to NATS, made anew whenever it is lost. Made by `connect`; belongs to the loop it was made on."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._engine = driver.engine

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<Client {described(self._engine)}>"

    def __del__(self) -> None:
        unclosed = f"{self!r} was never closed"
        if self._driver.abandon():
            warnings.warn(unclosed, ResourceWarning, source=self, stacklevel=1)

    # ── buckets

    async def create_key_value(
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
        bucket = await self._driver.run(self._engine.create_bucket, spec, handle, on_drift, timeout)
        return KeyValue(self, bucket)

    async def update_key_value(
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
        return KeyValue(self, await self._driver.run(self._engine.update_bucket, spec, handle, timeout))

    async def create_or_update_key_value(
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
        return KeyValue(self, await self._driver.run(self._engine.create_or_update_bucket, spec, handle, timeout))

    async def key_value(
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
        return KeyValue(self, await self._driver.run(self._engine.open, bucket, handle, timeout))

    async def delete_key_value(self, bucket: str, *, timeout: Seconds | None = None) -> None:
        """Deletes a bucket with all that is in it.

        Raises:
            BucketNotFoundError: There is no such bucket.
        """
        await self._driver.run(self._engine.delete_bucket, bucket, timeout)

    def key_value_bucket_names(self, *, timeout: Seconds | None = None) -> Listing[str]:
        """Names of all buckets, sorted: `async for name in client.key_value_bucket_names()`."""
        return Listing(lambda: self._driver.run(self._engine.bucket_names, timeout))

    def key_value_buckets(self, *, timeout: Seconds | None = None) -> Listing[KeyValueStatus]:
        """Statuses of all buckets, sorted by name: `async for status in client.key_value_buckets()`."""

        async def fetch() -> list[KeyValueStatus]:
            return [status(text) for text in await self._driver.run(self._engine.bucket_list, timeout)]

        return Listing(fetch)

    # ── the connection

    async def flush(self, *, timeout: Seconds | None = None) -> None:
        """Returns when everything asked before has reached the server."""
        await self._driver.run(self._engine.flush, timeout)

    async def rtt(self, *, timeout: Seconds | None = None) -> float:
        """The round trip to the server and back, in seconds."""
        seconds: float = await self._driver.run(self._engine.flush, timeout)
        return seconds

    async def drain(self, *, timeout: Seconds | None = None) -> None:
        """Finishes what is in flight, ends the watches, then closes.

        Args:
            timeout: How long that may take, in seconds or as a timedelta; default: 30 s.

        Raises:
            RequestTimeoutError: It took longer. The client is closed; what was not finished has raised this too.
        """
        await self._driver.drain(timeout)

    async def close(self, *, timeout: Seconds | None = None) -> None:
        """Ends everything now: calls in flight raise ClosedError, watches end. A second call does nothing.

        Args:
            timeout: How long what is on its way out may take to leave, in seconds or as a timedelta; default: 1 s.
        """
        await self._driver.close(timeout)

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
    A cancelled verb is forgotten at once; a write may have been stored all the same.
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

    async def get(self, key: str, *, revision: int | None = None, timeout: Seconds | None = None) -> KeyValueEntry:
        """The live value of a key.

        Args:
            key: The key.
            revision: The key's value at this revision, in place of the newest.
            timeout: Seconds or timedelta.

        Raises:
            KeyNotFoundError: Never written, deleted, purged or expired; or not this key's revision.
        """
        entry: KeyValueEntry = await self._driver.run(self._engine.get, self._bucket, key, revision, timeout)
        return entry

    async def entry(self, key: str, *, timeout: Seconds | None = None) -> KeyValueEntry:
        """The newest entry of a key, even when it is the marker of a delete or purge.

        Raises:
            KeyNotFoundError: The bucket has nothing of this key.
        """
        entry: KeyValueEntry = await self._driver.run(self._engine.entry, self._bucket, key, timeout)
        return entry

    def keys(self, keys: str | Iterable[str] = ">", *, timeout: Seconds | None = None) -> KeyLister:
        """The live keys that match, each once: `async for key in kv.keys()`, or `await kv.keys().list()`.

        Args:
            keys: One filter or several; `*` stands for one token, `>` for the rest.
            timeout: Longest silence of the server, in seconds or as a timedelta.
        """
        return KeyLister(lambda: self._driver.run(self._engine.keys, self._bucket, filters(keys), timeout))

    async def get_many(self, keys: str | Iterable[str], *, timeout: Seconds | None = None) -> KeyValueEntries:
        """The live values of many keys, in as few requests as the server allows.

        Args:
            keys: The keys; filters may stand among them.
            timeout: Longest silence of the server, in seconds or as a timedelta.

        Returns:
            The entries by their keys, without those that have no live value; and the revision at which they all were
            the newest, as `as_of`.
        """
        found: KeyValueEntries = await self._driver.run(self._engine.get_many, self._bucket, filters(keys), timeout)
        return found

    def entries(self, keys: str | Iterable[str] = ">", *, timeout: Seconds | None = None) -> Listing[KeyValueEntry]:
        """The newest entries of the live keys that match, in the order of their revisions.

        `async for entry in kv.entries()`, or `await kv.entries().list()`.

        Args:
            keys: One filter or several; `*` stands for one token, `>` for the rest.
            timeout: Longest silence of the server, in seconds or as a timedelta.
        """
        return Listing(lambda: self._driver.run(self._engine.entries, self._bucket, filters(keys), timeout))

    async def count(self, keys: str | Iterable[str] = ">", *, timeout: Seconds | None = None) -> int:
        """How many live keys match: as many as `keys` would give.

        Args:
            keys: One filter or several; `*` stands for one token, `>` for the rest.
            timeout: Longest silence of the server, in seconds or as a timedelta.
        """
        count: int = await self._driver.run(self._engine.count, self._bucket, filters(keys), timeout)
        return count

    def history(self, key: str, *, timeout: Seconds | None = None) -> KeyHistory:
        """All revisions of a key that the bucket keeps, oldest first, markers included.

        Args:
            key: The key.
            timeout: Longest silence of the server, in seconds or as a timedelta.

        Raises:
            KeyNotFoundError: When awaited or iterated: the bucket has nothing of this key.
        """
        return KeyHistory(lambda: self._driver.run(self._engine.history, self._bucket, key, timeout))

    # ── writing

    async def put(self, key: str, value: Value, *, ttl: Seconds | None = None, timeout: Seconds | None = None) -> int:
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
        revision: int = await self._driver.run(self._engine.put, self._bucket, key, value, ttl, timeout)
        return revision

    async def put_many(
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
        written = await self._driver.run(self._engine.put_many, self._bucket, values, timeout)
        return written

    async def create(
        self, key: str, value: Value, *, ttl: Seconds | None = None, timeout: Seconds | None = None
    ) -> int:
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
        revision: int = await self._driver.run(self._engine.create, self._bucket, key, value, ttl, timeout)
        return revision

    async def update(
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
        written: int = await self._driver.run(self._engine.update, self._bucket, key, value, revision, ttl, timeout)
        return written

    async def touch(self, key: str, ttl: Seconds, *, timeout: Seconds | None = None) -> int:
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
        revision: int = await self._driver.run(self._engine.touch, self._bucket, key, ttl, timeout)
        return revision

    async def delete(self, key: str, *, last_revision: int | None = None, timeout: Seconds | None = None) -> int:
        """Puts a delete marker on a key and returns its revision. Earlier revisions stay as far as history goes.

        Args:
            key: The key; it need not exist.
            last_revision: Only if this is the newest revision of the key.
            timeout: Seconds or timedelta.

        Raises:
            WrongRevisionError: `last_revision` is not the newest.
        """
        revision: int = await self._driver.run(self._engine.delete, self._bucket, key, last_revision, timeout)
        return revision

    async def purge(
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
        revision: int = await self._driver.run(self._engine.purge, self._bucket, key, last_revision, ttl, timeout)
        return revision

    async def purge_deletes(
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
            on_progress: A plain function that is called, on the event loop, with how many markers are dealt with and
                how many there are: now and then, and at the end. What it raises ends the call.
            timeout: Longest silence of the server, in seconds or as a timedelta.
        """
        verb = self._engine.purge_deletes
        count: int = await self._driver.run_telling(on_progress, verb, self._bucket, older_than, timeout)
        return count

    async def clear(self, prefix: str, *, on_progress: Progress | None = None, timeout: Seconds | None = None) -> int:
        """Purges a key and all keys under it, and returns how many.

        A key that is written meanwhile keeps that value. The markers stay, until `purge_deletes`.

        Args:
            prefix: `"a.b"`: the key `a.b` and all that begin with `a.b.`. With wildcards it is a filter: `">"` is all.
            on_progress: As for `purge_deletes`, with keys.
            timeout: Longest silence of the server, in seconds or as a timedelta.
        """
        verb = self._engine.clear
        count: int = await self._driver.run_telling(on_progress, verb, self._bucket, prefix, timeout)
        return count

    # ── the bucket

    async def status(self, *, timeout: Seconds | None = None) -> KeyValueStatus:
        """What the bucket is and holds now."""
        return status(await self._driver.run(self._engine.status, self._bucket, timeout))

    async def execute(
        self, operation: Mapping[str, Any] | str | bytes, *, timeout: Seconds | None = None
    ) -> dict[str, Any]:
        """Runs one operation in SPEC.md's JSON form: `{"operation": "PUT", "key": "a", "value": "dGV4dA=="}`.

        Args:
            operation: The object, or its JSON text. Values are base64 (or text as `value_text`), durations nanoseconds.
            timeout: Seconds or timedelta.

        Returns:
            The reply; when the operation failed, the error's JSON form, with its `kind`.
        """
        return reply(await self._driver.run(self._engine.execute, self._bucket, operation, timeout))

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

            async for entry in kv.watch("a.>"): …
            async with kv.watch("a.>") as watcher: …        stops it at the end
            watcher = await kv.watch("a.>")                 stop it yourself

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
            InvalidArgumentError: When awaited, entered or iterated.
            BucketNotFoundError: When awaited, entered or iterated, and when the bucket is deleted later.
        """
        options = (include_history, ignore_deletes, meta_only, updates_only, resume_from_revision, timeout)
        return KeyWatcher(self._client, self._bucket, filters(keys), options)

    def watch_filtered(self, keys: Iterable[str], **options: Unpack[WatchOptions]) -> KeyWatcher:
        """`watch` with several filters; takes its options."""
        return self.watch(keys, **options)

    def watch_all(self, **options: Unpack[WatchOptions]) -> KeyWatcher:
        """`watch` of all keys; takes its options."""
        return self.watch(">", **options)


class Listed(builtins.list[T]):
    """A finite list that is complete: what awaiting or entering a listing gives. A list that `async for` takes too."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left open."""

    async def __aiter__(self) -> AsyncIterator[T]:
        for item in self:
            yield item

    async def list(self) -> builtins.list[T]:
        """All of it, as a plain list."""
        return builtins.list(self)


class Listing(Generic[T]):
    """A finite list that is asked for when it is first used.

    Iterate it (`async for`), await or enter it (which gives a list), or `await listing.list()`.
    """

    def __init__(self, fetch: Callable[[], Awaitable[builtins.list[T]]]) -> None:
        self._fetch = fetch
        self._items: Listed[T] | None = None

    async def list(self) -> builtins.list[T]:
        """All of it, as a plain list."""
        return builtins.list(await self)

    def __await__(self) -> Generator[Any, None, Listed[T]]:
        return self.__aenter__().__await__()

    async def __aenter__(self) -> Listed[T]:
        if self._items is None:
            self._items = Listed(await self._fetch())
        return self._items

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left open."""

    async def __aiter__(self) -> AsyncIterator[T]:
        for item in await self:
            yield item


class KeyLister(Listing[str]):
    """The keys of a bucket: what `kv.keys()` returns."""


class KeyHistory(Listing[KeyValueEntry]):
    """The revisions of a key: what `kv.history()` returns."""


class KeyWatcher:
    """A watch: what `kv.watch()` returns. Starts when it is awaited, entered or iterated, whichever is first.

    Ends with `stop`, at the end of its `async with`, when it is forgotten, and with the client; what the server keeps
    for it goes with it. A cancelled wait loses no entry.
    """

    def __init__(self, client: Client, bucket: Bucket, keys: builtins.list[str], options: tuple[Any, ...]) -> None:
        self._client = client
        self._driver = client._driver
        self._bucket = bucket
        self._keys = keys
        self._options = options
        self._ready = asyncio.Event()
        self._feed: Feed | None = None
        self._items: deque[Any] = deque()  # the feed's, once there is one
        self._opened: asyncio.Future[None] | None = None
        self._is_stopped = False

    def __await__(self) -> Generator[Any, None, Self]:
        return self.__aenter__().__await__()

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> KeyValueEntry:
        items = self._items
        if items and type(items[0]) is KeyValueEntry:  # nearly always: the shortest way there is
            entry: KeyValueEntry = items.popleft()
            return entry
        return await self._next()

    async def _next(self) -> KeyValueEntry:
        feed = self._feed or await self._open()
        while feed is not None:
            if (entry := feed.take()) is not None:
                return entry
            if feed.is_over:
                break
            await self._more()
        raise StopAsyncIteration

    async def values(self) -> AsyncGenerator[KeyValueEntry, None]:
        """The initial values, then ends; the watch goes on and can be iterated further."""
        feed = self._feed or await self._open()
        while feed is not None and not feed.is_caught_up() and not feed.is_over:
            if (entry := feed.take_initial()) is not None:
                yield entry
            elif not feed.is_caught_up() and not feed.is_over:
                await self._more()

    async def updates(self) -> AsyncGenerator[KeyValueEntry, None]:
        """What comes after the initial values, which are skipped."""
        async for _ in self.values():
            pass
        async for entry in self:
            yield entry

    def at_eod(self) -> bool:
        """Whether all initial values were handed out: true with the last of them, and always true after."""
        return self._feed is not None and self._feed.is_caught_up()

    @property
    def resets(self) -> int:
        """How often the bucket was deleted and created again under this watch, so that its picture began anew."""
        return 0 if self._feed is None else self._feed.resets

    def stop(self) -> Awaitable[None]:
        """Ends the watch; who iterates it reaches the end. Does not wait, awaited or not, and may be called twice."""
        self._is_stopped = True
        if self._feed is not None and self._opened is not None and not self._driver.engine.is_forked:
            self._feed.stop()
            if not self._opened.done():
                self._opened.set_result(None)
            self._ready.set()
            self._driver.poke()
        return _Done()

    def __del__(self) -> None:
        if self._feed is not None and not self._feed.is_over:
            self._feed.stop()
            self._driver.poke_threadsafe()

    async def _open(self) -> Feed | None:
        """Starts the watch, once; None when it was stopped before."""
        if self._feed is None and not self._is_stopped:
            self._driver.check_loop()
            opened = self._opened = self._driver.future()
            verb = self._driver.engine.watch
            watch = verb(opened, self._ready, self._bucket, self._keys, *self._options)
            self._feed = Feed(self._driver, self._bucket, watch)
            self._items = self._feed.items
            self._driver.poke()
            try:
                await opened
            except BaseException:
                self.stop()
                raise
        return self._feed

    async def _more(self) -> None:
        """Waits until core has something. It tells only after it was asked in vain, which was just now."""
        self._driver.check_loop()
        self._ready.clear()
        await self._ready.wait()


class _Done(Coroutine[Any, Any, None]):
    """A coroutine that is at its end: it may be awaited, made a task, or forgotten."""

    def __await__(self) -> Generator[Any, None, None]:
        yield from ()

    def send(self, value: Any) -> NoReturn:
        raise StopIteration

    def throw(self, kind: Any, value: Any = None, trace: Any = None) -> NoReturn:
        raise kind

    def close(self) -> None:
        pass
