"""What programs suffered from in clients of KV, each as a check that any client can take; README.md lists them.

A check returns when the client does right, raises AssertionError or ClientError when not, and Absent where the client
has nothing of the kind. The suite `interop` has natskv pass them all; `cargo xtask peers` runs them on every client.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facts import BASE64

import kit
from kit import Client, ClientError, eventually, is_live
from nats_server import Server

WITHIN = 25.0  # before it counts as never; clients that come back by a timer of theirs need most of it


@dataclass
class World:
    """Who is checked and where."""

    client: Client
    planter: Client
    """natskv for Python, for what has to be there before."""
    server: Server
    bucket: str

    def stream(self, bucket: str = "") -> dict[str, Any]:
        """What the server says of a bucket's stream: `config` and `state`."""
        streams = self.server.ask("/jsz?accounts=true&streams=true&config=true")["account_details"][0]["stream_detail"]
        found: dict[str, Any] = next(s for s in streams if s["name"] == f"KV_{bucket or self.bucket}")
        return found

    def has_written(self, revision: int) -> bool:
        """Whether the server comes to have that many messages, its own ones too."""
        return eventually(lambda: self.stream()["state"]["last_seq"] >= revision, WITHIN)


def expired_keys_are_gone(world: World) -> None:
    client, bucket = world.client, world.bucket
    client.create_bucket(bucket=bucket, limit_marker_ttl=600)
    client.put(bucket=bucket, key="stays", value=b"1")
    client.create(bucket=bucket, key="lock", value=b"mine", ttl=1)
    assert world.has_written(3), "the server put no marker"
    assert not is_live(client.get(bucket=bucket, key="lock")), "get gives an expired key as a value"
    keys = client.keys(bucket=bucket)
    assert keys == ["stays"], f"keys lists an expired key: {keys}"


def expired_keys_can_be_created(world: World) -> None:
    client, bucket = world.client, world.bucket
    client.create_bucket(bucket=bucket, limit_marker_ttl=600)
    client.create(bucket=bucket, key="lock", value=b"mine", ttl=1)
    assert world.has_written(2), "the server put no marker"
    client.create(bucket=bucket, key="lock", value=b"yours", ttl=600)


def a_lifetime_survives_a_marker(world: World) -> None:
    client, bucket = world.client, world.bucket
    client.create_bucket(bucket=bucket, limit_marker_ttl=600)
    client.put(bucket=bucket, key="lock", value=b"mine")
    client.delete(bucket=bucket, key="lock")
    client.create(bucket=bucket, key="lock", value=b"yours", ttl=1)
    assert world.has_written(4), "the key that was created over a marker never expires"


def a_list_that_is_cut_is_whole_or_fails(world: World) -> None:
    client, bucket, count = world.client, world.bucket, 8_000
    world.planter.create_bucket(bucket=bucket)
    world.planter.fill(bucket=bucket, count=count)
    with kit.through_proxy(client, world.server.port, world.server.url) as proxy:
        client.open(bucket=bucket)
        proxy.cut_after(400_000)
        try:
            found = len(client.keys(bucket=bucket))
        except ClientError as error:
            assert proxy.cuts, error
            return
        assert proxy.cuts, "nothing was cut"
        assert found == count, f"keys gives {found} of {count} without an error"


def conflicts_are_one_error(world: World) -> None:
    """Servers with replicas answer 10071 or 10164 as it happens; the proxy has it be 10164."""
    client, bucket = world.client, world.bucket
    with kit.through_proxy(client, world.server.port, world.server.url) as proxy:
        client.create_bucket(bucket=bucket, history=3)
        revision = client.put(bucket=bucket, key="a", value=b"1")
        client.put(bucket=bucket, key="a", value=b"2")
        client.put(bucket=bucket, key="gone", value=b"1")
        client.delete(bucket=bucket, key="gone")

        def kinds() -> list[tuple[str, Any]]:
            stale = failing(lambda: client.update(bucket=bucket, key="a", value=b"3", revision=revision))
            existing = failing(lambda: client.create(bucket=bucket, key="a", value=b"3"))
            return [stale.kind, existing.kind]

        usual, proxy.rewrite = kinds(), in_flight
        assert usual == kinds(), f"{usual} became {kinds()} with 10164"
        client.create(bucket=bucket, key="gone", value=b"2")


def in_flight(said: bytes) -> bytes:
    """The answer that a leader gives while another write to the key is under way, in as many bytes."""
    said = said.replace(b'"err_code":10071', b'"err_code":10164')
    return re.sub(rb'("wrong last sequence)(: \d+)"', lambda found: found[1] + b'"' + b" " * len(found[2]), said)


def failing(work: Callable[[], Any]) -> ClientError:
    """The error that a call must end with."""
    try:
        result = work()
    except ClientError as error:
        return error
    raise AssertionError(f"no error, but {result}")


