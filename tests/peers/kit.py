"""Clients of KV, ours and others', behind one set of calls; and a proxy that cuts and rewrites what a server says.

Each client runs in a process of its own (clients/), so that none disturbs another, and is driven line by line.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import packages

ROOT = Path(__file__).resolve().parents[2]
DEV = Path(os.environ.get("NATSKV_DEV", ROOT / "target" / "dev"))
CLIENTS = Path(__file__).with_name("clients")
NEWER_PYTHON = DEV / "nats-key-value"
"""What nats-key-value is installed in, by `cargo xtask setup`, where there is a Python that is new enough."""

COMMANDS: dict[str, list[str]] = {
    "natskv-py": [sys.executable, str(CLIENTS / "natskv_py.py")],
    "natskv-js": ["node", str(CLIENTS / "natskv_js.mjs"), str(DEV / "npm" / "natskv" / "dist"), str(DEV / "node")],
    "nats-py": [sys.executable, str(CLIENTS / "nats_py.py")],
    "nats-io-kv": ["node", str(CLIENTS / "nats_io_kv.mjs"), str(DEV / "node")],
    "nats-key-value": [str(NEWER_PYTHON / "bin" / "python"), str(CLIENTS / "nats_key_value.py")],
}
OURS = ("natskv-py", "natskv-js")
CALL_WITHIN = 30.0


Package = tuple[list[str], str, Callable[[Path], None]]
"""How to run it where only what it declares is installed: the command, the program, and what lays these things out."""

PACKAGES: dict[str, Package] = {
    "natskv-py": packages.python(sys.executable, "natskv", "natskv.sync"),
    "natskv-js": packages.node(DEV / "npm", "natskv"),
    "nats-py": packages.python(sys.executable, "nats-py", "nats.js.kv"),
    "nats-io-kv": packages.node(DEV / "node" / "node_modules", "@nats-io/kv"),
    "nats-key-value": packages.python(str(NEWER_PYTHON / "bin" / "python"), "nats-key-value", "nats.key_value"),
}


def names() -> list[str]:
    """The clients that are here."""
    return [name for name, command in COMMANDS.items() if name != "nats-key-value" or Path(command[0]).exists()]


class ClientError(Exception):
    """A call failed: what the client itself raised."""

    def __init__(self, name: str, message: str, **fields: Any) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message
        self.code = fields.get("code")

    @property
    def kind(self) -> tuple[str, Any]:
        """What a program would tell errors apart by."""
        return (self.name, self.code)


class Absent(Exception):
    """The client has no such feature."""


class Client:
    """One client, driven by calls: `client.put(bucket="b", key="k", value=b"v")`."""

    def __init__(self, name: str, log: IO[bytes] | None = None) -> None:
        self.name = name
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self._process = subprocess.Popen(
            COMMANDS[name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment, bufsize=0
        )
        self._unread = bytearray()

    def __getattr__(self, do: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            return self.call(do, arguments)

        return call

    def call(self, do: str, arguments: dict[str, Any]) -> Any:
        """The result of a call; bytes go and come as bytes."""
        given = {name: value for name, value in arguments.items() if value is not None}
        if "value" in given:
            given["value"] = base64.b64encode(given["value"]).decode()
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # then there is no answer either
            self._process.stdin.write(json.dumps({"do": do, **given}).encode() + b"\n")
        result = json.loads(self._line(do))
        if "absent" in result:
            raise Absent(result["absent"])
        if "error" in result:
            raise ClientError(**result["error"])
        return decoded(result["ok"])

    def _line(self, do: str) -> bytes:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._unread:
                if not selector.select(CALL_WITHIN):
                    self._process.kill()
                    raise ClientError("Hangs", f"{do} does not end within {CALL_WITHIN:.0f} s")
                piece = os.read(self._process.stdout.fileno(), 1 << 20)
                if not piece:
                    raise ClientError("Crash", f"{self.name} has ended: {self._process.wait(CALL_WITHIN)}")
                self._unread += piece
        line, _, rest = bytes(self._unread).partition(b"\n")
        self._unread = bytearray(rest)
        return line

    def end(self) -> None:
        """Has it close, and waits for that."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def decoded(result: Any) -> Any:
    """A result with its values as bytes."""
    if isinstance(result, list):
        return [decoded(item) for item in result]
    if isinstance(result, dict) and "value" in result:
        return {**result, "value": base64.b64decode(result["value"])}
    return result


def is_live(found: dict[str, Any] | None) -> bool:
    """Whether what `get` gave is a value: some clients hand out markers, and say so."""
    return found is not None and found["operation"] in (None, "PUT")


def eventually(condition: Callable[[], bool], within: float = 15.0) -> bool:
    """Whether `condition` comes to hold: for what only the server knows."""
    give_up = time.monotonic() + within
    while not (holds := condition()) and time.monotonic() < give_up:
        time.sleep(0.02)
    return holds


def lists(client: Client, ask: Callable[[], Any], expected: Any) -> bool:
    """Whether a list is as expected. Others are asked again: nats-py's ends early now and then, ours must not."""
    return bool(ask() == expected) if client.name in OURS else eventually(lambda: bool(ask() == expected))


Rewrite = Callable[[bytes], bytes]


class Proxy:
    """A way to a server that can be cut, at once or after so many bytes, and whose answers can be rewritten."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._links: set[tuple[socket.socket, socket.socket]] = set()
        self._lock = threading.Lock()
        self._cut_after: int | None = None
        self.rewrite: Rewrite | None = None
        self.is_refusing = False
        self.cuts = 0
        self.heard = 0
        self.connections = 0
        self.url = f"nats://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_after(self, size: int) -> None:
        """Cuts the connection, once, when the server has said so many more bytes on it."""
        with self._lock:
            self._cut_after = size

    def cut(self) -> None:
        """Cuts all connections now."""
        with self._lock:
            links = list(self._links)
        for link in links:
            self._end(link)
        self.cuts += 1

    def end(self) -> None:
        """Ends it."""
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.is_refusing:
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self._target))
                link = (client, server)
                with self._lock:
                    self._links.add(link)
                    self.connections += 1
                threading.Thread(target=self._pump, args=(link, client, server, None), daemon=True).start()
                threading.Thread(target=self._pump, args=(link, server, client, self), daemon=True).start()

    def _pump(self, link: tuple[socket.socket, socket.socket], source: Any, sink: Any, answers: Proxy | None) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(1 << 16):
                if answers is not None:
                    piece, is_end = self._as_told(piece)
                    sink.sendall(piece)
                    if is_end:
                        self.cuts += 1
                        break
                else:
                    sink.sendall(piece)
        self._end(link)

    def _as_told(self, piece: bytes) -> tuple[bytes, bool]:
        self.heard += len(piece)
        if self.rewrite is not None:
            piece = self.rewrite(piece)
        with self._lock:
            if self._cut_after is None:
                return piece, False
            if len(piece) < self._cut_after:
                self._cut_after -= len(piece)
                return piece, False
            piece, self._cut_after = piece[: self._cut_after], None
            return piece, True

    def _end(self, link: tuple[socket.socket, socket.socket]) -> None:
        with self._lock:
            self._links.discard(link)
        for end in link:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@contextlib.contextmanager
def through_proxy(client: Client, port: int, url: str) -> Iterator[Proxy]:
    """Has the client go by a proxy for as long as the block lasts."""
    proxy = Proxy(port)
    client.connect(url=proxy.url)
    try:
        yield proxy
    finally:
        with contextlib.suppress(ClientError):  # what went wrong before is told, and matters
            client.connect(url=url)
        proxy.end()
