"""Markers as servers may write them, and buckets as others make them."""

from __future__ import annotations

import pytest

import kit
from kit import OURS, Client

Clients = dict[str, Client]

MARKERS = [
    ({"Nats-Marker-Reason": "MaxAge"}, "PURGE"),
    ({"Nats-Marker-Reason": "Purge"}, "PURGE"),
    ({"Nats-Marker-Reason": "Remove"}, "DEL"),
    ({"Nats-Marker-Reason": "NewInSomeYears"}, "PURGE"),
    ({"KV-Operation": "DEL", "Nats-Marker-Reason": "MaxAge"}, "DEL"),
    ({"KV-Operation": "PURGE"}, "PURGE"),
]


@pytest.mark.parametrize("ours", OURS)
def test_every_marker(ours: str, clients: Clients, bucket: str) -> None:
    natskv, other = clients[ours], clients["nats-py"]
    natskv.create_bucket(bucket=bucket, history=2)
    natskv.put(bucket=bucket, key="live", value=b"1")
    natskv.watch(bucket=bucket, name=bucket)
    for number, (headers, operation) in enumerate(MARKERS):
        key = f"k{number}"
        natskv.put(bucket=bucket, key=key, value=b"1")
        revision = other.publish(subject=f"$KV.{bucket}.{key}", value=b"", headers=headers)
        assert natskv.get(bucket=bucket, key=key) is None
        assert [entry["operation"] for entry in natskv.history(bucket=bucket, key=key)] == ["PUT", operation]
        seen = natskv.seen(name=bucket, key=key, revision=revision, within=15)
        assert (seen[-1]["operation"], seen[-1]["revision"]) == (operation, revision)
    assert natskv.keys(bucket=bucket) == ["live"]
    for number in range(len(MARKERS)):
        assert natskv.create(bucket=bucket, key=f"k{number}", value=b"2") == 14 + number
    natskv.stop(name=bucket)


@pytest.mark.parametrize("ours", OURS)
@pytest.mark.parametrize("author", ["nats-py", "nats-io-kv", "nats-key-value"])
def test_a_bucket_of_others_is_the_same_bucket(author: str, ours: str, clients: Clients, bucket: str) -> None:
    """Create with the same fields opens it, whatever else its author set; other fields are told."""
    if author not in clients:
        pytest.skip("nats-key-value is not here")
    clients[author].create_bucket(bucket=bucket, history=5, ttl=3600)
    clients[author].put(bucket=bucket, key="a", value=b"1")

    clients[ours].create_bucket(bucket=bucket, history=5, ttl=3600)
    assert clients[ours].get(bucket=bucket, key="a")["value"] == b"1"
    assert clients[ours].status(bucket=bucket) == {"values": 1, "history": 5, "ttl": 3600}
    with pytest.raises(kit.ClientError, match="history"):
        clients[ours].create_bucket(bucket=bucket, history=6, ttl=3600)
