"""What only the blocking API can promise: threads, Ctrl-C, a connection that lives while nobody waits."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import natskv.sync
from conftest import running
from nats_server import Server


def test_every_form(server: Server, bucket: str) -> None:
    with natskv.sync.connect(server.url) as client:
        kv = client.create_key_value(bucket, history=2)
        kv.put("a", b"1")
        kv.put("b", b"2")
        assert list(kv.keys()) == kv.keys().list() == ["a", "b"]
        assert [entry.value for entry in kv.history("a")] == [b"1"]
        for entry in kv.watch("a"):
            assert entry.key == "a"
            break
        with kv.watch() as watcher:
            assert [entry.key for entry in watcher.values()] == ["a", "b"]
            kv.put("c", b"3")
            assert next(watcher).key == "c"
            with pytest.raises(TimeoutError):
                watcher.next(timeout=0.02)
        with pytest.raises(natskv.ClosedError):
            watcher.next(timeout=1)
        assert bucket in client.key_value_bucket_names().list()
        assert bucket in [status.bucket for status in client.key_value_buckets()]


def test_threads(server: Server, bucket: str) -> None:
    with natskv.sync.connect(server.url) as client, ThreadPoolExecutor(16) as pool:
        kv = client.create_key_value(bucket)
        watcher = kv.watch()
        seen = pool.submit(lambda: [next(watcher).revision for _ in range(3200)])

        def work(thread: int) -> None:
            for number in range(200):
                key = f"{thread}.{number % 10}"
                kv.put(key, str(number))
                assert kv.get(key).text() == str(number)

        for done in [pool.submit(work, thread) for thread in range(15)]:
            done.result(30)
        work(15)
        assert seen.result(30) == list(range(1, 3201))
        watcher.stop()
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("natskv")] == []


def test_increments_by_many_threads(server: Server, bucket: str) -> None:
    with natskv.sync.connect(server.url) as client, ThreadPoolExecutor(8) as pool:
        kv = client.create_key_value(bucket)
        kv.put("n", b"0")

        def increment() -> None:
            while True:
                entry = kv.get("n")
                try:
                    kv.update("n", str(int(entry.text()) + 1), entry.revision)
                except natskv.WrongRevisionError:
                    continue
                return

        for done in [pool.submit(increment) for _ in range(200)]:
            done.result(30)
        assert kv.get("n").text() == "200"


def test_stop_from_another_thread(server: Server, bucket: str) -> None:
    with natskv.sync.connect(server.url) as client, ThreadPoolExecutor(4) as pool:
        kv = client.create_key_value(bucket)
        watcher = kv.watch()
        readers = [pool.submit(list, watcher) for _ in range(3)]
        time.sleep(0.1)
        watcher.stop()
        assert [reader.result(5) for reader in readers] == [[], [], []]


def test_an_idle_connection_lives(own_server: Server, bucket: str) -> None:
    events: list[natskv.StatusEvent] = []
    options: Any = {"ping_interval": 0.1, "on_status": events.append}
    with natskv.sync.connect(own_server.url, **options) as client:
        kv = client.create_key_value(bucket)
        watcher = kv.watch()
        time.sleep(0.6)  # six pings, answered while nobody waits
        assert client.state == "connected"
        own_server.kill()
        own_server.start()
        wait_until(lambda: client.stats.reconnects == 1 and client.state == "connected")
        with natskv.sync.connect(own_server.url) as other:
            other.key_value(bucket).put("k", b"v")
        assert watcher.next(timeout=5).key == "k"
        watcher.stop()
    assert "disconnected" in [event.name for event in events]


def test_a_blocking_call_in_a_callback_is_refused(own_server: Server, bucket: str) -> None:
    refused: list[natskv.InvalidArgumentError] = []

    def on_status(event: natskv.StatusEvent) -> None:
        if event.name == "disconnected":
            try:
                client.flush()
            except natskv.InvalidArgumentError as error:
                refused.append(error)

    client = natskv.sync.connect(own_server.url, on_status=on_status)
    own_server.kill()
    wait_until(lambda: len(refused) == 1)
    assert refused[0].code == "WOULD_DEADLOCK"
    client.close()


def test_timeouts_hold_while_reconnecting(own_server: Server, bucket: str) -> None:
    with natskv.sync.connect(own_server.url) as client:
        kv = client.create_key_value(bucket)
        own_server.kill()
        started = time.monotonic()
        with pytest.raises((natskv.RequestTimeoutError, natskv.DisconnectedError)):
            kv.get("k", timeout=0.2)
        assert time.monotonic() - started < 3


PROGRAM = """
import sys, time, natskv.sync
client = natskv.sync.connect(sys.argv[1])
kv = client.create_key_value("interrupted")
try:
    print("waiting", flush=True)
    for entry in kv.watch():
        pass
except KeyboardInterrupt:
    assert kv.put("k", b"v") == 1
    assert kv.get("k").value == b"v"
    assert client.stats.reconnects == 0
    client.delete_key_value("interrupted")
    client.close()
    print("done", flush=True)
"""


def test_ctrl_c(server: Server) -> None:
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", PROGRAM, server.url]
    with running(command) as process:
        assert process.stdout is not None and process.stdout.readline() == "waiting\n"
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out, err) == (0, "done\n", "")


STORM = """
import random, signal, sys, threading, time, natskv.sync

def interrupt(*_):
    raise KeyboardInterrupt

def work():
    while time.monotonic() < end:
        try:
            kv.put("other", b"v")
        except natskv.NatsConnectionError:
            pass

client = natskv.sync.connect(sys.argv[1])
kv = client.create_key_value("storm", storage="memory")
end = time.monotonic() + 2
worker = threading.Thread(target=work)
worker.start()
signal.signal(signal.SIGALRM, interrupt)
interrupts = 0
while time.monotonic() < end:
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.005, 0.02))  # which on a busy machine may be at once
        while True:
            try:
                kv.put("main", b"v")
            except natskv.NatsConnectionError:
                pass
    except KeyboardInterrupt:
        interrupts += 1
worker.join(10)
kv.put("main", b"last", timeout=10)
assert kv.get("main", timeout=10).value == b"last" and interrupts > 10 and not worker.is_alive()
client.delete_key_value("storm", timeout=10)
client.close()
print("done", flush=True)
"""


def test_interrupts_at_any_moment(server: Server) -> None:
    command = [sys.executable, "-X", "dev", "-c", STORM, server.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


ALARM = """
import signal, sys, natskv.sync

def ring(*_):
    raise TimeoutError("the program's own")  # an OSError, as what a lost connection raises

signal.signal(signal.SIGALRM, ring)
with natskv.sync.connect(sys.argv[1]) as client:
    kv = client.create_key_value("alarm", storage="memory")
    with kv.watch() as watcher:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        try:
            next(watcher)
        except TimeoutError as error:
            print(error)
        kv.put("k", b"v")
        assert next(watcher).key == "k"
    assert client.stats.reconnects == 0
"""


def test_what_a_handler_of_signals_raises_is_the_programs_own(server: Server) -> None:
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", ALARM, server.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "the program's own\n", "")


def wait_until(condition: Any) -> None:
    give_up = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.01)
