"""A NATS JetStream Key/Value client for asyncio; `natskv.sync` is the same for blocking code.

async with natskv.connect("nats://127.0.0.1:4222") as client:
    kv = await client.create_key_value("settings")
    await kv.put("color", b"red")
    print((await kv.get("color")).text())
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._credentials import Credentials
from ._native import KeyValueEntry, __version__
from .errors import (
    AuthenticationError,
    BadBucketError,
    BucketExistsError,
    BucketFullError,
    BucketNotFoundError,
    ClosedError,
    DisconnectedError,
    HistoryTooLargeError,
    InvalidArgumentError,
    InvalidBucketNameError,
    InvalidKeyError,
    KeyExistsError,
    KeyNotFoundError,
    KeyValueError,
    NatsConnectionError,
    NoRespondersError,
    PermissionDeniedError,
    ProtocolError,
    RequestTimeoutError,
    ServerError,
    TlsError,
    UnsupportedError,
    ValueTooLargeError,
    WrongRevisionError,
)
from .options import Options
from .types import KeyValueEntries, KeyValueOp, KeyValueStatus, Stats, StatusEvent

if TYPE_CHECKING:
    from .aio import Client, KeyHistory, KeyLister, KeyValue, KeyWatcher, connect
    from .config import ExternalStream, KeyValueConfig, Placement, Republish, StreamSource, SubjectTransform

__all__ = [
    "AuthenticationError",
    "BadBucketError",
    "BucketExistsError",
    "BucketFullError",
    "BucketNotFoundError",
    "Client",
    "ClosedError",
    "Credentials",
    "DisconnectedError",
    "ExternalStream",
    "HistoryTooLargeError",
    "InvalidArgumentError",
    "InvalidBucketNameError",
    "InvalidKeyError",
    "KeyExistsError",
    "KeyHistory",
    "KeyLister",
    "KeyNotFoundError",
    "KeyValue",
    "KeyValueConfig",
    "KeyValueEntries",
    "KeyValueEntry",
    "KeyValueError",
    "KeyValueOp",
    "KeyValueStatus",
    "KeyWatcher",
    "NatsConnectionError",
    "NoRespondersError",
    "Options",
    "PermissionDeniedError",
    "Placement",
    "ProtocolError",
    "Republish",
    "RequestTimeoutError",
    "ServerError",
    "Stats",
    "StatusEvent",
    "StreamSource",
    "SubjectTransform",
    "TlsError",
    "UnsupportedError",
    "ValueTooLargeError",
    "WrongRevisionError",
    "__version__",
    "connect",
    "version",
]


def version() -> str:
    """The version of natskv, such as `"0.1.0"`."""
    return __version__


# What takes long to import, asyncio above all, is imported when it is first asked for.
_LATE = {
    "aio": {"Client", "KeyHistory", "KeyLister", "KeyValue", "KeyWatcher", "connect"},
    "config": {"ExternalStream", "KeyValueConfig", "Placement", "Republish", "StreamSource", "SubjectTransform"},
}


def __getattr__(name: str) -> Any:
    for module, names in _LATE.items():
        if name == module or name in names:
            late = import_module(f".{module}", __name__)
            return late if name == module else globals().setdefault(name, getattr(late, name))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
