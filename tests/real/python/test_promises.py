"""What both APIs promise, on a real server."""

from __future__ import annotations

import asyncio
import copy
import gc
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import natskv
from conftest import Api, next_within, run, values_of
from nats_server import Server

MANY = 100_000


@asynccontextmanager
async def opened(api: Api, server: Server, bucket: str, **fields: Any) -> AsyncIterator[tuple[Any, Any]]:
    """A client and a new bucket."""
    async with await api.connect(server.url) as client:
        yield client, await client.create_key_value(bucket, **fields)


def test_verbs(api: Api, server: Server, bucket: str) -> None:
    async def test() -> None:
        async with opened(api, server, bucket, history=5) as (client, kv):
            first = await kv.put("a", b"one")
            second = await kv.update("a", "two", first)
            entry = await kv.get("a")
            assert (entry.bucket, entry.key, entry.value, entry.revision) == (bucket, "a", b"two", second)
            assert entry.operation is natskv.KeyValueOp.PUT
            assert (entry.delta, entry.length, entry.text(), entry.ttl) == (0, 3, "two", None)
            assert entry.created.utcoffset() is not None
            assert abs(entry.created.timestamp() - time.time()) < 60
            assert entry == await kv.get("a") and hash(entry) == hash(await kv.get("a"))
            assert entry != await kv.get("a", revision=first)
            assert copy.deepcopy([entry]) == [entry]
            assert "two" not in repr(entry) and f"revision={second}" in repr(entry)
            with pytest.raises(natskv.WrongRevisionError) as wrong:
                await kv.update("a", b"three", first)
            assert wrong.value.revision in (None, second) and wrong.value.api_code == 10071
            marker = await kv.delete("a")
            assert (await kv.entry("a")).operation is natskv.KeyValueOp.DELETE
            with pytest.raises(KeyError):
                await kv.get("a")
            assert [e.revision for e in await (await kv.history("a")).list()] == [first, second, marker]
            assert await kv.create("a", b'{"n": 1}') > marker
            assert (await kv.get("a")).json() == {"n": 1}
            with pytest.raises(natskv.KeyExistsError):
                await kv.create("a", b"again")
            purged = await kv.purge("a")
            assert [e.revision for e in await (await kv.history("a")).list()] == [purged]
            assert await kv.purge_deletes(older_than=0) == 1
            assert await (await kv.keys()).list() == []
            await kv.put("b", bytearray(b"view"))
            await kv.put("c.d", memoryview(b"view"))
            assert sorted([key async for key in await kv.keys()]) == ["b", "c.d"]
            assert await (await kv.keys(["c.>", "x"])).list() == ["c.d"]
            reply = await kv.execute({"operation": "GET", "key": "b"})
            assert reply["value"] == "dmlldw==" and reply["operation"] == "PUT"
            assert (await kv.execute('{"operation": "GET", "key": "none"}'))["kind"] == "KEY_NOT_FOUND"
            status = await kv.status()
            assert (status.bucket, status.history, status.backing_store) == (bucket, 5, "JetStream")
            assert status.config.history == 5 and status.stream_info["config"]["name"] == f"KV_{bucket}"
            assert await client.rtt() > 0
            await client.flush()
            assert client.state == "connected" and client.stats.out_msgs > 10
            assert client.server_info["version"].startswith("2.")

    run(test)


