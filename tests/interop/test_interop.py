"""What others write, natskv reads, and back: nats-py, @nats-io/kv, and nats-key-value where a Python has it."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

import kit
from kit import OURS, Client, is_live, lists
from nats_server import Server

PAIRS = [pair for pair in permutations(kit.names(), 2) if set(pair) & set(OURS)]
WITHIN = 15.0  # what comes when it comes; far above what it takes
MILLION = bytes(range(251)) * 4000

Clients = dict[str, Client]


@pytest.fixture(params=PAIRS, ids=lambda pair: f"{pair[0]}-to-{pair[1]}")
def pair(request: pytest.FixtureRequest, clients: Clients) -> tuple[Client, Client]:
    """Who writes and who reads; one of them is ours."""
    writer, reader = request.param
    return clients[writer], clients[reader]


def made(bucket: str, pair: tuple[Client, Client], **config: Any) -> None:
    """The bucket, made by the writer and opened by the reader."""
    writer, reader = pair
    writer.create_bucket(bucket=bucket, **config)
    reader.open(bucket=bucket)


def test_nats_key_value_is_here() -> None:
    if "nats-key-value" not in kit.names():
        pytest.skip("nats-key-value is not asked: it needs Python 3.13 or newer, and there is none here")


def test_values(pair: tuple[Client, Client], bucket: str) -> None:
    writer, reader = pair
    made(bucket, pair)
    values = {
        "empty": b"",
        "binary": bytes(range(256)),
        "crlf": b"\r\n+OK\r\n",
        "a.b/c_d=e-f.G9": b"text",
        "big": MILLION,
    }
    revisions = {key: writer.put(bucket=bucket, key=key, value=value) for key, value in values.items()}

    for key, value in values.items():
        found = reader.get(bucket=bucket, key=key)
        assert (found["key"], found["value"], found["revision"]) == (key, value, revisions[key])
        assert is_live(found)
        assert reader.get(bucket=bucket, key=key, revision=revisions[key])["value"] == value
    assert lists(reader, lambda: reader.keys(bucket=bucket), sorted(values))
    assert not is_live(reader.get(bucket=bucket, key="never"))


def test_history_and_markers(pair: tuple[Client, Client], bucket: str) -> None:
    writer, reader = pair
    made(bucket, pair, history=8)
    first = writer.put(bucket=bucket, key="deleted", value=b"1")
    writer.update(bucket=bucket, key="deleted", value=b"2", revision=first)
    writer.delete(bucket=bucket, key="deleted")
    writer.put(bucket=bucket, key="purged", value=b"1")
    writer.purge(bucket=bucket, key="purged")
    writer.create(bucket=bucket, key="again", value=b"1")
    writer.delete(bucket=bucket, key="again")
    last = writer.create(bucket=bucket, key="again", value=b"2")

    def is_history(key: str, *expected: tuple[str, bytes, int]) -> bool:
        def ask() -> list[tuple[str, bytes, int]]:
            found = reader.history(bucket=bucket, key=key)
            return [(entry["operation"], entry["value"], entry["revision"]) for entry in found]

        return lists(reader, ask, list(expected))

    assert is_history("deleted", ("PUT", b"1", 1), ("PUT", b"2", 2), ("DEL", b"", 3))
    assert is_history("purged", ("PURGE", b"", 5))
    assert is_history("again", ("PUT", b"1", 6), ("DEL", b"", 7), ("PUT", b"2", last))
    assert lists(reader, lambda: reader.keys(bucket=bucket), ["again"])
    assert not is_live(reader.get(bucket=bucket, key="deleted"))
    assert not is_live(reader.get(bucket=bucket, key="purged"))
    assert reader.get(bucket=bucket, key="deleted", revision=first)["value"] == b"1"
    status = reader.status(bucket=bucket)
    assert (status["values"], status["history"], status["ttl"]) == (7, 8, 0)


def test_create_over_the_others_markers(pair: tuple[Client, Client], bucket: str) -> None:
    writer, reader = pair
    made(bucket, pair, history=3)
    writer.put(bucket=bucket, key="live", value=b"1")
    for key, end in (("deleted", writer.delete), ("purged", writer.purge)):
        writer.put(bucket=bucket, key=key, value=b"1")
        end(bucket=bucket, key=key)
        revision = reader.create(bucket=bucket, key=key, value=b"2")
        found = writer.get(bucket=bucket, key=key)
        assert (found["value"], found["revision"]) == (b"2", revision)

    with pytest.raises(kit.ClientError):
        reader.create(bucket=bucket, key="live", value=b"2")
    revision = reader.update(bucket=bucket, key="live", value=b"2", revision=1)
    with pytest.raises(kit.ClientError):
        writer.update(bucket=bucket, key="live", value=b"3", revision=1)
    assert writer.update(bucket=bucket, key="live", value=b"3", revision=revision) == revision + 1


def test_watch(pair: tuple[Client, Client], bucket: str, server: Server) -> None:
    writer, reader = pair
    made(bucket, pair, history=3)
    writer.put(bucket=bucket, key="a", value=b"1")
    writer.put(bucket=bucket, key="a", value=b"2")
    writer.put(bucket=bucket, key="gone", value=b"1")
    writer.delete(bucket=bucket, key="gone")
    reader.watch(bucket=bucket, name=bucket)
    reader.seen(name=bucket, key="gone", revision=4, within=WITHIN)
    writer.put(bucket=bucket, key="b", value=b"1")
    writer.purge(bucket=bucket, key="a")
    last = writer.put(bucket=bucket, key="c", value=MILLION)

    seen = reader.seen(name=bucket, key="c", revision=last, within=WITHIN)
    assert [(entry["key"], entry["operation"], entry["revision"]) for entry in seen] == [
        ("a", "PUT", 2),
        ("gone", "DEL", 4),
        ("b", "PUT", 5),
        ("a", "PURGE", 6),
        ("c", "PUT", 7),
    ]
    assert seen[-1]["value"] == MILLION
    reader.stop(name=bucket)
    if reader.name in OURS:
        assert kit.eventually(lambda: server.consumers(bucket) == 0)


@pytest.mark.parametrize("writer", kit.names())
def test_lifetimes(writer: str, clients: Clients, bucket: str) -> None:
    """A key that expires, and what the server leaves in its place, as each of the others and as we see it."""
    author = clients[writer]
    readers = {name: client for name, client in clients.items() if name != writer and {name, writer} & set(OURS)}
    author.create_bucket(bucket=bucket, limit_marker_ttl=60)
    author.put(bucket=bucket, key="keeps", value=b"1")
    for name, reader in readers.items():
        reader.open(bucket=bucket)
        reader.watch(bucket=bucket, name=f"{bucket}_{name}")
    expiring = author.create(bucket=bucket, key="expires", value=b"1", ttl=60)
    if writer in OURS:
        assert all(is_live(reader.get(bucket=bucket, key="expires")) for reader in readers.values())
    author.delete(bucket=bucket, key="expires")
    short = author.create(bucket=bucket, key="expires", value=b"2", ttl=1)
    assert (expiring, short) == (2, 4)

    for name, reader in readers.items():
        seen = reader.seen(name=f"{bucket}_{name}", key="expires", revision=short + 1, within=90)
        found = [(entry["operation"], entry["revision"]) for entry in seen if entry["key"] == "expires"]
        assert found == [("PUT", 2), ("DEL", 3), ("PUT", 4), ("PURGE", 5)], name
        reader.stop(name=f"{bucket}_{name}")
        if name in OURS:
            assert reader.get(bucket=bucket, key="expires") is None
            assert reader.keys(bucket=bucket) == ["keeps"]
            assert reader.history(bucket=bucket, key="expires")[-1]["operation"] == "PURGE"
    ours = next(name for name in readers if name in OURS)
    assert readers[ours].create(bucket=bucket, key="expires", value=b"3", ttl=60) == 6
    for reader in readers.values():
        assert reader.get(bucket=bucket, key="expires")["value"] == b"3"
