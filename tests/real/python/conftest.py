"""A private nats-server for each test module, and both APIs under one set of names."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import natskv
import natskv.sync
from nats_server import Server

ROOT = Path(__file__).resolve().parents[3]

# A shell may have started us with Ctrl-C ignored, and the programs of the tests would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    told = "run each test in so many threads at once, a bucket for each; what needs more of its own is left out"
    parser.addoption("--threads", type=int, default=1, help=told)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("threads") == 1:
        return
    fits = {"server", "bucket"}, {"api", "server", "bucket"}
    left_out = [item for item in items if set(_arguments(item)) not in fits]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _arguments(item: pytest.Item) -> tuple[str, ...]:
    return item._fixtureinfo.argnames if isinstance(item, pytest.Function) else ()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    count = pyfuncitem.config.getoption("threads")
    if count == 1:
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in _arguments(pyfuncitem)}
    start = threading.Barrier(count)

    def work(number: int) -> None:
        start.wait()
        pyfuncitem.obj(**{**arguments, "bucket": f"{arguments['bucket']}_{number}"})

    with ThreadPoolExecutor(count) as pool:
        for done in [pool.submit(work, number) for number in range(count)]:
            done.result()
    return True


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The module's server; tests take buckets of their own."""
    server = Server(tmp_path_factory.mktemp("nats"))
    yield server
    server.end()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server to be killed."""
    server = Server(tmp_path)
    yield server
    server.end()


@pytest.fixture
def bucket(request: pytest.FixtureRequest) -> str:
    """A bucket name of the test's own."""
    return "".join(c if c.isalnum() else "_" for c in request.node.name)


@contextlib.contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A program with all its streams in our hands, for the length of the block: who waits for one that hangs, fails."""
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **streams) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.kill()


class Api:
    """`connect` of one of the two APIs; what it gives is used with `await` in both."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def connect(self, *args: Any, **options: Any) -> Any:
        if self.name == "asyncio":
            return await natskv.connect(*args, **options)
        return _threaded(await asyncio.to_thread(natskv.sync.connect, *args, **options))


@pytest.fixture(params=["asyncio", "blocking"])
def api(request: pytest.FixtureRequest) -> Api:
    return Api(request.param)


class Threaded:
    """An object of the blocking API, each call on some thread of a pool."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if not callable(value):
            return value

        async def call(*args: Any, **options: Any) -> Any:
            return _threaded(await asyncio.to_thread(value, *args, **options))

        return call

    def __aiter__(self) -> Threaded:
        return self if hasattr(self._target, "__next__") else Threaded(iter(self._target))

    async def __anext__(self) -> Any:
        if (item := await asyncio.to_thread(next, self._target, _END)) is _END:
            raise StopAsyncIteration
        return item

    async def __aenter__(self) -> Threaded:
        return self

    async def __aexit__(self, *error: object) -> None:
        end = getattr(self._target, "stop", None) or self._target.close
        await asyncio.to_thread(end)

    def at_eod(self) -> bool:
        return bool(self._target.at_eod())


_END = object()
_WRAPPED = (natskv.sync.Client, natskv.sync.KeyValue, natskv.sync.KeyWatcher, natskv.sync.Listing, Iterator)


def _threaded(value: Any) -> Any:
    return Threaded(value) if isinstance(value, _WRAPPED) else value


async def next_within(watcher: Any, seconds: float) -> natskv.KeyValueEntry:
    """The next entry of a watch of either API; TimeoutError when there is none in time."""
    if isinstance(watcher, Threaded):
        entry: natskv.KeyValueEntry = await watcher.next(seconds)
        return entry
    return await asyncio.wait_for(anext(watcher), seconds)


async def values_of(watcher: Any) -> Any:
    """The initial values of a watch of either API."""
    values = watcher.values()
    if asyncio.iscoroutine(values):
        values = await values
    return [entry async for entry in values]


def run(test: Callable[..., Coroutine[Any, Any, None]], *args: Any, within: float = 60) -> None:
    """Runs a test's coroutine with asyncio's debug checks; whatever hangs fails."""

    async def limited() -> None:
        async with asyncio.timeout(within):
            await test(*args)

    asyncio.run(limited(), debug=True)