def test_buckets(api: Api, server: Server, bucket: str) -> None:
    async def test() -> None:
        async with await api.connect(server.url) as client:
            config = natskv.KeyValueConfig(bucket, description="d", ttl=60, metadata={"a": "b"}, storage="memory")
            await client.create_key_value(config)
            await client.create_key_value(
                {"bucket": bucket, "description": "d", "ttl": 60, "storage": "memory"}, metadata={"a": "b"}
            )
            with pytest.raises(natskv.BucketExistsError, match="history"):
                await client.create_key_value(config, history=3)
            kv = await client.update_key_value(bucket, description="e", history=2)
            status = await kv.status()
            assert (status.ttl, status.history, status.config.description) == (60, 2, "e")
            assert bucket in [name async for name in await client.key_value_bucket_names()]
            assert bucket in [status.bucket async for status in await client.key_value_buckets()]
            await client.create_or_update_key_value(bucket, description="f", history=2)
            assert (await (await client.key_value(bucket)).status()).config.description == "f"
            with pytest.raises(natskv.BucketNotFoundError):
                await client.key_value("nothing_here")
            unchecked = await client.key_value(bucket, check=False)
            assert await unchecked.put("k", b"v") == 1
            assert (await unchecked.get("k")).value == b"v"
            await client.delete_key_value(bucket)
            with pytest.raises(LookupError):
                await client.delete_key_value(bucket)

    run(test)


def test_watch(api: Api, server: Server, bucket: str) -> None:
    async def test() -> None:
        async with opened(api, server, bucket, history=5) as (_, kv):
            for key in ("a", "b", "a"):
                await kv.put(key, key.encode())
            async with await kv.watch() as watcher:
                seen = []
                async for entry in watcher:
                    seen.append((entry.key, entry.revision))
                    if watcher.at_eod():
                        break
                assert seen == [("b", 2), ("a", 3)]
                await kv.delete("b")
                marker = await next_within(watcher, 5)
                assert (marker.key, marker.operation, marker.value) == ("b", natskv.KeyValueOp.DELETE, b"")
                with pytest.raises(TimeoutError):
                    await next_within(watcher, 0.05)
                await kv.put("c", b"")
                assert (await next_within(watcher, 5)).value == b""
            assert [entry async for entry in watcher] == []
            with_history = await kv.watch("a", include_history=True, meta_only=True)
            assert [(e.revision, e.value, e.length) for e in await values_of(with_history)] == [
                (1, b"", 1),
                (3, b"", 1),
            ]
            await with_history.stop()
            resumed = await kv.watch(resume_from_revision=3, ignore_deletes=True)
            assert [e.revision for e in await values_of(resumed)] == [3, 5]
            await resumed.stop()
            fresh = await kv.watch_all(updates_only=True)
            assert await values_of(fresh) == []
            await kv.put("d", b"new")
            assert (await next_within(fresh, 5)).key == "d"
            await fresh.stop()

    run(test)


def test_sizes(api: Api, server: Server, bucket: str) -> None:
    async def test() -> None:
        async with opened(api, server, bucket, storage="memory") as (client, kv):
            largest = client.server_info["max_payload"]
            value = os.urandom(largest)
            await kv.put("k", value)
            assert (await kv.get("k")).value == value
            await kv.put("empty", b"")
            assert (await kv.get("empty")).value == b"" == (await kv.entry("empty")).value
            sent = client.stats.out_msgs
            with pytest.raises(natskv.ValueTooLargeError):
                await kv.create("new", value)  # its headers make the message larger
            with pytest.raises(natskv.ValueTooLargeError):
                await kv.put("k", value + b"x")
            assert client.stats.out_msgs == sent
            await kv.create("new", value[: largest - 500])

    run(test)


def test_history_of_64(api: Api, server: Server, bucket: str) -> None:
    async def test() -> None:
        async with opened(api, server, bucket, history=64) as (_, kv):
            for number in range(70):
                await kv.put("k", str(number))
            entries = await (await kv.history("k")).list()
            assert [entry.text() for entry in entries] == [str(number) for number in range(6, 70)]
            assert [entry.revision for entry in entries] == list(range(7, 71))

    run(test)


BAD = [
    ("a..b", "InvalidKeyError", ["a..b", "2"]),
    (".a", "InvalidKeyError", [".a"]),
    ("a b", "InvalidKeyError", ["1"]),
    ("a\r\nPUB x 0", "InvalidKeyError", ["1"]),
    ("user:12345", "InvalidKeyError", [":", "4"]),
    ("_kv.x", "InvalidKeyError", ["_kv"]),
    ("", "InvalidKeyError", []),
]


