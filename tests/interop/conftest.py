"""One server for all, and each client on it once."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import pytest

import kit
from nats_server import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("nats"))
    yield server
    server.kill()


@pytest.fixture(scope="session")
def clients(server: Server) -> Iterator[dict[str, kit.Client]]:
    """All clients that are here, connected."""
    with contextlib.ExitStack() as stack:
        clients = {}
        for name in kit.names():
            clients[name] = kit.Client(name)
            stack.callback(clients[name].end)
            clients[name].connect(url=server.url)
        yield clients


@pytest.fixture
def bucket(request: pytest.FixtureRequest) -> str:
    """A bucket name of the test's own."""
    return re.sub(r"\W+", "_", request.node.name).strip("_")
