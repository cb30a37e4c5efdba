"""The exceptions of natskv, one class for each kind of failure.

Each is a builtin too where one fits, so that `except KeyError`, `except TimeoutError` and `except ConnectionError` do
what they say. Core makes them; `BY_CODE` tells which class belongs to which of its codes.
"""

from __future__ import annotations

__all__ = [
    "AuthenticationError",
    "BadBucketError",
    "BucketExistsError",
    "BucketFullError",
    "BucketNotFoundError",
    "ClosedError",
    "DisconnectedError",
    "HistoryTooLargeError",
    "InvalidArgumentError",
    "InvalidBucketNameError",
    "InvalidKeyError",
    "KeyExistsError",
    "KeyNotFoundError",
    "KeyValueError",
    "NatsConnectionError",
    "NoRespondersError",
    "PermissionDeniedError",
    "ProtocolError",
    "RequestTimeoutError",
    "ServerError",
    "TlsError",
    "UnsupportedError",
    "ValueTooLargeError",
    "WrongRevisionError",
]


class KeyValueError(Exception):
    """Any failure of natskv.

    Attributes:
        code: The kind, by the same name in every language: `"KEY_NOT_FOUND"`.
        api_code: The server's JetStream error code (10071 for a wrong revision); 0 when the server gave none.
        revision: The revision that the key really is at, when the server told it.
        maybe_applied: The write failed here but may have been stored: its connection was lost before the answer.
    """

    code: str = "INTERNAL"
    api_code: int = 0
    revision: int | None = None
    maybe_applied: bool = False

    def __init__(
        self,
        message: str = "",
        *,
        code: str | None = None,
        api_code: int = 0,
        revision: int | None = None,
        maybe_applied: bool = False,
        json: str | None = None,
    ) -> None:
        super().__init__(message)
        self._message = message
        self.code = code or type(self).code
        self.api_code = api_code
        self.revision = revision
        self.maybe_applied = maybe_applied
        self._json = json

    def __str__(self) -> str:
        return self._message

    def to_json(self) -> str:
        """The error as JSON text: `{"type", "error": {"code", "err_code", "description"}, "kind"}`."""
        if self._json is None:
            from . import _native

            self._json = _native.error(self.code, self._message).to_json()
        return self._json


class InvalidArgumentError(KeyValueError, ValueError):
    """An argument breaks a rule; the message names the value and what would be right. Nothing was sent."""

    code = "INVALID_ARGUMENT"


class InvalidKeyError(InvalidArgumentError):
    """A key or filter that cannot be used; the message names the character and its place."""

    code = "INVALID_KEY"


class InvalidBucketNameError(InvalidArgumentError):
    """A bucket name with anything but letters, digits, `_` and `-`."""

    code = "INVALID_BUCKET"


class HistoryTooLargeError(InvalidArgumentError):
    """More than 64 revisions per key were asked for."""

    code = "HISTORY_TOO_LARGE"


class ValueTooLargeError(InvalidArgumentError):
    """The value, or the message it makes, is larger than the server or the bucket takes."""

    code = "TOO_LARGE"


class UnsupportedError(KeyValueError):
    """The server, the bucket or this library lacks the feature asked for."""

    code = "UNSUPPORTED"


class KeyNotFoundError(KeyValueError, KeyError):
    """The key has no live value: never written, deleted, purged or expired."""

    code = "KEY_NOT_FOUND"


class KeyExistsError(KeyValueError):
    """`create` found a live value."""

    code = "KEY_EXISTS"


class WrongRevisionError(KeyExistsError):
    """The key is at another revision than the one expected; `revision` is the real one when the server told it."""

    code = "WRONG_REVISION"


class BucketNotFoundError(KeyValueError, LookupError):
    """There is no such bucket."""

    code = "BUCKET_NOT_FOUND"


class BucketExistsError(KeyValueError):
    """The bucket exists with another configuration; the message lists the fields that differ."""

    code = "BUCKET_EXISTS"


class BadBucketError(KeyValueError):
    """The stream exists but is not a key/value bucket."""

    code = "NOT_A_BUCKET"


class BucketFullError(KeyValueError):
    """The bucket reached its `max_bytes`."""

    code = "BUCKET_FULL"


class RequestTimeoutError(KeyValueError, TimeoutError):
    """The time allowed has passed without an answer."""

    code = "TIMEOUT"


class NoRespondersError(KeyValueError):
    """Nobody listens where the request went: JetStream is off, or not for this account."""

    code = "NO_RESPONDERS"


class NatsConnectionError(KeyValueError, ConnectionError):
    """No server could be reached, or a queue of requests is full."""

    code = "CONNECT_FAILED"


class DisconnectedError(NatsConnectionError):
    """The connection was lost with the operation in flight; `maybe_applied`: a write may have been stored."""

    code = "DISCONNECTED"


class ClosedError(NatsConnectionError):
    """The client was closed."""

    code = "CLOSED"


class TlsError(NatsConnectionError):
    """TLS could not be set up, or the two sides disagree about using it."""

    code = "TLS"


class AuthenticationError(NatsConnectionError):
    """The server refused the credentials."""

    code = "AUTH"


class PermissionDeniedError(KeyValueError, PermissionError):
    """The credentials are good, but the account may not do this."""

    code = "PERMISSION"


class ProtocolError(KeyValueError):
    """The other side sent something that is not NATS, or not an answer to what was asked."""

    code = "PROTOCOL"


class ServerError(KeyValueError):
    """Any other refusal of the server; the message carries its words."""

    code = "SERVER"


BY_CODE: dict[str, type[KeyValueError]] = {
    "INVALID_ARGUMENT": InvalidArgumentError,
    "INVALID_KEY": InvalidKeyError,
    "INVALID_BUCKET": InvalidBucketNameError,
    "TOO_LARGE": ValueTooLargeError,
    "UNSUPPORTED": UnsupportedError,
    "WOULD_DEADLOCK": InvalidArgumentError,
    "HISTORY_TOO_LARGE": HistoryTooLargeError,
    "CONNECT_FAILED": NatsConnectionError,
    "DISCONNECTED": DisconnectedError,
    "CLOSED": ClosedError,
    "TLS": TlsError,
    "AUTH": AuthenticationError,
    "PERMISSION": PermissionDeniedError,
    "PROTOCOL": ProtocolError,
    "BUFFER_FULL": NatsConnectionError,
    "TIMEOUT": RequestTimeoutError,
    "CANCELLED": KeyValueError,  # asyncio.CancelledError reaches the caller; this is for the log
    "NO_RESPONDERS": NoRespondersError,
    "UNAVAILABLE": ServerError,
    "BUCKET_NOT_FOUND": BucketNotFoundError,
    "BUCKET_EXISTS": BucketExistsError,
    "NOT_A_BUCKET": BadBucketError,
    "KEY_NOT_FOUND": KeyNotFoundError,
    "KEY_EXISTS": KeyExistsError,
    "WRONG_REVISION": WrongRevisionError,
    "BUCKET_FULL": BucketFullError,
    "SERVER": ServerError,
    "INTERNAL": KeyValueError,
}
"""The class of each error code, by the code's name."""