def test_bad_input(api: Api, server: Server, bucket: str) -> None:
    async def refused(client: Any, call: Any, kind: str, says: list[str]) -> None:
        sent = client.stats.out_bytes
        with pytest.raises(getattr(natskv, kind)) as caught:
            await call
        assert client.stats.out_bytes == sent, f"{caught.value}: something was sent"
        for text in says:
            assert text in str(caught.value)

    async def test() -> None:
        async with opened(api, server, bucket, max_value_size=1000) as (client, kv):
            for key, kind, says in BAD:
                await refused(client, kv.put(key, b"v"), kind, says)
                await refused(client, kv.create(key, b"v"), kind, says)
                await refused(client, kv.update(key, b"v", 1), kind, says)
                await refused(client, kv.delete(key), kind, says)
                await refused(client, kv.purge(key), kind, says)
            for key in ("a..b", "a b", "user:12345"):
                await refused(client, kv.get(key), "InvalidKeyError", [])
                await refused(client, kv.keys(key), "InvalidKeyError", [])
                await refused(client, kv.watch(key), "InvalidKeyError", [])
                await refused(client, kv.history(key), "InvalidKeyError", [])
            new = client.create_key_value
            await refused(client, new("a.b"), "InvalidBucketNameError", ["a.b"])
            await refused(client, new("b", history=65), "HistoryTooLargeError", ["64"])
            await refused(client, new("b", histroy=1), "InvalidArgumentError", ["histroy"])
            await refused(client, new("b", ttl=200 * 365 * 86_400), "InvalidArgumentError", ["100 years"])
            spec = natskv.Republish(src=">", dest="kv.config.{{wildcard(1)}}")
            await refused(client, new("config-data", republish=spec), "InvalidArgumentError", ["$KV.config-data.*"])
            await refused(client, kv.put("k", b"x" * 1001), "ValueTooLargeError", ["1000"])
            await refused(client, kv.put("k", b"x" * 2_000_000), "ValueTooLargeError", [])
            await refused(client, kv.update("k", b"v", 0), "InvalidArgumentError", ["create"])
            await refused(client, kv.update("k", b"v", -1), "InvalidArgumentError", ["-1"])
            await refused(client, kv.delete("a.*"), "InvalidKeyError", [])
            both = kv.watch(include_history=True, updates_only=True)
            await refused(client, both, "InvalidArgumentError", [])
            await refused(client, kv.get("k", timeout=-1), "InvalidArgumentError", [])
            for wrong in (1, None, ["x"]):
                with pytest.raises(TypeError, match="bytes"):
                    await kv.put("k", wrong)
            with pytest.raises(TypeError):
                await kv.put(7, b"v")
            assert await kv.put("k", b"good") == 1
            assert client.stats.reconnects == 0

    run(test)


def test_racing_creates(api: Api, server: Server, bucket: str) -> None:
    async def attempt(kv: Any, key: str) -> bool:
        try:
            await kv.create(key, b"mine")
        except natskv.KeyExistsError:
            return False
        return True

    async def test() -> None:
        async with opened(api, server, bucket) as (_, one), await api.connect(server.url) as second:
            two = await second.key_value(bucket)
            for number in range(50):
                key = f"lock.{number % 5}"
                wins = await asyncio.gather(attempt(one, key), attempt(two, key))
                assert sum(wins) == 1
                await one.delete(key)

    run(test)


