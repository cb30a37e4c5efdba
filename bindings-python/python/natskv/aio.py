"""The asyncio API, which `import natskv` gives: `connect`, `Client`, `KeyValue`, `KeyWatcher` and the lists.

A verb is one line: it hands core's verb of the same name to the driver, which waits for its end (`Driver.run` in
`_loop.py`). `natskv.sync` has the same names without `await`.
"""

from __future__ import annotations

import asyncio
import builtins
import json
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Generic, NoReturn, Self, TypeVar, Unpack

from . import types
from ._common import Feed, Options, Seconds, Setup, Value, WatchOptions, described, filters
from ._loop import Driver
from ._native import Bucket, KeyValueEntry
from .types import KeyValueConfig, KeyValueStatus, Stats

__all__ = ["Client", "KeyHistory", "KeyLister", "KeyValue", "KeyWatcher", "connect"]

T = TypeVar("T")


def connect(servers: str | Sequence[str] = "nats://127.0.0.1:4222", **options: Unpack[Options]) -> Connecting:
    """Connects: `client = await connect(…)`, or `async with connect(…) as client:`, which closes it at the end.

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
        setup = Setup(self._servers, self._options)
        driver = Driver(setup)
        try:
            if setup.waits:
                await driver.run(driver.engine.ready, setup.ready_timeout)
            else:
                driver.poke()
        except BaseException:
            await driver.close()
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
        bucket, _ = await self._driver.run(self._engine.create_bucket, types.spec(config, fields), timeout)
        return KeyValue(self, bucket)

    async def update_key_value(
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
        bucket, _ = await self._driver.run(self._engine.update_bucket, types.spec(config, fields), timeout)
        return KeyValue(self, bucket)

    async def create_or_update_key_value(
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
        bucket, _ = await self._driver.run(verb, types.spec(config, fields), timeout)
        return KeyValue(self, bucket)

    async def key_value(self, bucket: str, *, check: bool = True, timeout: Seconds | None = None) -> KeyValue:
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
        opened, _ = await self._driver.run(self._engine.open, bucket, timeout)
        return KeyValue(self, opened)

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
            return [types.status(text) for text in await self._driver.run(self._engine.bucket_list, timeout)]

        return Listing(fetch)

    # ── the connection

    async def flush(self, *, timeout: Seconds | None = None) -> None:
        """Returns when everything asked before has reached the server."""
        await self._driver.run(self._engine.flush, timeout)

    async def rtt(self, *, timeout: Seconds | None = None) -> float:
        """The round trip to the server and back, in seconds."""
        seconds: float = await self._driver.run(self._engine.flush, timeout)
        return seconds

    async def drain(self) -> None:
        """Finishes what is in flight, ends the watches, then closes. Takes 30 seconds at most."""
        await self._driver.drain()

    async def close(self) -> None:
        """Ends everything now: calls in flight raise ClosedError, watches end. A second call does nothing."""
        await self._driver.close()

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

    def keys(self, keys: str | Sequence[str] = ">", *, timeout: Seconds | None = None) -> KeyLister:
        """The live keys that match, each once: `async for key in kv.keys()`, or `await kv.keys().list()`.

        Args:
            keys: One filter or several; `*` stands for one token, `>` for the rest.
            timeout: Longest silence of the server, in seconds or as a timedelta.
        """
        return KeyLister(lambda: self._driver.run(self._engine.keys, self._bucket, filters(keys), timeout))

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

    async def put(self, key: str, value: Value, *, timeout: Seconds | None = None) -> int:
        """Writes a value, whatever was there, and returns its revision.

        Raises:
            ValueTooLargeError: Larger than the server or the bucket takes. Nothing was sent.
            BucketFullError: The bucket reached its `max_bytes`.
            DisconnectedError: The connection was lost before the answer; see `maybe_applied`.
        """
        revision: int = await self._driver.run(self._engine.put, self._bucket, key, value, timeout)
        return revision

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

    async def update(self, key: str, value: Value, revision: int, *, timeout: Seconds | None = None) -> int:
        """Writes a value if `revision` is still the newest of the key, and returns the new one.

        Raises:
            WrongRevisionError: It is not; the error's `revision` is the newest one when the server told it.
        """
        written: int = await self._driver.run(self._engine.update, self._bucket, key, value, revision, timeout)
        return written

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
        self, *, older_than: Seconds = timedelta(minutes=30), timeout: Seconds | None = None
    ) -> int:
        """Removes the markers that are older, with all that is under them, and returns how many.

        A key that is written meanwhile loses nothing.

        Args:
            older_than: Age in seconds or as a timedelta; 0 for all markers.
            timeout: Seconds or timedelta.
        """
        count: int = await self._driver.run(self._engine.purge_deletes, self._bucket, older_than, timeout)
        return count

    # ── the bucket

    async def status(self, *, timeout: Seconds | None = None) -> KeyValueStatus:
        """What the bucket is and holds now."""
        return types.status(await self._driver.run(self._engine.status, self._bucket, timeout))

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
        text = types.operation(operation)
        reply: dict[str, Any] = json.loads(await self._driver.run(self._engine.execute, self._bucket, text, timeout))
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

    def watch_filtered(self, keys: Sequence[str], **options: Unpack[WatchOptions]) -> KeyWatcher:
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
