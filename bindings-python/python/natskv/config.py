"""What a bucket is to be: configurations; and to and from SPEC.md's JSON text these, statuses and operations.

No rule of NATS is in here: core judges the text. Imported when it is first needed: with `json` and its dataclasses that
takes longer than all else that natskv.sync needs.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from . import _native
from .types import KeyValueStatus


@dataclass(frozen=True)
class Placement:
    """Which servers of a cluster hold a bucket.

    Attributes:
        cluster: Name of the cluster. Default: any.
        tags: Tags that each server must have. Default: none.
    """

    cluster: str | None = None
    tags: Sequence[str] = ()


@dataclass(frozen=True)
class Republish:
    """Publishing of every accepted write under another subject.

    Attributes:
        src: Which of the bucket's subjects: `$KV.<bucket>.>` for all.
        dest: Where to: `kv.copy.>`; `{{wildcard(n)}}` names the n-th `*` of `src`.
        headers_only: Headers without values. Default: False.
    """

    src: str
    dest: str
    headers_only: bool = False


@dataclass(frozen=True)
class SubjectTransform:
    """How subjects are rewritten on their way from a source.

    Attributes:
        src: Subjects of the source, with wildcards.
        dest: What they become.
    """

    src: str
    dest: str


@dataclass(frozen=True)
class ExternalStream:
    """Where a source in another domain or account is reached.

    Attributes:
        api: Prefix of its JetStream API, such as `$JS.hub.API`.
        deliver: Prefix of the subjects that it delivers to. Default: none.
    """

    api: str
    deliver: str | None = None


@dataclass(frozen=True)
class StreamSource:
    """A bucket or stream to mirror, or to take messages from.

    Attributes:
        name: Name of the bucket or stream.
        filter_subject: Only this subject, wildcards allowed.
        subject_transforms: How subjects are rewritten.
        external: How to reach it when it is in another domain or account.
        opt_start_seq: First sequence to take. Default: from the beginning.
        opt_start_time: Or: the time to begin at.
    """

    name: str
    filter_subject: str | None = None
    subject_transforms: Sequence[SubjectTransform] | None = None
    external: ExternalStream | None = None
    opt_start_seq: int | None = None
    opt_start_time: datetime | str | None = None


@dataclass
class KeyValueConfig:
    """A bucket's configuration.

    `None` means "not given": the default at create, unchanged at update.

    Attributes:
        bucket: Name: letters, digits, `_` and `-`.
        description: Free text.
        max_value_size: Largest message (headers and value) in bytes. Default: no limit.
        history: Revisions kept per key, 1 to 64.
        ttl: Age at which every revision expires, in seconds or as a timedelta; at least 0.1. Default, and 0: never.
        max_bytes: Largest size of the whole bucket. Default: no limit.
        storage: `"file"` (the default) or `"memory"`.
        replicas: Copies in a cluster, 1 to 5.
        compression: S2 compression on disk.
        placement: Which servers hold it.
        republish: Publishing of writes under another subject.
        mirror: Makes the bucket a read-only copy of another one. A name alone is taken too.
        sources: Buckets or streams whose messages flow into this one. Names alone are taken too.
        limit_marker_ttl: How long the markers of expired keys live, at least 1 second; allows a `ttl` for single keys
            (server 2.11 or newer). Default: no such markers.
        metadata: Pairs of your own.
        key_codec: How keys are stored, `"base64"`, `"path"` or `"escape"`, so that any text can be one. Recorded in the
            bucket, for all who open it. Default: as they are.
    """

    bucket: str
    description: str | None = None
    max_value_size: int | None = None
    history: int | None = 1
    ttl: float | timedelta | None = None
    max_bytes: int | None = None
    storage: Literal["file", "memory"] | None = None
    replicas: int | None = 1
    compression: bool | None = False
    placement: Placement | None = None
    republish: Republish | None = None
    mirror: StreamSource | None = None
    sources: Sequence[StreamSource] | None = None
    limit_marker_ttl: float | timedelta | None = None
    metadata: Mapping[str, str] | None = None
    key_codec: Literal["base64", "path", "escape"] | None = None

    @classmethod
    def from_json(cls, config: str | bytes | Mapping[str, Any]) -> KeyValueConfig:
        """A configuration from SPEC.md's JSON form, where durations are integer nanoseconds.

        Args:
            config: JSON text, or the object that it describes.

        Raises:
            InvalidArgumentError: A field is unknown, of a wrong type or out of range.
        """
        given: dict[str, Any] = dict(config) if isinstance(config, Mapping) else _loads(config)
        _native.check_config(json.dumps(given))
        return _config(given)

    def to_json(self) -> str:
        """SPEC.md's JSON form: the fields that are not None."""
        return spec(self, {})


