"""A private nats-server for each test module, and both APIs under one set of names."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

import natskv
import natskv.sync
from nats_server import Server

ROOT = Path(__file__).resolve().parents[3]
<<<<<<< HEAD
READY_WITHIN = 10.0
LAUNCHER = ThreadPoolExecutor(1, "launcher")
"""Its thread lives as long as the tests do: Linux takes the end of the launching thread for the end of its process."""
# A shell may have started us with Ctrl-C ignored, and the programs of the tests would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
GONE_WITHIN = 2.0  # what a client sent when it closed may still be on its way


class Server:
    """One nats-server with JetStream on loopback, which can be killed and started again on the same port and files."""

    def __init__(self, folder: Path, config: str = "") -> None:
        self.port, self.monitor = free_ports(2)
        self.url = f"nats://127.0.0.1:{self.port}"
        self._config = folder / "server.conf"
        self._log = folder / "server.log"
        self._config.write_text(
            f'listen: "127.0.0.1:{self.port}"\nhttp: "127.0.0.1:{self.monitor}"\n'
            f'jetstream {{ store_dir: "{folder / "data"}" }}\n{config}\n'
        )
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            command = [server_binary(), "-c", str(self._config)]
            launch = partial(subprocess.Popen, command, stdout=log, stderr=log, preexec_fn=_die_with_the_tests)
            self._process = LAUNCHER.submit(launch).result()
        give_up = time.monotonic() + READY_WITHIN
        while not self._is_ready():
            if time.monotonic() > give_up or self._process.poll() is not None:
                self.kill()
                pytest.fail(f"nats-server is not ready:\n{self._log.read_text()}")
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL: no goodbye, no flush."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def end(self) -> None:
        """Kills it; fails when a consumer was left behind on it."""
        left = self.left_behind() if self._process.poll() is None else []
        self.kill()
        assert left == [], "consumers left behind"

    def pause(self) -> None:
        """The process stands still, its sockets stay open."""
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)

    def resume(self) -> None:
        """It goes on."""
        self._process.send_signal(signal.SIGCONT)

    def retire(self) -> None:
        """Lame duck mode: tells its clients, and closes them a little later."""
        self._process.send_signal(signal.SIGUSR2)

    def ask(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.monitor}{path}", timeout=2) as reply:
            return json.load(reply)

    def consumers(self, bucket: str) -> int:
        """How many consumers the server keeps for a bucket."""
        return sum(stream == f"KV_{bucket}" for stream, _ in self.all_consumers())

    def all_consumers(self) -> list[tuple[str, str]]:
        """Stream and name of every consumer."""
        accounts = self.ask("/jsz?consumers=true&streams=true").get("account_details", [])
        streams = [stream for account in accounts for stream in account.get("stream_detail", [])]
        return [(s["name"], c["name"]) for s in streams for c in s.get("consumer_detail", [])]

    def left_behind(self) -> list[tuple[str, str]]:
        """The consumers that stay when what is on its way has arrived."""
        give_up = time.monotonic() + GONE_WITHIN
        while (left := self.all_consumers()) and time.monotonic() < give_up:
            time.sleep(0.02)
        return left

    def _is_ready(self) -> bool:
        try:
            return bool(self.ask("/healthz")["status"] == "ok")
        except (OSError, urllib.error.URLError):
            return False


def _die_with_the_tests() -> None:
    """Has Linux kill the server when the tests are killed and cannot."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def server_binary() -> str:
    binary = os.environ.get("NATSKV_SERVER") or shutil.which("nats-server")
    if binary is None:
        pytest.fail("no nats-server: set NATSKV_SERVER, or run `cargo xtask test`")
    return binary


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]
=======
>>>>>>> main


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