def lists_leave_no_consumer(world: World) -> None:
    client, bucket = world.client, world.bucket
    client.create_bucket(bucket=bucket)
    client.put(bucket=bucket, key="a", value=b"1")
    for _ in range(5):
        client.keys(bucket=bucket)
        client.history(bucket=bucket, key="a")
    is_clean = eventually(lambda: world.server.consumers(bucket) == 0, 10)
    assert is_clean, f"{world.server.consumers(bucket)} consumers are still on the server 10 s later"


def a_watch_is_one_consumer(world: World) -> None:
    """Also after the connection was lost: the one before is deleted, or was kept."""
    client, bucket = world.client, world.bucket
    world.planter.create_bucket(bucket=bucket)
    with kit.through_proxy(client, world.server.port, world.server.url) as proxy:
        client.open(bucket=bucket)
        client.watch(bucket=bucket, name="w")
        for number in range(3):
            if number:
                proxy.cut()
            revision = world.planter.put(bucket=bucket, key="a", value=str(number).encode())
            seen = client.seen(name="w", key="a", revision=revision, within=WITHIN)
            assert seen and seen[-1]["revision"] == revision, f"the watch is deaf {WITHIN:.0f} s after a cut"
        assert eventually(lambda: world.server.consumers(bucket) <= 1, 10), (
            f"{world.server.consumers(bucket)} consumers for one watch"
        )
        client.stop(name="w")
        is_clean = eventually(lambda: world.server.consumers(bucket) == 0, 10)
        assert is_clean, "a consumer is still on the server 10 s after the end of the watch"


def filters_are_subjects(world: World) -> None:
    client, bucket = world.client, world.bucket
    world.planter.create_bucket(bucket=bucket)
    for key in ("users.a", "users.b", "orders.users"):
        world.planter.put(bucket=bucket, key=key, value=b"1")
    client.open(bucket=bucket)
    for filters, expected in ((["users.*"], ["users.a", "users.b"]), (["users"], [])):
        found = client.keys(bucket=bucket, filters=filters)
        assert found == expected, f"{filters} lists {found}"


def filters_are_the_servers_work(world: World) -> None:
    client, bucket = world.client, world.bucket
    world.planter.create_bucket(bucket=bucket)
    world.planter.fill(bucket=bucket, count=2_000)
    world.planter.put(bucket=bucket, key="users.a", value=b"1")
    with kit.through_proxy(client, world.server.port, world.server.url) as proxy:
        client.open(bucket=bucket)
        before = proxy.heard
        assert client.keys(bucket=bucket, filters=["users.a"]) == ["users.a"]
        assert proxy.heard - before < 20_000, f"one key of 2001 took {proxy.heard - before} bytes"


def bad_keys_are_named(world: World) -> None:
    client, bucket = world.client, world.bucket
    client.create_bucket(bucket=bucket)
    errors = {}
    for key in ("a..b", ".a", "a b", "user:1", "a*", "é", "a\n", ""):
        began = time.monotonic()
        errors[key] = failing(lambda key=key: client.put(bucket=bucket, key=key, value=b"1"))  # type: ignore[misc]
        took = time.monotonic() - began
        assert took < 1.5, f"{key!r} is refused after {took:.1f} s"
    kinds = {error.kind for error in errors.values()}
    assert len(kinds) == 1, f"the errors are {sorted({error.name for error in errors.values()})}"
    assert client.put(bucket=bucket, key="a.b", value=b"1") == 1
    silent = [key for key, error in errors.items() if key not in error.message and repr(key)[1:-1] not in error.message]
    assert not silent, f"the message for {silent[0]!r} does not say so: {errors[silent[0]].message!r}"


def base64_is_that_of_others(world: World) -> None:
    client, bucket = world.client, world.bucket
    client.create_bucket(bucket=bucket, codec="own" if client.name == "nats-io-kv" else "base64")
    world.planter.open(bucket=bucket, codec="strict")
    for key, raw in BASE64.items():
        client.put(bucket=bucket, key=key, value=key.encode())
        found = world.planter.get(bucket=bucket, key=raw)
        assert found is not None, f"{key!r} is stored as {world.planter.keys(bucket=bucket)}, others as {raw}"
    assert client.keys(bucket=bucket) == sorted(BASE64)


