"""How clients end: forks, closed loops, the interpreter's end, Ctrl-C, and clients that nobody closed."""

from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator

import pytest

import natskv.sync
from conftest import Api, run, running
from nats_server import Server

QUIET = ("-X", "dev", "-W", "error")
"""asyncio's debug mode, and every warning an error."""


def program(server: Server, text: str, *options: str, within: float = 30) -> tuple[int, str, str]:
    """Runs a program with the server's URL as its argument: (exit code, stdout, stderr)."""
    command = [sys.executable, *options, "-c", text, server.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=within)
    return done.returncode, done.stdout, done.stderr


# ── forks

FORK_BLOCKING = """
import gc, os, sys, threading, natskv.sync

def child():
    global client, kv, watcher
    for call in (lambda: kv.get("k"), lambda: kv.put("k", b"child"), lambda: kv.watch(), lambda: next(watcher),
                 lambda: watcher.next(timeout=1), lambda: client.flush(), lambda: client.stats):
        try:
            call()
        except natskv.sync.ClosedError as error:
            assert "fork" in str(error) and "connect anew" in str(error)
        else:
            raise AssertionError("used in a fork")
    assert (client.state, repr(client)) == ("closed", "<Client closed>")
    watcher.stop()
    client.drain()
    client.close()
    with natskv.sync.connect(sys.argv[1]) as own:
        own.key_value("forked").put("child", b"v")
    client = kv = watcher = None
    gc.collect()

def read(seen=threading.Event()):  # holds the watch's lock and the client's lead at the moment of the fork
    for entry in watcher:
        if entry.key == "end":
            break

with natskv.sync.connect(sys.argv[1]) as client:
    kv = client.create_key_value("forked")
    watcher = kv.watch()
    reader = threading.Thread(target=read)
    reader.start()
    kv.put("k", b"v")
    pid = os.fork()
    if pid == 0:
        child()
        sys.exit(7)
    assert os.waitpid(pid, 0)[1] == 7 << 8
    assert kv.get("k").value == b"v" and kv.get("child").value == b"v"
    kv.put("end", b"")
    reader.join(10)
    assert not reader.is_alive() and client.stats.reconnects == 0
    client.delete_key_value("forked")
"""

FORK_ASYNCIO = """
import asyncio, gc, multiprocessing, os, sys, natskv

async def refused():
    for call in (kv.get("k"), kv.put("k", b"child"), kv.watch(), anext(watcher), kv.keys(), client.flush()):
        try:
            await call
        except natskv.ClosedError as error:
            assert "fork" in str(error) and "connect anew" in str(error)
        else:
            raise AssertionError("used in a fork")
    assert (client.state, repr(client)) == ("closed", "<Client closed>")
    watcher.stop()
    await client.drain()
    await client.close()

async def anew():
    await refused()
    async with natskv.connect(sys.argv[1]) as own:
        await (await own.key_value("forked")).put("child", b"v")

def child():
    asyncio.run(anew())
    gc.collect()

async def main():
    global client, kv, watcher
    async with natskv.connect(sys.argv[1]) as client:
        kv = await client.create_key_value("forked")
        watcher = await kv.watch()
        await kv.put("k", b"v")
        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
        while process.is_alive():
            await asyncio.sleep(0.01)
        assert process.exitcode == 0
        assert (await kv.get("k")).value == b"v" and (await kv.get("child")).value == b"v"
        assert [(await anext(watcher)).key for _ in range(2)] == ["k", "child"]
        assert client.stats.reconnects == 0
        pid = os.fork()
        if pid == 0:  # in the middle of the parent's loop
            try:
                await kv.get("k")
            except natskv.ClosedError:
                os._exit(7)
        assert os.waitpid(pid, 0)[1] == 7 << 8
        assert (await kv.get("k")).value == b"v"
        await client.delete_key_value("forked")

asyncio.run(main())
"""


@pytest.mark.parametrize("text", [FORK_ASYNCIO, FORK_BLOCKING], ids=["asyncio", "blocking"])
def test_a_fork_refuses_and_its_parent_goes_on(server: Server, text: str) -> None:
    assert program(server, text, "-W", "ignore::DeprecationWarning") == (0, "", "")  # it says so of every fork


