"""What only the asyncio API can promise: the forms of its lists and watches, cancelling, corking, quiet debug mode."""

from __future__ import annotations

import asyncio
import gc
import socket
import subprocess
import sys

import pytest

import natskv
from conftest import run
from nats_server import Server


def test_every_form(server: Server, bucket: str) -> None:
    async def test() -> None:
        async with natskv.connect(server.url) as client:
            kv = await client.create_key_value(bucket, history=2)
            await kv.put("a", b"1")
            await kv.put("b", b"2")
            assert [key async for key in kv.keys()] == ["a", "b"]
            assert [key async for key in await kv.keys("a")] == ["a"]
            assert await kv.keys(["a", "b"]).list() == ["a", "b"]
            async with kv.keys() as keys:
                assert [key async for key in keys] == ["a", "b"]
            assert [entry.value async for entry in kv.history("a")] == [b"1"]
            assert [entry.value for entry in await (await kv.history("a")).list()] == [b"1"]
            async with kv.history("a") as history:
                assert len(await history.list()) == 1
            async for entry in kv.watch("a"):
                assert entry.key == "a"
                break
            async for entry in await kv.watch("b"):
                assert entry.key == "b"
                break
            async with kv.watch(["a", "b"]) as watcher:
                assert [entry.key async for entry in watcher.values()] == ["a", "b"]
            async with kv.watch_filtered(["b"], meta_only=True) as watcher:
                assert (await anext(watcher)).length == 1
            async with kv.watch() as watcher:
                updates = watcher.updates()
                await kv.put("c", b"3")
                entries = [await anext(updates)]
                while entries[-1].key != "c":
                    entries.append(await anext(updates))
                await updates.aclose()
            assert [status.bucket async for status in client.key_value_buckets() if status.bucket == bucket] == [bucket]
            assert bucket in await client.key_value_bucket_names().list()
            gc.collect()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(test)