def hundreds_of_filters(world: World) -> None:
    client, bucket, count = world.client, world.bucket, 700
    world.planter.create_bucket(bucket=bucket)
    last = 0
    for number in (0, count // 2, count - 1):
        last = world.planter.put(bucket=bucket, key=f"k.{number}", value=b"1")
    world.planter.put(bucket=bucket, key="other", value=b"1")
    client.open(bucket=bucket)
    client.watch(bucket=bucket, name="w", filters=[f"k.{number}" for number in range(count)])
    client.seen(name="w", key=f"k.{count - 1}", revision=last, within=WITHIN)
    update = world.planter.put(bucket=bucket, key="k.7", value=b"1")
    seen = client.seen(name="w", key="k.7", revision=update, within=WITHIN)
    expected = {("k.0", 1), (f"k.{count // 2}", 2), (f"k.{count - 1}", 3), ("k.7", update)}
    assert {(entry["key"], entry["revision"]) for entry in seen} == expected, f"saw {len(seen)} of {len(expected)}"
    client.stop(name="w")


def mirrored(world: World) -> str:
    """An origin with a value, and a mirror that has it; the origin's name."""
    origin = f"{world.bucket}_origin"
    world.planter.create_bucket(bucket=origin, history=3)
    world.planter.put(bucket=origin, key="a", value=b"1")
    world.planter.create_bucket(bucket=world.bucket, mirror=origin)
    assert world.has_written(1), "the mirror stays empty"
    return origin


def a_mirror_is_read(world: World) -> None:
    mirrored(world)
    world.client.open(bucket=world.bucket)
    found = world.client.get(bucket=world.bucket, key="a")
    assert found is not None and found["value"] == b"1", f"get gives {found}"
    keys = world.client.keys(bucket=world.bucket)
    assert keys == ["a"], f"keys gives {keys}"


def a_mirror_is_written(world: World) -> None:
    origin = mirrored(world)
    world.client.open(bucket=world.bucket)
    revision = world.client.put(bucket=world.bucket, key="a", value=b"2")
    found = world.planter.get(bucket=origin, key="a")
    assert (found["value"], found["revision"]) == (b"2", revision), "the origin has not got it"


def a_mirror_is_created(world: World) -> None:
    origin = f"{world.bucket}_origin"
    world.planter.create_bucket(bucket=origin)
    world.client.create_bucket(bucket=world.bucket, mirror=origin)
    assert world.stream()["config"]["mirror"]["name"] == f"KV_{origin}"


def ignored_deletes_are_purges_too(world: World) -> None:
    client, bucket = world.client, world.bucket
    client.create_bucket(bucket=bucket)
    client.watch(bucket=bucket, name="w", ignore_deletes=True)
    for key, end in (("a", client.delete), ("b", client.purge)):
        client.put(bucket=bucket, key=key, value=b"1")
        end(bucket=bucket, key=key)
    last = client.put(bucket=bucket, key="end", value=b"1")
    seen = client.seen(name="w", key="end", revision=last, within=WITHIN)
    assert seen and seen[-1]["key"] == "end", "the watch did not show what was written last"
    markers = [entry["operation"] for entry in seen if entry["operation"] != "PUT"]
    assert not markers, f"ignore_deletes lets {markers} through"
    client.stop(name="w")


def drift_is_told(world: World) -> None:
    client, bucket = world.client, world.bucket
    client.create_bucket(bucket=bucket, history=1)
    client.create_bucket(bucket=bucket, history=1)
    try:
        client.create_bucket(bucket=bucket, history=5)
    except ClientError:
        return
    raise AssertionError("create with history 5 opens a bucket with history 1, and does not say so")


def buckets_have_direct_get(world: World) -> None:
    world.client.create_bucket(bucket=world.bucket)
    assert world.stream()["config"].get("allow_direct"), "allow_direct is false in what create makes"


def it_needs_what_it_says(world: World) -> None:
    """Imported where nothing is installed but what the package declares."""
    command, program, needed = kit.PACKAGES[world.client.name]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        needed(root)
        done = subprocess.run([*command, program], cwd=root, capture_output=True, text=True, timeout=60)
        lines = [line for line in done.stderr.splitlines() if "Error" in line]
        assert done.returncode == 0, (lines or ["it does not run"])[-1]
        assert json.loads(done.stdout) is True


CHECKS: list[tuple[str, str, Callable[[World], None]]] = [
    ("2", "expired keys are gone", expired_keys_are_gone),
    ("2", "expired keys can be created", expired_keys_can_be_created),
    ("2", "create over a marker keeps its ttl", a_lifetime_survives_a_marker),
    ("4", "a list that is cut is whole or fails", a_list_that_is_cut_is_whole_or_fails),
    ("7", "conflicts are one error", conflicts_are_one_error),
    ("10", "lists leave no consumer", lists_leave_no_consumer),
    ("10", "a watch is one consumer, after cuts too", a_watch_is_one_consumer),
    ("12", "filters are subjects", filters_are_subjects),
    ("12", "filters are the server's work", filters_are_the_servers_work),
    ("17", "bad keys are named, at once", bad_keys_are_named),
    ("18", "base64 keys are those of orbit.go", base64_is_that_of_others),
    ("38", "a watch of 700 filters", hundreds_of_filters),
    ("39", "a mirror is read", a_mirror_is_read),
    ("39", "a mirror is written", a_mirror_is_written),
    ("50", "it needs what it says", it_needs_what_it_says),
    ("", "ignored deletes are purges too", ignored_deletes_are_purges_too),
    ("", "create tells what differs", drift_is_told),
    ("", "a mirror is created", a_mirror_is_created),
    ("", "buckets have direct get", buckets_have_direct_get),
]
"""Row of the table of complaints, or none where it is named under it; what is right; the check."""
