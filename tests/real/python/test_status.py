"""What a client tells of its connection: one event for each transition, the log, the counters. Nothing is printed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import natskv
from conftest import Api, run
from nats_server import Server, free_ports


@pytest.fixture(autouse=True)
def quiet(capfd: pytest.CaptureFixture[str]) -> Any:
    """Nothing is printed."""
    yield
    assert capfd.readouterr() == ("", "")


class Heard:
    """What `on_status` was called with."""

    def __init__(self) -> None:
        self.events: list[natskv.StatusEvent] = []

    def __call__(self, event: natskv.StatusEvent) -> None:
        self.events.append(event)

    def names(self) -> list[str]:
        return [event.name for event in self.events]

    async def until(self, name: str) -> natskv.StatusEvent:
        """The event of this name, which must come."""
        await until(lambda: name in self.names())
        return self.events[self.names().index(name)]


def logged(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What natskv said; on a busy machine asyncio's debug mode says something too."""
    return [record for record in caplog.records if record.name == "natskv"]


async def until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up
        await asyncio.sleep(0.01)


def test_every_transition_once(api: Api, own_server: Server, bucket: str, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        heard = Heard()
        client = await api.connect(own_server.url, on_status=heard, reconnect_wait=0.02, max_reconnect_wait=0.05)
        assert heard.names() == ["connecting", "connected"]
        kv = await client.create_key_value(bucket)
        for _ in range(2):
            await asyncio.to_thread(own_server.kill)
            await heard.until("reconnecting")
            started = time.monotonic()
            with pytest.raises((natskv.RequestTimeoutError, natskv.DisconnectedError)):
                await kv.get("k", timeout=0.3)  # some attempts fail meanwhile
            assert time.monotonic() - started < 2
            await asyncio.to_thread(own_server.start)
            await kv.put("k", b"v", timeout=10)
        assert client.stats.reconnects == 2
        await client.close()
        await asyncio.sleep(0)
        again = ["disconnected", "reconnecting", "connected"]
        assert heard.names() == ["connecting", "connected", *again, *again, "closed"]
        lost = await heard.until("disconnected")
        assert isinstance(lost.error, natskv.DisconnectedError) and own_server.url in str(lost.error)
        assert [event.error for event in heard.events if event.name != "disconnected"] == [None] * 7
        assert [event.message for event in heard.events] == [record.message for record in logged(caplog)]
        assert {record.levelno for record in logged(caplog) if "lost" in record.message} == {logging.WARNING}

    with caplog.at_level(logging.INFO, logger="natskv"):
        run(test)


def test_a_whole_life(api: Api, own_server: Server) -> None:
    async def test() -> None:
        heard = Heard()
        client = await api.connect(own_server.url, on_status=heard)
        own_server.retire()
        assert (await heard.until("lame_duck")).error is None
        await asyncio.to_thread(own_server.kill)
        await heard.until("reconnecting")
        await asyncio.to_thread(own_server.start)
        await client.flush(timeout=20)
        await client.drain()
        await asyncio.sleep(0)
        # the same in C ("each change is told once") and in JavaScript ("status tells each transition once")
        first, lost = ["connecting", "connected", "lame_duck"], ["disconnected", "reconnecting", "connected"]
        assert heard.names() == [*first, *lost, "draining", "closed"]
        assert [event.name for event in heard.events if event.error] == ["disconnected"]

    run(test)


def test_the_end_has_its_reason(api: Api, own_server: Server, bucket: str) -> None:
    async def test() -> None:
        heard = Heard()
        client = await api.connect(own_server.url, on_status=heard, max_reconnects=2, reconnect_wait=0.02)
        await asyncio.to_thread(own_server.kill)
        ended = await heard.until("closed")
        assert heard.names() == ["connecting", "connected", "disconnected", "reconnecting", "closed"]
        assert isinstance(ended.error, natskv.NatsConnectionError) and "refused" in str(ended.error)
        with pytest.raises(natskv.ClosedError):
            await client.flush()
        await client.close()
        assert heard.names()[-1:] == ["closed"] and len(heard.events) == 5

    run(test)


def test_a_callback_that_fails_harms_nothing(api: Api, server: Server, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))
        client = await api.connect(server.url, on_status=lambda event: 1 / 0)
        assert await client.rtt() > 0
        await client.close()
        await asyncio.sleep(0)

    failures: list[BaseException] = []
    run(test)
    failures += [record.exc_info[1] for record in caplog.records if record.exc_info and record.exc_info[1]]
    assert [type(failure) for failure in failures] == [ZeroDivisionError] * 3


def test_only_functions_are_called(api: Api, server: Server) -> None:
    async def coroutine(event: natskv.StatusEvent) -> None:
        raise AssertionError("called")

    async def test() -> None:
        for wrong in (coroutine, "print"):
            with pytest.raises(natskv.InvalidArgumentError, match="option on_status: a plain function"):
                await api.connect(server.url, on_status=wrong)

    run(test)


def test_counters(api: Api, server: Server, bucket: str) -> None:
    async def test() -> None:
        async with await api.connect(server.url) as client:
            kv = await client.create_key_value(bucket)
            before = client.stats
            for _ in range(10):
                await kv.put("k", b"x" * 1000)
            after = client.stats
            assert after.out_msgs - before.out_msgs == 10 == after.in_msgs - before.in_msgs
            assert 10_000 < after.out_bytes - before.out_bytes < 15_000
            assert 0 < after.in_bytes - before.in_bytes < 5_000
            assert after.reconnects == 0

    run(test)


def test_a_connect_that_fails_is_told(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        heard = Heard()
        with pytest.raises(natskv.NatsConnectionError, match=rf"127.0.0.1:{port}: .*refused"):
            await api.connect(f"nats://127.0.0.1:{port}", on_status=heard)
        await asyncio.sleep(0)
        assert heard.names() == ["connecting", "closed"]
        assert [record for record in logged(caplog) if record.levelno > logging.INFO] == []  # it was raised

    (port,) = free_ports(1)
    run(test)


def test_the_first_connection_may_wait(api: Api, tmp_path: Path, bucket: str) -> None:
    async def test() -> None:
        heard = Heard()
        server = Server(tmp_path)
        await asyncio.to_thread(server.kill)
        options: Any = {"retry_first_connect": True, "reconnect_wait": 0.02, "max_reconnect_wait": 0.1}
        client = await api.connect(server.url, on_status=heard, **options)
        try:
            assert client.state == "connecting"
            with pytest.raises(natskv.RequestTimeoutError):
                await client.flush(timeout=0.2)
            await asyncio.to_thread(server.start)
            kv = await client.create_key_value(bucket, timeout=10)
            assert await kv.put("k", b"v") == 1
            await client.close()
            await asyncio.sleep(0)
            assert heard.names() == ["connecting", "connected", "closed"]
            assert client.stats.reconnects == 0
        finally:
            await client.close()
            await asyncio.to_thread(server.kill)

    run(test)