def test_a_result_that_cannot_be_read_fails_alone(server: Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(text: str) -> None:
        raise ValueError(text)

    async def test() -> None:
        async with natskv.connect(server.url) as client:
            kv = await client.create_key_value(bucket)
            await kv.put("a", b"1")
            monkeypatch.setattr(natskv.config, "status", refuse)
            both = asyncio.gather(kv.status(), kv.get("a"), return_exceptions=True)
            status, entry = await asyncio.wait_for(both, 10)
            assert isinstance(status, ValueError)
            assert isinstance(entry, natskv.KeyValueEntry) and entry.value == b"1"

    run(test)


def test_awaiting_connect(server: Server) -> None:
    async def test() -> None:
        client = await natskv.connect([server.url], name="test", user="", max_reconnects=None)
        assert client.connected_url == server.url
        async with client:
            assert client.state == "connected"
        assert client.state == "closed"
        await client.close()

    run(test)


def test_cancel_in_mid_flight(server: Server, bucket: str) -> None:
    async def test() -> None:
        async with natskv.connect(server.url) as client:
            kv = await client.create_key_value(bucket)
            await kv.put("k", b"v")
            for _ in range(50):
                tasks = [asyncio.create_task(kv.get("k")) for _ in range(20)]
                await asyncio.sleep(0)
                for task in tasks[::2]:
                    task.cancel()
                ends = await asyncio.gather(*tasks, return_exceptions=True)
                assert all(isinstance(end, asyncio.CancelledError) for end in ends[::2])
                assert all(isinstance(end, natskv.KeyValueEntry) for end in ends[1::2])
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    async for _ in kv.watch(updates_only=True):
                        pass
            watcher = await kv.watch(updates_only=True)
            waits = asyncio.create_task(anext(watcher))
            await asyncio.sleep(0.05)
            waits.cancel()
            await asyncio.wait([waits])
            await kv.put("k", b"kept")
            assert (await anext(watcher)).value == b"kept"
            await watcher.stop()
            assert (await kv.get("k")).value == b"kept"

    run(test)


def test_cancelled_connect_leaves_nothing(bucket: str) -> None:
    async def test() -> None:
        silent = socket.create_server(("127.0.0.1", 0))  # connections are made, and nothing is ever said
        port = silent.getsockname()[1]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await natskv.connect(f"nats://127.0.0.1:{port}")
        with pytest.raises(ConnectionError):
            await natskv.connect(f"nats://127.0.0.1:{port}", connect_timeout=0.2)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        silent.close()

    run(test)


def test_stop_wakes_who_waits(server: Server, bucket: str) -> None:
    async def test() -> None:
        async with natskv.connect(server.url) as client:
            kv = await client.create_key_value(bucket)
            watcher = await kv.watch()

            async def read() -> list[natskv.KeyValueEntry]:
                return [entry async for entry in watcher]

            reader = asyncio.create_task(read())
            await asyncio.sleep(0.05)
            await watcher.stop()
            await watcher.stop()
            assert await asyncio.wait_for(reader, 5) == []

    run(test)


def test_a_burst_is_one_write(server: Server, bucket: str) -> None:
    async def test() -> None:
        async with natskv.connect(server.url) as client:
            kv = await client.create_key_value(bucket)
            revisions = await asyncio.gather(*(kv.put(f"k.{number}", b"v") for number in range(1000)))
            assert sorted(revisions) == list(range(1, 1001))
            big = b"x" * 500_000
            assert len(await asyncio.gather(*(kv.put(f"big.{number}", big) for number in range(40)))) == 40
            values = await asyncio.gather(*(kv.get(f"big.{number}") for number in range(40)))
            assert all(entry.value == big for entry in values)

    run(test)


def test_a_server_that_does_not_read_holds_writes_back(own_server: Server, bucket: str) -> None:
    async def test() -> None:
        async with natskv.connect(own_server.url) as client:
            kv = await client.create_key_value(bucket, storage="memory")
            own_server.pause()
            puts = [asyncio.create_task(kv.put(f"k.{number}", b"x" * 500_000)) for number in range(60)]
            await asyncio.sleep(0.1)
            transport = client._driver._transport
            assert transport is not None and transport.get_write_buffer_size() < 4 << 20
            own_server.resume()
            assert sorted(await asyncio.gather(*puts)) == list(range(1, 61))

    run(test)


PROGRAM = """
import asyncio, sys, natskv

async def main():
    asyncio.get_running_loop().slow_callback_duration = 60  # how busy the machine is, is not what is tested
    async with natskv.connect(sys.argv[1]) as client:
        kv = await client.create_key_value("quiet")
        await asyncio.gather(*(kv.put(f"k.{n}", b"v") for n in range(100)))
        async for entry in kv.watch():
            break
        try:
            await kv.get("none")
        except KeyError:
            pass
        task = asyncio.create_task(kv.get("k.1"))
        await asyncio.sleep(0)
        task.cancel()
        watcher = await kv.watch()
        assert len(await kv.keys().list()) == 100
        await client.delete_key_value("quiet")

asyncio.run(main())
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_quiet_in_debug_mode(server: Server, loop: str) -> None:
    program = PROGRAM
    if loop == "uvloop":
        pytest.importorskip("uvloop")
        program = PROGRAM.replace("asyncio.run(", "import uvloop\nuvloop.run(")
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", program, server.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_list_is_a_list_once_awaited(server: Server, bucket: str) -> None:
    async def test() -> None:
        async with natskv.connect(server.url) as client:
            kv = await client.create_key_value(bucket=bucket)
            assert await kv.keys() == []
            await kv.put("a", b"1")
            assert [key async for key in kv.keys()] == [key async for key in await kv.keys()] == ["a"]
            assert await kv.keys() == await kv.keys().list() == await (await kv.keys()).list() == ["a"]
            assert (await kv.history("a"))[0].value == b"1"
            async with kv.keys() as keys:
                assert (len(keys), "a" in keys, [key async for key in keys]) == (1, True, ["a"])

    run(test)


def test_stop_needs_no_await(server: Server, bucket: str) -> None:
    async def test() -> None:
        async with natskv.connect(server.url) as client:
            kv = await client.create_key_value(bucket)
            await kv.put("a", b"")
            watcher = await kv.watch()
            watcher.stop()
            assert [entry async for entry in watcher] == []
            await asyncio.create_task(watcher.stop())  # type: ignore[arg-type]
            await asyncio.wait_for(watcher.stop(), 5)
            await asyncio.gather(watcher.stop(), watcher.stop())

    run(test)


def test_a_watch_stopped_before_it_began(server: Server, bucket: str) -> None:
    async def test() -> None:
        async with natskv.connect(server.url) as client:
            kv = await client.create_key_value(bucket)
            await kv.put("a", b"")
            watcher = kv.watch()
            watcher.stop()
            assert [entry async for entry in await watcher] == [entry async for entry in watcher.values()] == []
            assert server.consumers(bucket) == 0

    run(test)


def test_on_status_hears_of_the_connection_before_connect_returns(server: Server) -> None:
    async def test() -> None:
        names: list[str] = []
        async with natskv.connect(server.url, on_status=lambda event: names.append(event.name)):
            assert names == ["connecting", "connected"]

    run(test)
