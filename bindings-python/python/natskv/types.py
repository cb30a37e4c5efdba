"""What reads hand out besides entries, and what the client tells about itself."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple, NoReturn

import natskv

from . import _native
from ._native import KeyValueEntry
from .errors import KeyValueError


class KeyValueOp(StrEnum):
    """What a revision did to its key."""

    PUT = "PUT"
    DELETE = "DEL"
    PURGE = "PURGE"


class KeyValueEntries(dict[str, KeyValueEntry]):
    """What `get_many` found: entries by their keys, sorted. A key that has no live value is not among them.

    `entries[key]` raises KeyNotFoundError for it, `entries.get(key)` is None.
    """

    as_of: int | None = None
    """The revision of the bucket at which all of these were the newest. None where that cannot be said: the server is
    older than 2.11, or the keys were too many for one request."""

    def __missing__(self, key: object) -> NoReturn:
        raise _native.error("KEY_NOT_FOUND", f"key {key!r}: not asked for, or without a live value")


class KeyValueStatus(NamedTuple):
    """What a bucket is and holds, as the server said when it was asked.

    Attributes:
        bucket: Name of the bucket.
        values: Messages in it: all revisions of all keys, markers included.
        history: Revisions kept per key.
        ttl: Age in seconds at which revisions expire; None: never.
        bytes: Size in bytes.
        backing_store: `"JetStream"`.
        compressed: Whether it is compressed on disk.
        limit_marker_ttl: Seconds that the markers of expired keys live; None: no such markers.
        metadata: Your own pairs and the server's.
        replicas: Copies in a cluster.
        storage: `"file"` or `"memory"`.
        config: The whole configuration.
        stream_info: The server's own answer, as the object that its JSON describes.
        key_policy: Which keys the handle takes that asked.
        read_only: Why that handle cannot write; None: it can.
    """

    bucket: str
    values: int
    history: int
    ttl: float | None
    bytes: int
    backing_store: str
    compressed: bool
    limit_marker_ttl: float | None
    metadata: Mapping[str, str]
    replicas: int
    storage: str
    config: natskv.KeyValueConfig
    stream_info: Mapping[str, Any]
    key_policy: str
    read_only: str | None


class Stats(NamedTuple):
    """Counters since the client was made.

    Attributes:
        in_msgs: Messages received.
        in_bytes: Bytes received.
        out_msgs: Messages sent.
        out_bytes: Bytes sent.
        reconnects: Connections made after the first.
        round_trip: Seconds of the last round trip to the server that was measured; 0 before the first.
    """

    in_msgs: int
    in_bytes: int
    out_msgs: int
    out_bytes: int
    reconnects: int
    round_trip: float


class StatusEvent(NamedTuple):
    """What `on_status` is told.

    Attributes:
        name: `"connecting"`, `"connected"`, `"disconnected"`, `"reconnecting"`, `"draining"`, `"closed"`; or something
            that happened and was dealt with: `"server_error"`, `"lame_duck"`, `"watch_resumed"`, `"watch_overflow"`,
            `"watch_reset"`.
        message: The same as a sentence.
        error: Why, for `"disconnected"` and for a `"closed"` that was not asked for.
    """

    name: str
    message: str
    error: KeyValueError | None