def test_restart_under_a_watch(api: Api, own_server: Server, bucket: str) -> None:
    async def test() -> None:
        async with opened(api, own_server, bucket) as (client, kv):
            watcher = await kv.watch()
            newest: dict[str, tuple[int, bytes]] = {}
            last = first_after = 0.0
            done = asyncio.Event()

            async def read() -> None:
                nonlocal last, first_after
                async for entry in watcher:
                    assert entry.revision > last
                    last = entry.revision
                    newest[entry.key] = (entry.revision, entry.value)
                    if entry.key.startswith("after") and not first_after:
                        first_after = time.monotonic()
                    if done.is_set() and newest.get("end"):
                        return

            reader = asyncio.create_task(read())
            for number in range(500):
                await kv.put(f"before.{number}", str(number))
            await asyncio.to_thread(own_server.kill)
            killed = time.monotonic()
            await asyncio.to_thread(own_server.start)
            back = time.monotonic()
            written: dict[str, tuple[int, bytes]] = {}
            for number in range(500):
                key, value = f"after.{number}", str(number).encode()
                while key not in written:
                    try:
                        written[key] = (await kv.put(key, value), value)
                    except natskv.NatsConnectionError as error:
                        assert error.code == "DISCONNECTED"
            done.set()
            await kv.put("end", b"")
            await asyncio.wait_for(reader, 30)
            print(f"\n{api.name}: first event {(first_after - killed) * 1e3:.0f} ms after the kill,", end=" ")
            print(f"{(first_after - back) * 1e3:.0f} ms after the server was back")
            assert {key: newest[key] for key in written} == written
            assert {f"before.{number}" for number in range(500)} <= newest.keys()
            assert client.stats.reconnects == 1
            await watcher.stop()

    run(test)


def test_retried_writes_are_stored_once(api: Api, own_server: Server, bucket: str) -> None:
    async def test() -> None:
        async with await api.connect(own_server.url, retry_writes=True, request_timeout=20) as client:
            kv = await client.create_key_value(bucket, history=64)
            revision = await kv.create("counter", b"0")
            for round in range(1, 25):
                if round % 8 == 0:
                    own_server.kill()
                    own_server.start()
                revision = await kv.update("counter", str(round).encode(), revision)
            entries = await (await kv.history("counter")).list()
            assert [int(entry.value) for entry in entries] == list(range(25))

    run(test)


def test_many_keys(api: Api, server: Server, bucket: str) -> None:
    async def test() -> None:
        async with natskv.connect(server.url) as writer:
            kv = await writer.create_key_value(bucket, storage="memory")
            await asyncio.gather(*(fill(kv, range(start, MANY, 256)) for start in range(256)))
        async with await api.connect(server.url) as client:
            kv = await client.key_value(bucket)
            started = time.monotonic()
            keys = await (await kv.keys()).list()
            listed = time.monotonic() - started
            assert len(keys) == len(set(keys)) == MANY
            started = time.monotonic()
            watcher = await kv.watch()
            revisions = (
                [entry.revision for entry in await values_of(watcher)]
                if api.name == "asyncio"
                else await drained(watcher)
            )
            watched = time.monotonic() - started
            await watcher.stop()
            assert revisions == list(range(1, MANY + 1))
            print(f"\n{api.name}: {MANY} keys listed in {listed:.2f} s, watched in {watched:.2f} s")

    async def fill(kv: natskv.KeyValue, numbers: range) -> None:
        for number in numbers:
            await kv.put(f"key.{number:06}", b"x" * 128)

    async def drained(watcher: Any) -> list[int]:
        return await asyncio.to_thread(lambda: [entry.revision for entry in watcher._target.values()])

    asyncio.run(asyncio.wait_for(test(), 120))


def test_slow_watcher_has_bounded_memory(api: Api, server: Server, bucket: str) -> None:
    async def test() -> None:
        size, count = 64 << 10, 1500
        async with opened(api, server, bucket, storage="memory") as (client, kv):
            value = os.urandom(size)
            for number in range(count):
                await kv.put(f"k.{number}", value)
            gc.collect()
            before = resident()
            watcher = await kv.watch()
            for _ in range(20):  # others go on while nobody reads the watch
                await client.rtt()
                await asyncio.sleep(0.05)
            grown = resident() - before
            print(f"\n{api.name}: {count * size >> 20} MiB wait in a watch, {grown >> 20} MiB more resident")
            assert grown < 40 << 20
            revisions = [entry.revision for entry in await values_of(watcher)]
            assert revisions == list(range(1, count + 1))
            await watcher.stop()

    run(test)