FORK_OUTLIVES = {
    "asyncio": """
import asyncio, os, sys, natskv

async def main():
    async with natskv.connect(sys.argv[1], name="parent") as client:
        if os.fork() == 0:
            sys.stdin.read()
            os._exit(0)

asyncio.run(main())
print("closed", flush=True)
sys.stdin.read()
""",
    "blocking": """
import os, sys, natskv.sync

with natskv.sync.connect(sys.argv[1], name="parent") as client:
    if os.fork() == 0:
        sys.stdin.read()
        os._exit(0)
print("closed", flush=True)
sys.stdin.read()
""",
}


def test_a_fork_does_not_hold_the_connection(api: Api, server: Server) -> None:
    command = [sys.executable, "-c", FORK_OUTLIVES[api.name], server.url]
    with running(command) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == "closed\n"
        give_up = time.monotonic() + 5
        while "parent" in [connection.get("name") for connection in server.ask("/connz")["connections"]]:
            assert time.monotonic() < give_up, "the server still has a connection that was closed"
            time.sleep(0.02)
        process.stdin.close()
        assert process.wait(10) == 0


# ── loops


def test_a_loop_that_was_closed(server: Server, bucket: str) -> None:
    async def make() -> tuple[natskv.Client, natskv.KeyValue, natskv.KeyWatcher]:
        client = await natskv.connect(server.url)
        kv = await client.create_key_value(bucket)
        await kv.put("k", b"v")
        return client, kv, await kv.watch()

    async def use(client: natskv.Client, kv: natskv.KeyValue, watcher: natskv.KeyWatcher) -> None:
        for call in (kv.get("k"), kv.keys(), kv.watch(), client.flush()):
            with pytest.raises(natskv.ClosedError, match=r"event loop .* is closed"):
                await call
        watcher.stop()
        assert [entry async for entry in watcher] == []
        await client.close()
        await client.drain()
        assert client.state == "closed"

    run(use, *asyncio.run(make(), debug=True))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gc.collect()
    ours = [text for warning in caught if not (text := str(warning.message)).startswith("unclosed ")]
    assert ours == [], "more than asyncio says of the transport, which its loop can close no more"
    with natskv.sync.connect(server.url) as another:
        another.delete_key_value(bucket)  # with the watch, of whose end nobody could tell the server


def test_another_loop_is_refused(server: Server, bucket: str) -> None:
    loop = asyncio.new_event_loop()
    client = loop.run_until_complete(_connected(server))
    kv = loop.run_until_complete(client.create_key_value(bucket))

    async def use() -> None:
        for call in (kv.get("k"), kv.watch(), client.flush(), client.close(), client.drain()):
            with pytest.raises(natskv.InvalidArgumentError, match="another event loop"):
                await call

    run(use)
    assert loop.run_until_complete(kv.put("k", b"v")) == 1
    loop.run_until_complete(client.close())
    loop.close()


async def _connected(server: Server) -> natskv.Client:
    return await natskv.connect(server.url)


# ── clients that nobody closed


def test_a_forgotten_client_is_closed_and_says_so(api: Api, server: Server, bucket: str) -> None:
    async def test() -> None:
        kv = await (await api.connect(server.url, name=bucket)).create_key_value(bucket)
        watcher = await kv.watch()
        gc.collect()
        assert await kv.put("k", b"v") == 1  # a bucket in use keeps its client
        del kv
        gc.collect()
        assert bucket in names()
        with pytest.warns(ResourceWarning, match=rf"<Client {server.url} connected> was never closed"):
            del watcher
            gc.collect()
        give_up = time.monotonic() + 5
        while bucket in names() or any(thread.name.startswith("natskv") for thread in threading.enumerate()):
            assert time.monotonic() < give_up
            await asyncio.sleep(0.02)
        assert server.consumers(bucket) == 0

    def names() -> list[str]:
        return [connection.get("name") for connection in server.ask("/connz")["connections"]]

    run(test)


