"""natskv takes every check that `cargo xtask peers` asks of all clients."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from checks import CHECKS, World

import kit
from nats_server import Server


@pytest.fixture(scope="module")
def planter(server: Server) -> Iterator[kit.Client]:
    client = kit.Client("natskv-py")
    client.connect(url=server.url)
    yield client
    client.end()


@pytest.mark.parametrize("check", [check for _, _, check in CHECKS], ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", kit.OURS)
def test_check(
    name: str,
    check: Callable[[World], None],
    clients: dict[str, kit.Client],
    planter: kit.Client,
    server: Server,
    bucket: str,
) -> None:
    check(World(clients[name], planter, server, bucket))
