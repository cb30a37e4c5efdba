"""A NATS JetStream Key/Value client for asyncio; `natskv.sync` is the same for blocking code.

async with natskv.connect("nats://127.0.0.1:4222") as client:
    kv = await client.create_key_value("settings")
    await kv.put("color", b"red")
    print((await kv.get("color")).text())
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._common import Options
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
from .types import (
    ExternalStream,
    KeyValueConfig,
    KeyValueEntries,
    KeyValueOp,
    KeyValueStatus,
    Placement,
    Republish,
    Stats,
    StatusEvent,
    StreamSource,
    SubjectTransform,
)

if TYPE_CHECKING:
    from .aio import Client, KeyHistory, KeyLister, KeyValue, KeyWatcher, connect

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


def __getattr__(name: str) -> Any:
    # asyncio takes longer to import than all of natskv: programs that use natskv.sync start without it.
    if name in {"Client", "KeyHistory", "KeyLister", "KeyValue", "KeyWatcher", "aio", "connect"}:
        aio = import_module(".aio", __name__)
        return aio if name == "aio" else globals().setdefault(name, getattr(aio, name))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
