"""Keys by a codec: the same bytes in every language, those of orbit.go; and codecs that JavaScript programs bring."""

from __future__ import annotations

from itertools import permutations

import pytest
from facts import CODECS

from kit import OURS, Client, lists

Clients = dict[str, Client]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(("writer", "reader"), [*permutations(OURS, 2)])
def test_same_bytes(writer: str, reader: str, codec: str, clients: Clients, bucket: str) -> None:
    ours, theirs, neutral = clients[writer], clients[reader], clients["nats-py"]
    ours.create_bucket(bucket=bucket, codec=codec)
    theirs.open(bucket=bucket)  # by the codec that the bucket records
    neutral.open(bucket=bucket)
    for key, raw in CODECS[codec].items():
        ours.put(bucket=bucket, key=key, value=key.encode())
        assert theirs.get(bucket=bucket, key=key)["value"] == key.encode()
        assert neutral.get(bucket=bucket, key=raw)["value"] == key.encode()
    assert theirs.keys(bucket=bucket) == sorted(CODECS[codec])
    assert lists(neutral, lambda: neutral.keys(bucket=bucket), sorted(CODECS[codec].values()))


@pytest.mark.parametrize("codec", ["base64", "escape"])
@pytest.mark.parametrize("ours", OURS)
def test_with_a_codec_given_to_nats_io_kv(ours: str, codec: str, clients: Clients, bucket: str) -> None:
    """What its programs would write from the description of our codecs; its own rule for keys still has to be met."""
    natskv, other = clients[ours], clients["nats-io-kv"]
    natskv.create_bucket(bucket=bucket, codec=codec)
    other.open(bucket=bucket, codec=codec)
    keys = [key for key in CODECS[codec] if "*" not in key]
    for number, key in enumerate(keys):
        writer, reader = (natskv, other) if number % 2 else (other, natskv)
        writer.put(bucket=bucket, key=key, value=key.encode())
        found = reader.get(bucket=bucket, key=key)
        assert (found["key"], found["value"]) == (key, key.encode())
    assert natskv.keys(bucket=bucket) == other.keys(bucket=bucket) == sorted(keys)
    first = CODECS["base64"].keys() & {"users.alice"} if codec == "base64" else {"a=b.é"}
    assert natskv.keys(bucket=bucket, filters=[f"{min(first).split('.')[0]}.*"]) == sorted(first)


@pytest.mark.parametrize("writer", ["natskv-js", "nats-io-kv"])
def test_the_codec_of_nats_io_kv(writer: str, clients: Clients, bucket: str) -> None:
    """Its Base64KeyCodec as a codec object works in both alike, where the keys it makes are keys at all."""
    reader = "nats-io-kv" if writer == "natskv-js" else "natskv-js"
    clients[writer].create_bucket(bucket=bucket, codec="own")
    clients[reader].open(bucket=bucket, codec="own")
    keys = ["users.alice", "user:12345", "a", "ab"]
    for key in keys:
        clients[writer].put(bucket=bucket, key=key, value=key.encode())
        assert clients[reader].get(bucket=bucket, key=key)["value"] == key.encode()
    assert clients[reader].keys(bucket=bucket) == sorted(keys)
    assert clients[reader].keys(bucket=bucket, filters=["users.*"]) == ["users.alice"]