def test_a_watch_in_the_making_goes_with_its_client(server: Server, bucket: str) -> None:
    async def make(kv: natskv.KeyValue) -> None:
        await kv.watch()

    async def test() -> None:
        async with natskv.connect(server.url) as keeper:
            await keeper.create_key_value(bucket)
            for _ in range(10):
                client = await natskv.connect(server.url)
                kv = await client.key_value(bucket)
                making = [asyncio.create_task(make(kv)) for _ in range(50)]
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                await client.close()
                ends = await asyncio.gather(*making, return_exceptions=True)
                assert {type(end) for end in ends} == {natskv.ClosedError}
            assert await asyncio.to_thread(server.left_behind) == []

    run(test)


def test_a_closed_client_says_nothing(api: Api, server: Server, bucket: str) -> None:
    async def test() -> None:
        async with await api.connect(server.url) as client:
            kv = await client.create_key_value(bucket)
            watcher = await kv.watch()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            del client, kv, watcher
            gc.collect()
        assert caught == []

    run(test)


# ── the interpreter's end

EXIT = {
    "blocking": """
import sys, threading, natskv.sync
client = natskv.sync.connect(sys.argv[1])
kv = client.create_or_update_key_value("exits")
watcher = kv.watch()
""",
    "blocking, threads in calls": """
import sys, threading, natskv.sync
client = natskv.sync.connect(sys.argv[1])
kv = client.create_or_update_key_value("exits")

def watch():
    for entry in kv.watch():
        pass

def write():
    while True:
        kv.put("k", b"v")

def connect():
    while True:
        try:
            natskv.sync.connect(sys.argv[1]).close()
        except RuntimeError:
            return  # Python 3.12 and newer: there are no new threads at the end

started = threading.Barrier(7)
for work in [watch, watch, write, write, write, connect]:
    threading.Thread(target=lambda: (started.wait(), work()), daemon=True).start()
started.wait()
kv.put("k", b"v")
""",
    "blocking, reconnecting": """
import socket, sys, natskv.sync
refuses = socket.create_server(("127.0.0.1", 0))
away = f"nats://127.0.0.1:{refuses.getsockname()[1]}"
client = natskv.sync.connect([sys.argv[1], away], randomize_servers=False)
kv = client.create_or_update_key_value("exits")
client._driver._socket.shutdown(socket.SHUT_RDWR)
while client.state != "reconnecting":
    pass
""",
    "blocking, in __del__": """
import sys, natskv.sync
class Store:
    def __init__(self):
        self.client = natskv.sync.connect(sys.argv[1])
    def __del__(self):
        self.client.close()
store = Store()
""",
    "blocking, in __del__, while a thread is cut off": """
import sys, threading, natskv.sync
class Store:
    def __init__(self):
        self.client = natskv.sync.connect(sys.argv[1])
        self.watcher = self.client.create_or_update_key_value("exits").watch()
    def __del__(self):
        self.client.close()
store = Store()
threading.Thread(target=lambda: next(store.watcher), daemon=True).start()
while store.client._driver._led_by in (None, store.client._driver._keeper.ident):
    pass
""",
    "blocking, in atexit": """
import atexit, sys, natskv.sync
client = natskv.sync.connect(sys.argv[1])
kv = client.create_or_update_key_value("exits")
atexit.register(client.close)
atexit.register(lambda: kv.put("last", b"v"))
""",
    "asyncio": """
import asyncio, sys, natskv

async def main():
    global client, kv, watcher
    client = await natskv.connect(sys.argv[1])
    kv = await client.create_or_update_key_value("exits")
    watcher = await kv.watch()
    asyncio.create_task(read())

async def read():
    async for entry in watcher:
        pass

asyncio.run(main())
""",
    "asyncio, the loop never closed": """
import asyncio, sys, natskv

async def main():
    global client, kv, watcher
    client = await natskv.connect(sys.argv[1])
    kv = await client.create_or_update_key_value("exits")
    watcher = await kv.watch()

loop = asyncio.new_event_loop()
loop.run_until_complete(main())
""",
    "asyncio, in a thread": """
import asyncio, sys, threading, natskv

async def main():
    async with natskv.connect(sys.argv[1]) as client:
        kv = await client.create_or_update_key_value("exits")
        await kv.put("k", b"v")
        watcher = await kv.watch()
        started.set()
        async for entry in watcher:
            await kv.put("k", b"v")

started = threading.Event()
threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start()
started.wait()
""",
}


