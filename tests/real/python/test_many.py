"""Many keys in one call, TTLs, key policies and handles, as Python shows them. What they mean is in the scenarios."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import pytest

import natskv
import natskv.sync
from conftest import Api, run
from nats_server import Server


@asynccontextmanager
async def opened(api: Api, server: Server, bucket: str, **fields: Any) -> AsyncIterator[tuple[Any, Any]]:
    """A client and a new bucket."""
    async with await api.connect(server.url) as client:
        yield client, await client.create_key_value(bucket, storage="memory", **fields)


# ── many keys


def test_get_many_gives_a_mapping(api: Api, server: Server, bucket: str) -> None:
    async def test() -> None:
        async with opened(api, server, bucket) as (_, kv):
            written = await kv.put_many({"b": b"2", "a": "1", "c.x": bytearray(b"3"), "c.y": memoryview(b"4")})
            assert written == {"b": 1, "a": 2, "c.x": 3, "c.y": 4}
            await kv.delete("b")
            found: natskv.KeyValueEntries = await kv.get_many(["b", "c.>", "a", "none", "a"])
            assert isinstance(found, natskv.KeyValueEntries) and isinstance(found, dict)
            assert list(found) == ["a", "c.x", "c.y"]
            assert (found["a"].text(), found["a"].bucket, found["c.y"].revision) == ("1", bucket, 4)
            assert found["a"] == await kv.get("a")
            assert found.as_of == 5
            assert (len(found), "b" in found, found.get("b"), found.get("b", 7)) == (3, False, None, 7)
            for missing in ("b", "none", "never asked for"):
                with pytest.raises(natskv.KeyNotFoundError, match=f"key '{missing}'"):
                    found[missing]
            with pytest.raises(KeyError):
                found["b"]
            again = pickle.loads(pickle.dumps(found))
            assert copy.copy(found) == found == again and again.as_of == 5
            assert list(await kv.get_many("c.*")) == ["c.x", "c.y"]
            assert await kv.get_many([]) == {} == await kv.get_many(key for key in ("x", "y"))
            assert list(await kv.get_many({"a", "c.x"})) == ["a", "c.x"]
            assert list(await kv.get_many(MappingProxyType({"a": 1}))) == ["a"]
            for wrong in (["a", 1], [b"a"], 5):
                with pytest.raises(TypeError):
                    await kv.get_many(wrong)
            with pytest.raises(natskv.InvalidKeyError, match=r"a\.\.b"):
                await kv.get_many(["a", "a..b"])

    run(test)


def test_put_many_gives_a_result_for_each(api: Api, server: Server, bucket: str) -> None:
    async def test() -> None:
        async with opened(api, server, bucket, max_bytes=2000, max_value_size=1000) as (client, kv):
            written = await kv.put_many({f"k.{number}": b"x" * 400 for number in range(10)})
            stored = [key for key, result in written.items() if isinstance(result, int)]
            refused = {key: result for key, result in written.items() if key not in stored}
            assert list(written) == [f"k.{number}" for number in range(10)]
            assert stored == ["k.0", "k.1", "k.2", "k.3"][: len(stored)] and stored and refused
            for error in refused.values():
                assert isinstance(error, natskv.BucketFullError) and error.api_code == 10077
                assert not error.maybe_applied
            assert await (await kv.keys()).list() == stored
            assert await kv.put_many({}) == {}
            sent = client.stats.out_bytes
            for wrong, kind, says in [
                ({"a": b"", "a..b": b""}, natskv.InvalidKeyError, r"a\.\.b"),
                ({"a": b"", "k": b"x" * 1001}, natskv.ValueTooLargeError, "k"),
                ({"a": 1}, TypeError, "key 'a': a value is bytes"),
                ({1: b""}, TypeError, "key 1: a key is str"),
                ([("a", b"")], TypeError, "expected a mapping of keys to values, not list"),
            ]:
                with pytest.raises(kind, match=says):
                    await kv.put_many(wrong)
            assert client.stats.out_bytes == sent

    run(test)


def test_put_many_takes_any_mapping(api: Api, server: Server, bucket: str) -> None:
    class Numbers(Mapping[str, bytes]):
        def __getitem__(self, key: str) -> bytes:
            return key.encode()

        def __iter__(self) -> Any:
            return (f"k.{number}" for number in range(3))

        def __len__(self) -> int:
            return 3

    async def test() -> None:
        async with opened(api, server, bucket) as (_, kv):
            assert await kv.put_many(Numbers()) == {"k.0": 1, "k.1": 2, "k.2": 3}
            assert (await kv.get("k.2")).value == b"k.2"

    run(test)


def test_cut_off_writes_of_many_say_so(api: Api, own_server: Server, bucket: str) -> None:
    async def test() -> None:
        async with opened(api, own_server, bucket) as (_, kv):
            own_server.pause()
            call = asyncio.ensure_future(kv.put_many({f"k.{number}": b"v" for number in range(5000)}))
            await asyncio.sleep(0.1)
            own_server.kill()
            own_server.start()
            written = await asyncio.wait_for(call, 20)
            assert len(written) == 5000
            lost = [result for result in written.values() if isinstance(result, natskv.DisconnectedError)]
            assert lost and all(error.maybe_applied for error in lost)

    run(test)


def test_entries_and_count(api: Api, server: Server, bucket: str) -> None:
    async def test() -> None:
        async with opened(api, server, bucket, history=3) as (_, kv):
            await kv.put_many({"a.1": b"1", "a.2": b"2", "b.1": b"3", "b.2": b"4"})
            await kv.put("a.1", b"5")
            await kv.purge("b.2")
            every = [(entry.key, entry.value) async for entry in listing(kv.entries())]
            assert every == [("a.2", b"2"), ("b.1", b"3"), ("a.1", b"5")]
            assert [entry.key for entry in await (await as_list(kv.entries("a.*"))).list()] == ["a.2", "a.1"]
            assert [entry.key for entry in await (await as_list(kv.entries(["b.1", "a.2"]))).list()] == ["a.2", "b.1"]
            assert await kv.count() == 3 == len(await (await as_list(kv.keys())).list())
            assert (await kv.count("a.>"), await kv.count(("b.2", "a.2")), await kv.count("none")) == (2, 1, 0)

    async def as_list(entries: Any) -> Any:
        return await entries

    async def listing(entries: Any) -> AsyncIterator[natskv.KeyValueEntry]:
        if asyncio.iscoroutine(entries):  # the blocking API's, on a thread
            entries = await entries
        async for entry in entries:
            yield entry

    run(test)


def test_many_are_quick(api: Api, server: Server, bucket: str) -> None:
    count = 50_000

    async def test() -> None:
        async with opened(api, server, bucket) as (_, kv):
            values = {f"key.{number:05}": b"x" * 128 for number in range(count)}
            times = [time.perf_counter()]
            assert all(isinstance(result, int) for result in (await kv.put_many(values)).values())
            times.append(time.perf_counter())
            found = await kv.get_many(values)
            times.append(time.perf_counter())
            entries = await (await kv.entries()).list()
            times.append(time.perf_counter())
            assert list(found) == list(values) and len(entries) == count == await kv.count()
            each = [(after - before) / count * 1e6 for before, after in pairwise(times)]
            print(f"\n{api.name}: µs each: put_many {each[0]:.1f}, get_many {each[1]:.1f}, entries {each[2]:.1f}")

    run(test)


def test_a_cancelled_call_of_many(server: Server, bucket: str) -> None:
    async def test() -> None:
        async with natskv.connect(server.url) as client:
            kv = await client.create_key_value(bucket, storage="memory")
            values = {f"k.{number}": b"v" for number in range(20_000)}
            await kv.put_many(values)
            for call in (kv.put_many(values), kv.get_many(values), kv.entries().list(), kv.clear(">")):
                task = asyncio.create_task(call)
                for _ in range(3):  # it has begun, and cannot be at its end
                    await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            assert await kv.put("after", b"v") > 0
            assert (await kv.get("after")).value == b"v"
            assert client.stats.reconnects == 0
        assert server.left_behind() == []

    run(test)


def test_timeouts_of_many(api: Api, own_server: Server, bucket: str) -> None:
    async def test() -> None:
        async with opened(api, own_server, bucket) as (_, kv):
            await kv.put("k", b"v")
            own_server.pause()
            short = timedelta(milliseconds=50)
            for call in (kv.get_many(["k", "l"], timeout=short), kv.count(timeout=short), kv.clear("k", timeout=short)):
                with pytest.raises(natskv.RequestTimeoutError):
                    await call
            written = await kv.put_many({"k": b"v"}, timeout=short)
            assert isinstance(written["k"], natskv.RequestTimeoutError) and written["k"].maybe_applied
            own_server.resume()
            assert await asyncio.to_thread(own_server.left_behind) == []

    run(test)


# ── progress


def test_progress(api: Api, server: Server, bucket: str) -> None:
    async def test() -> None:
        async with opened(api, server, bucket) as (_, kv):
            await kv.put_many({f"k.{number}": b"v" for number in range(1000)})
            for verb, options in ((kv.clear, {"prefix": ">"}), (kv.purge_deletes, {"older_than": 0})):
                heard: list[tuple[int, int]] = []
                assert await verb(**options, on_progress=lambda *step, to=heard: to.append(step)) == 1000
                assert heard[-1] == (1000, 1000) and len(heard) <= 102
                assert heard == sorted(heard) and len(set(heard)) == len(heard)
            assert await kv.count() == 0

    run(test)


def test_progress_is_told_where_it_was_asked_for(server: Server, bucket: str) -> None:
    threads: list[threading.Thread] = []
    with natskv.sync.connect(server.url) as client:
        kv = client.create_key_value(bucket, storage="memory")
        kv.put_many({f"k.{number}": b"v" for number in range(2000)})

        def told(done: int, total: int) -> None:
            threads.append(threading.current_thread())
            kv.get_many(["k.1"])  # calls of the same client are allowed here

        watchers = [threading.Thread(target=lambda: [next(kv.watch("end")) for _ in range(1)]) for _ in range(3)]
        for watcher in watchers:
            watcher.start()  # each leads for as long as it can
        assert kv.clear(">", on_progress=told) == 2000
        kv.put("end", b"")
        for watcher in watchers:
            watcher.join(10)
    assert set(threads) == {threading.current_thread()} and len(threads) > 10


def test_a_callback_that_fails_ends_the_call(api: Api, server: Server, bucket: str) -> None:
    def fail(done: int, total: int) -> None:
        raise ZeroDivisionError(f"{done} of {total}")

    async def coroutine(done: int, total: int) -> None:
        raise AssertionError("called")

    async def test() -> None:
        async with opened(api, server, bucket) as (_, kv):
            await kv.put_many({f"k.{number}": b"v" for number in range(5000)})
            with pytest.raises(ZeroDivisionError, match="of 5000"):
                await kv.clear(">", on_progress=fail)
            left = await kv.count()
            assert left > 0, "it went on after the failure"
            for wrong in (coroutine, 5):
                with pytest.raises(natskv.InvalidArgumentError, match="on_progress: a plain function"):
                    await kv.clear(">", on_progress=wrong)
            assert await kv.count() <= left
            assert await kv.clear(">") > 0 and await kv.count() == 0

    run(test)


# ── time to live


def test_time_to_live(api: Api, server: Server, bucket: str) -> None:
    async def test() -> None:
        async with opened(api, server, bucket, limit_marker_ttl=timedelta(seconds=1)) as (_, kv):
            for seconds, call in [
                (60, kv.put("put", b"v", ttl=60)),
                (90, kv.create("create", b"v", ttl=timedelta(seconds=90))),
                (1.5, kv.put("short", b"v", ttl=1.5)),
            ]:
                await call
                entry = await kv.get({60: "put", 90: "create", 1.5: "short"}[seconds])
                assert entry.ttl == timedelta(seconds=seconds)
                assert entry.expires - entry.created == timedelta(seconds=seconds)
                assert timedelta(0) < entry.remaining_ttl <= timedelta(seconds=seconds)
            revision = await kv.put("put", b"new")
            entry = await kv.get("put")
            assert (entry.ttl, entry.expires, entry.remaining_ttl) == (None, None, None)
            revision = await kv.update("put", b"newer", revision, ttl=timedelta(minutes=5))
            assert (await kv.get("put")).ttl == timedelta(minutes=5)
            assert await kv.touch("put", timedelta(hours=1)) == revision + 1
            entry = await kv.get("put")
            assert (entry.value, entry.ttl) == (b"newer", timedelta(hours=1))
            with pytest.raises(KeyError):
                await kv.touch("none", 60)
            for wrong in (0.5, 0, timedelta(microseconds=1), 200 * 366 * 86_400):
                with pytest.raises(natskv.InvalidArgumentError):
                    await kv.touch("put", wrong)
            with pytest.raises(TypeError, match="seconds or a timedelta"):
                await kv.put("put", b"", ttl="60")

    run(test)


def test_a_buckets_own_time_to_live(api: Api, server: Server, bucket: str) -> None:
    async def test() -> None:
        async with opened(api, server, bucket, ttl=timedelta(minutes=10)) as (_, kv):
            await kv.put("k", b"v")
            entry = await kv.get("k")
            assert entry.ttl is None and entry.expires - entry.created == timedelta(minutes=10)
            with pytest.raises(natskv.UnsupportedError):
                await kv.put("k", b"v", ttl=60)

    run(test)


# ── keys and handles


def test_key_policies(api: Api, server: Server, bucket: str) -> None:
    async def test() -> None:
        async with await api.connect(server.url) as client:
            kv = await client.create_key_value(bucket, key_codec="escape")
            assert (kv.key_policy, kv.read_only, kv.drift) == ("escape", False, ())
            await kv.put("grüße an.alle", b"v")
            entry = await kv.get("grüße an.alle")
            assert (entry.key, entry.raw_key) == ("grüße an.alle", "gr=C3=BC=C3=9Fe=20an.alle")
            assert await (await kv.keys()).list() == ["grüße an.alle"] == list(await kv.get_many(">"))
            status = await kv.status()
            assert (status.key_policy, status.read_only, status.config.metadata) == (
                "escape",
                None,
                {"natskv.key_codec": "escape"},
            )
            again = await client.key_value(bucket)
            assert again.key_policy == "escape" and (await again.get("grüße an.alle")).value == b"v"
            raw = await client.key_value(bucket, key_policy="strict")
            assert raw.key_policy == "strict"
            with pytest.raises(natskv.InvalidKeyError):
                await raw.put("grüße", b"v")
            permissive = await client.key_value(bucket, key_policy="permissive", check=False)
            assert permissive.key_policy == "permissive"
            await permissive.put("user:12345", b"v")
            assert (await permissive.get("user:12345")).raw_key == "user:12345"
            for wrong in ("none", ""):
                with pytest.raises(natskv.InvalidArgumentError, match="key policy"):
                    await client.key_value(bucket, key_policy=wrong)
            config = natskv.KeyValueConfig.from_json('{"bucket": "b", "key_codec": "base64"}')
            assert config.key_codec == "base64" and natskv.KeyValueConfig.from_json(config.to_json()) == config
            await client.delete_key_value(bucket)

    run(test)


def test_handles(api: Api, server: Server, bucket: str) -> None:
    async def test() -> None:
        async with await api.connect(server.url) as client:
            kv = await client.create_key_value(bucket, leader_reads=True, reserved_keys=True)
            await kv.put("_kv.own", b"v")
            assert (await kv.get("_kv.own")).value == b"v"
            reader = await client.key_value(bucket, read_only=True)
            assert (kv.read_only, reader.read_only) == (False, True)
            assert (await reader.status()).read_only == "it was opened so"
            sent = client.stats.out_msgs
            for call in (
                reader.put("k", b""),
                reader.create("k", b""),
                reader.update("k", b"", 1),
                reader.delete("k"),
                reader.purge("k"),
                reader.clear(">"),
                reader.purge_deletes(),
                reader.put_many({"k": b""}),
                reader.touch("k", 60),
            ):
                with pytest.raises(natskv.KeyValueError, match="opened so"):
                    await call
            assert client.stats.out_msgs == sent
            for verb in (client.update_key_value, client.create_or_update_key_value):
                changed = await verb(bucket, description="d", read_only=True, key_policy="permissive")
                assert changed.read_only and changed.key_policy == "permissive"

    run(test)


def test_drift(api: Api, server: Server, bucket: str) -> None:
    async def test() -> None:
        async with await api.connect(server.url) as client:
            await client.create_key_value(bucket, history=2, description="old")
            wanted: dict[str, Any] = {"bucket": bucket, "history": 3, "description": "new"}
            for options in ({}, {"on_drift": "error"}, {"on_drift": None}):
                with pytest.raises(natskv.BucketExistsError, match="history"):
                    await client.create_key_value(wanted, **options)
            kept = await client.create_key_value(wanted, on_drift="ignore")
            assert isinstance(kept.drift, tuple) and len(kept.drift) == 2
            assert any("history" in text and "2" in text and "3" in text for text in kept.drift)
            assert (await kept.status()).history == 2
            changed = await client.create_key_value(wanted, on_drift="update")
            assert changed.drift == kept.drift
            assert (await changed.status()).history == 3
            assert (await client.create_key_value(wanted, on_drift="update")).drift == ()
            with pytest.raises(natskv.InvalidArgumentError, match='on_drift "never"'):
                await client.create_key_value(wanted, on_drift="never")

    run(test)


# ── entries of one's own


def test_entries_can_be_made_and_pickled(api: Api, server: Server, bucket: str) -> None:
    async def test() -> None:
        async with opened(api, server, bucket, history=5, limit_marker_ttl=60) as (_, kv):
            await kv.put("a", b"1")
            await kv.create("b", b"2", ttl=90)
            await kv.delete("a")
            entries = [*(await (await kv.history("a")).list()), await kv.get("b"), await kv.entry("a")]
            for entry in entries:
                again = pickle.loads(pickle.dumps(entry))
                assert again == entry and hash(again) == hash(entry) and repr(again) == repr(entry)
                for field in ("bucket", "key", "value", "revision", "created", "delta", "operation", "ttl", "expires"):
                    assert getattr(again, field) == getattr(entry, field), field
                assert again.headers == entry.headers and again.length == entry.length
                assert copy.copy(entry) == copy.deepcopy(entry) == entry

    run(test)


def test_an_entry_of_ones_own() -> None:
    entry = natskv.KeyValueEntry("b", "k")
    assert (entry.bucket, entry.key, entry.value, entry.revision) == ("b", "k", b"", 1)
    assert (entry.delta, entry.operation, entry.length, entry.ttl) == (0, natskv.KeyValueOp.PUT, 0, None)
    assert entry == natskv.KeyValueEntry("b", "k") and entry != natskv.KeyValueEntry("c", "k")
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    operation = natskv.KeyValueOp.PURGE
    full = natskv.KeyValueEntry(
        "b", "k", "text", 7, moment, 2, operation, ttl=timedelta(minutes=1), headers={"A": ["1", "2"], "B": "3"}
    )
    assert (full.text(), full.revision, full.created, full.delta, full.operation) == ("text", 7, moment, 2, operation)
    assert (full.ttl, full.expires) == (timedelta(minutes=1), moment + timedelta(minutes=1))
    assert full.remaining_ttl == timedelta(0)
    assert full.headers == {"KV-Operation": ["PURGE"], "Nats-TTL": ["60"], "A": ["1", "2"], "B": ["3"]}
    assert pickle.loads(pickle.dumps(full)) == full
    with pytest.raises(TypeError, match="aware"):
        natskv.KeyValueEntry("b", "k", created=datetime(2026, 1, 1))
    with pytest.raises(natskv.InvalidArgumentError, match="KeyValueOp"):
        natskv.KeyValueEntry("b", "k", operation="WRITE")  # type: ignore[arg-type]
    with pytest.raises(natskv.InvalidArgumentError, match="line break"):
        natskv.KeyValueEntry("b", "k", headers={"A": "1\r\nB: 2"})
    with pytest.raises(AttributeError):
        full.key = "other"  # type: ignore[misc]


def test_mutable_default_arguments_are_not_shared(server: Server, bucket: str) -> None:
    with natskv.sync.connect(server.url) as client:
        kv = client.create_key_value(bucket)
        one, two = kv.get_many(["a"]), kv.get_many(["b"])
        one["x"] = natskv.KeyValueEntry(bucket, "x")
        assert two == {}


# ── the ends of clients


async def until(condition: Any) -> None:
    give_up = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up
        await asyncio.sleep(0.005)


def test_a_drain_has_its_time(api: Api, own_server: Server, bucket: str) -> None:
    async def test() -> None:
        client = await api.connect(own_server.url)
        kv = await client.create_key_value(bucket)
        own_server.pause()
        sent = client.stats.out_msgs
        waits = asyncio.ensure_future(kv.put("k", b"v", timeout=30))
        await until(lambda: client.stats.out_msgs > sent)
        started = time.monotonic()
        with pytest.raises(natskv.RequestTimeoutError, match="drain"):
            await client.drain(timeout=timedelta(milliseconds=200))
        assert 0.15 < time.monotonic() - started < 2.5 and client.state == "closed"
        with pytest.raises(natskv.RequestTimeoutError) as cut_off:
            await waits
        assert cut_off.value.maybe_applied
        own_server.resume()

    run(test)


def test_a_close_has_its_time(api: Api, own_server: Server, bucket: str) -> None:
    async def test() -> None:
        client = await api.connect(own_server.url)
        kv = await client.create_key_value(bucket, storage="memory")
        own_server.pause()
        sent = client.stats.out_msgs
        value = b"x" * (client.server_info["max_payload"] - 100)
        puts = [asyncio.ensure_future(kv.put(f"k.{n}", value, timeout=30)) for n in range(4)]  # more than sockets hold
        await until(lambda: client.stats.out_msgs == sent + 4)
        started = time.monotonic()
        await client.close(timeout=0.1)
        assert time.monotonic() - started < 1.5 and client.state == "closed"
        ends = await asyncio.gather(*puts, return_exceptions=True)
        assert {type(end) for end in ends} == {natskv.ClosedError}
        own_server.resume()

    run(test)