def test_no_consumer_is_left_behind(api: Api, server: Server, bucket: str) -> None:
    async def test() -> None:
        async with opened(api, server, bucket, history=3) as (client, kv):
            await kv.put("a", b"1")
            for _ in range(3):
                await (await kv.keys()).list()
                await (await kv.history("a")).list()
            stopped = await kv.watch()
            await next_within(stopped, 5)
            await stopped.stop()
            async with await kv.watch():
                pass
            forgotten = await kv.watch()
            assert server.consumers(bucket) >= 1
            del forgotten
            gc.collect()
            await client.rtt()
            await eventually(lambda: server.consumers(bucket) == 0)
            assert (await kv.status()).stream_info["state"]["consumer_count"] == 0

    run(test)


def test_closing_ends_what_waits(api: Api, server: Server, bucket: str) -> None:
    async def test() -> None:
        async with opened(api, server, bucket) as (client, kv):
            watcher = await kv.watch()
            await kv.put("k", b"v")
            assert (await next_within(watcher, 5)).key == "k"
            reader = asyncio.create_task(collected(watcher))
            await asyncio.sleep(0)
            await client.drain()
            assert await asyncio.wait_for(reader, 5) == []
            assert client.state == "closed"
            with pytest.raises(natskv.ClosedError):
                await kv.get("k")
            await client.close()

    async def collected(watcher: Any) -> list[natskv.KeyValueEntry]:
        return [entry async for entry in watcher]

    run(test)


def test_nobody_listens(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        with pytest.raises(ConnectionError) as caught:
            await api.connect("nats://127.0.0.1:9", reconnect=False)
        assert isinstance(caught.value, natskv.NatsConnectionError)
        assert "127.0.0.1:9" in str(caught.value)
        assert [record for record in caplog.records if record.name == "natskv"] == []  # it was raised
        with pytest.raises(natskv.InvalidArgumentError):
            await api.connect("http://127.0.0.1:9")
        for option in ({"nosuch": 1}, {"max_reconnects": -1}, {"name": 5}, {"request_timeout": "x"}):
            with pytest.raises(natskv.InvalidArgumentError, match=f"option {next(iter(option))}: "):
                await api.connect(**option)

    run(test)


async def eventually(condition: Any) -> None:
    give_up = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < give_up
        await asyncio.sleep(0.02)


def resident() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_configurations_in_every_form(api: Api, server: Server, bucket: str) -> None:
    async def test() -> None:
        async with await api.connect(server.url) as client:
            await client.create_key_value(bucket=bucket, history=2)
            await client.create_key_value({"bucket": bucket}, history=2)
            await client.create_key_value(natskv.KeyValueConfig(bucket, history=2))
            kv = await client.update_key_value(bucket=bucket, description="d")
            assert (await kv.status()).config.description == "d"
            copy = await client.create_or_update_key_value(bucket=f"{bucket}_copy", mirror=bucket)
            assert (await copy.status()).config.mirror.name == f"KV_{bucket}"
            await client.create_key_value(f"{bucket}_2")
            both = await client.create_key_value(f"{bucket}_both", sources=[bucket, natskv.StreamSource(f"{bucket}_2")])
            assert len((await both.status()).config.sources) == 2
            with pytest.raises(TypeError, match="not int"):
                await client.create_key_value(5)
            with pytest.raises(natskv.InvalidArgumentError, match="bucket"):
                await client.create_key_value(history=2)
            assert (await kv.execute(b'{"operation": "LIST"}'))["keys"] == []

    run(test)
