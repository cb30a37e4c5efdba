"""proof-server: nats-servers of every kind, with what opens them and what must not."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


class Proof:
    """A running proof-server."""

    def __init__(self, *kind: str) -> None:
        program = os.environ.get("NATSKV_PROOF_SERVER")
        if program is None:
            pytest.fail("no proof-server: set NATSKV_PROOF_SERVER, or run `cargo xtask test`")
        self.kind = kind
        self._process = subprocess.Popen([program, *kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        said = self._hear()
        self.url: str = said["url"]
        self.ws_url: str = said["ws_url"]
        self.urls: list[str] = said["urls"]
        self.ca: str | None = said["ca"]
        self.credentials: list[dict[str, Any]] = said["credentials"]

    def tell(self, command: str) -> Any:
        """Has it do something, and gives what it answers."""
        assert self._process.stdin is not None
        print(command, file=self._process.stdin, flush=True)
        return self._hear()

    def way(self, name: str) -> dict[str, Any]:
        """The credentials of this name."""
        return next(way for way in self.credentials if way["as"] == name)

    def trust(self) -> ssl.SSLContext | None:
        """What `tls` needs."""
        return None if self.ca is None else ssl.create_default_context(cafile=self.ca)

    def tls_for(self, url: str) -> dict[str, Any]:
        """The options about TLS that this URL needs."""
        if not url.startswith(("tls://", "wss://")):
            return {}
        return {"tls": self.trust(), "tls_first": "tls-first" in self.kind}

    def end(self) -> None:
        """Ends it, and its servers."""
        self._process.communicate(timeout=20)

    def _hear(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer = json.loads(line or '{"error": "proof-server has ended"}')
        assert "error" not in answer, answer
        return answer


@contextmanager
def proof(*kind: str) -> Iterator[Proof]:
    """A proof-server that ends with the block."""
    server = Proof(*kind)
    try:
        yield server
    finally:
        server.end()