def spec(config: KeyValueConfig | str | Mapping[str, Any] | None, fields: Mapping[str, Any]) -> str:
    """SPEC.md's JSON text for a configuration given in any of its forms, with `fields` over it."""
    if isinstance(config, KeyValueConfig):
        base: Mapping[str, Any] = {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}
    elif isinstance(config, str):
        base = {"bucket": config}
    elif isinstance(config, Mapping) or config is None:
        base = config or {}
    else:
        raise TypeError(f"a configuration is a KeyValueConfig, a mapping or a name, not {type(config).__name__}")
    given = {name: value for name, value in {**base, **fields}.items() if value is not None}
    for name in ("ttl", "limit_marker_ttl"):
        if name in given:
            given[name] = _native.nanoseconds(given[name])
    if "mirror" in given:
        given["mirror"] = _named(given["mirror"])
    if isinstance(sources := given.get("sources"), Sequence) and not isinstance(sources, str):
        given["sources"] = [_named(source) for source in sources]
    return json.dumps(given, default=_plain)


def operation(given: Mapping[str, Any] | str | bytes) -> str:
    """The JSON text of an operation given in any of its forms."""
    if isinstance(given, bytes | bytearray):
        given = given.decode()
    return given if isinstance(given, str) else json.dumps(given)


def status(text: str) -> KeyValueStatus:
    """A status from core's JSON text."""
    fields = json.loads(text)
    fields["ttl"] = _seconds(fields["ttl"])
    fields["limit_marker_ttl"] = _seconds(fields["limit_marker_ttl"])
    fields["config"] = _config(fields["config"])
    return KeyValueStatus(**fields)


def _config(given: Mapping[str, Any]) -> KeyValueConfig:
    """A configuration from fields that core has checked or made. What is absent is "not given", not a default."""
    fields: dict[str, Any] = dict.fromkeys(field.name for field in dataclasses.fields(KeyValueConfig))
    for name, value in given.items():
        if value is not None:
            name = _FIELD_OF.get(name, name)
            fields[name] = _FROM_JSON.get(name, _same)(value)
    return KeyValueConfig(**fields)


def _loads(text: str | bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise _native.error("INVALID_ARGUMENT", f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise _native.error("INVALID_ARGUMENT", f"a configuration is a JSON object, not {type(value).__name__}")
    return value


def _plain(value: object) -> object:
    """What `json` does not know by itself: our dataclasses, times, and any mapping or sequence."""
    if dataclasses.is_dataclass(value):
        given = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return {name: field for name, field in given.items() if field is not None}
    if isinstance(value, datetime):
        return value.astimezone().isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence | set | frozenset):
        return list(value)
    raise TypeError(f"{type(value).__name__} cannot be part of a configuration")


def _named(source: object) -> object:
    """A source; a name alone stands for one without options."""
    return {"name": source} if isinstance(source, str) else source


def _seconds(nanoseconds: int) -> float | None:
    return nanoseconds / 1e9 or None


def _same(value: Any) -> Any:
    return value


def _source(fields: Mapping[str, Any]) -> StreamSource:
    transforms, external = fields.get("subject_transforms"), fields.get("external")
    rewritten = None if transforms is None else [SubjectTransform(**transform) for transform in transforms]
    where = None if external is None else ExternalStream(**external)
    return StreamSource(**{**fields, "subject_transforms": rewritten, "external": where})


_FIELD_OF = {"max_bucket_size": "max_bytes", "num_replicas": "replicas"}

_FROM_JSON: Mapping[str, Any] = {
    "ttl": _seconds,
    "limit_marker_ttl": _seconds,
    "compression": lambda value: value not in ("none", "", False),
    "placement": lambda value: Placement(**value),
    "republish": lambda value: Republish(**value),
    "mirror": _source,
    "sources": lambda value: [_source(source) for source in value],
}