@pytest.fixture
def exits(server: Server) -> Iterator[Server]:
    """The server, rid of what programs leave behind that end without a word: the server itself would do it in 30 s."""
    yield server
    with natskv.sync.connect(server.url) as client:
        if "exits" in client.key_value_bucket_names():
            client.delete_key_value("exits")


@pytest.mark.parametrize("ending", EXIT)
def test_the_interpreter_ends(exits: Server, ending: str) -> None:
    for _ in range(3):
        started = time.monotonic()
        assert program(exits, EXIT[ending]) == (0, "", "")
        assert time.monotonic() - started < 5


@pytest.mark.parametrize("ending", ["blocking", "asyncio"])
def test_the_end_tells_of_a_client_that_nobody_closed(exits: Server, ending: str) -> None:
    code, out, err = program(exits, EXIT[ending], "-X", "dev")
    assert (code, out) == (0, "")
    assert err.count("was never closed") == 1 and "Traceback" not in err
    assert (exits.left_behind() == []) or ending == "asyncio"


# ── Ctrl-C

INTERRUPTED = """
import signal, sys, threading, time, natskv.sync

def interrupted(call):
    timer = threading.Timer(0.1, signal.pthread_kill, [threading.get_ident(), signal.SIGINT])
    timer.start()
    try:
        call()
    except KeyboardInterrupt:
        timer.join()
        return
    raise AssertionError("not interrupted")

client = natskv.sync.connect(sys.argv[1])
kv = client.create_key_value("ctrl_c")
kv.put("k", b"v")
watcher = kv.watch()
assert next(watcher).key == "k"
before = client.stats

print("pause", flush=True)
sys.stdin.readline()
for call in (lambda: kv.get("k"), lambda: kv.put("k", b"v"), lambda: kv.keys(), lambda: kv.history("k"),
             lambda: kv.watch(), lambda: client.flush(), lambda: kv.status(), lambda: next(watcher),
             lambda: watcher.next(timeout=5), lambda: natskv.sync.connect(sys.argv[1])):
    interrupted(call)
print("resume", flush=True)
sys.stdin.readline()

kv.put("after", b"v")
while watcher.next(timeout=5).key != "after":  # the interrupted put may have been stored
    pass
assert kv.get("k").value == b"v" and kv.keys() == ["after", "k"]
assert client.stats.reconnects == 0 and client.state == "connected"
client.delete_key_value("ctrl_c")
client.close()
assert [thread.name for thread in threading.enumerate()] == ["MainThread"]
"""


def test_ctrl_c_in_every_wait(own_server: Server) -> None:
    command = [sys.executable, *QUIET, "-c", INTERRUPTED, own_server.url]
    with running(command) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "pause\n"
        own_server.pause()
        print(file=process.stdin, flush=True)
        assert process.stdout.readline() == "resume\n", process.stderr.read()
        own_server.resume()
        out, err = process.communicate("\n", timeout=20)
        assert (process.returncode, out, err) == (0, "", "")


CTRL_C_ASYNCIO = """
import asyncio, sys, natskv

async def main():
    asyncio.get_running_loop().slow_callback_duration = 60  # how busy the machine is, is not what is tested
    async with natskv.connect(sys.argv[1]) as client:
        kv = await client.create_or_update_key_value("ctrl_c")
        await kv.put("k", b"v")
        async for entry in kv.watch():
            print("waiting", flush=True)

try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c_ends_an_event_loop(server: Server) -> None:
    command = [sys.executable, *QUIET, "-c", CTRL_C_ASYNCIO, server.url]
    with running(command) as process:
        assert process.stdout is not None and process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out, err) == (0, "interrupted\n", "")
    give_up = time.monotonic() + 5
    while server.consumers("ctrl_c"):
        assert time.monotonic() < give_up
        time.sleep(0.02)
