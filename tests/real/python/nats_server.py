"""A private nats-server on free ports."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

READY_WITHIN = 10.0
LAUNCHER = ThreadPoolExecutor(1, "launcher")
"""Its thread lives as long as the tests do: Linux takes the end of the launching thread for the end of its process."""
GONE_WITHIN = 10.0  # what a client sent when it closed may still be on its way


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
                raise RuntimeError(f"nats-server is not ready:\n{self._log.read_text()}")
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
        raise RuntimeError("no nats-server: set NATSKV_SERVER, or run `cargo xtask test`")
    return binary


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]
