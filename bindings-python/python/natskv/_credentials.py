"""Who the client says it is: what the options of `connect` give, or what is asked for before each connection."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from . import _native
from .errors import KeyValueError

_SEED_LENGTH = 58


@dataclass(frozen=True, repr=False)
class Credentials:
    """One way in: a user with a password, a token, an nkey, a JWT, or a credentials file. Its repr shows no secret.

    Attributes:
        user: User name.
        password: Password of `user`.
        token: Token.
        nkey_seed: Seed of a user's nkey, `SU…`: logs in by itself, or signs for `jwt`.
        nkey: Public nkey, `U…`, of a user whose seed is kept elsewhere; wants `sign`.
        jwt: A user's JWT. With neither `nkey_seed` nor `sign` it is sent alone, which is enough for a bearer JWT.
        credentials: A credentials file, its path or its text: a JWT, a seed, or both.
        sign: Signs for `nkey` or `jwt`: called with the server's nonce (bytes), gives the 64 bytes of its ed25519
            signature. May be a coroutine function with asyncio.
    """

    user: str | None = None
    password: str | None = None
    token: str | None = None
    nkey_seed: str | None = None
    nkey: str | None = None
    jwt: str | None = None
    credentials: str | os.PathLike[str] | None = None
    sign: Callable[[bytes], bytes | Awaitable[bytes]] | None = None

    def __repr__(self) -> str:
        given = ", ".join(field.name for field in fields(self) if getattr(self, field.name) is not None)
        return f"<Credentials {given or 'none'}>"


Given = Credentials | Mapping[str, Any] | str | os.PathLike[str] | None
"""What a credentials callback may give: `Credentials`, a mapping of their fields, or a credentials file."""

Callback = Callable[[str], Given | Awaitable[Given]]


class Source:
    """Where credentials come from. Takes its options out of those of `connect` and puts core's in their place."""

    def __init__(self, options: dict[str, Any]) -> None:
        given = options.pop("credentials", None)
        self._ask: Callback | None = options.pop("credentials_callback", None)
        self._sign: Callable[[bytes], Any] | None = None
        if self._ask is not None and not callable(self._ask):
            raise _invalid(f"option credentials_callback: a function is called, not {type(self._ask).__name__}")
        alone = {name: options.pop(name, None) or None for name in ("user", "password", "token", "nkey_seed")}
        if isinstance(given, Credentials):
            if own := [name for name, value in alone.items() if value is not None]:
                raise _invalid(f"option {own[0]}: `credentials` says it all")
            fixed = given
        else:
            fixed = Credentials(credentials=given, **alone)
        login = self.answer(fixed)
        _native.check_credentials(login)
        if _is_path(fixed.credentials) and self._ask is None:
            self._ask = lambda reason: fixed  # the file is read anew: it may have been exchanged
            login = {}
        options["credentials"] = login
        options["asks_credentials"] = self._ask is not None

    def ask(self, reason: str) -> Any:
        """What the callback gives; maybe to be awaited."""
        assert self._ask is not None
        return self._ask(reason)

    def sign(self, nonce: str) -> Any:
        """What the signer gives; maybe to be awaited."""
        assert self._sign is not None
        return self._sign(nonce.encode())

    def answer(self, given: Any) -> dict[str, Any]:
        """Core's form of what was given; the signer that came with it is kept."""
        credentials = _credentials(given)
        login = {"signs": credentials.sign is not None, **_fields(credentials)}
        if (file := login.pop("credentials", None)) is not None:
            login["creds"] = _text(file)
        self._sign = login.pop("sign", None)
        return login


def signature(given: Any) -> bytes:
    """What a signer gave, if it can be one."""
    if isinstance(given, bytes | bytearray | memoryview) and len(bytes(given)) == 64:
        return bytes(given)
    what = f"{len(given)} bytes" if isinstance(given, bytes | bytearray) else type(given).__name__
    raise _invalid(f"sign: expected the 64 bytes of an ed25519 signature, not {what}")


def why(what: str, error: BaseException) -> str:
    """The reason why something could not be had, in words."""
    return str(error) if isinstance(error, KeyValueError) else f"{what}: {type(error).__name__}: {error}"


def _credentials(given: Any) -> Credentials:
    match given:
        case Credentials():
            return given
        case None:
            return Credentials()
        case str() | bytes() | os.PathLike():
            return Credentials(credentials=given)  # type: ignore[arg-type]
        case Mapping():
            known = {field.name for field in fields(Credentials)}
            if unknown := [name for name in given if name not in known]:
                raise _invalid(f"credentials: {unknown[0]!r} is unknown; known are {', '.join(sorted(known))}")
            return Credentials(**given)
    raise _invalid(f"credentials: expected natskv.Credentials, a mapping, a path or text, not {type(given).__name__}")


def _fields(credentials: Credentials) -> dict[str, Any]:
    named = {field.name: getattr(credentials, field.name) for field in fields(credentials)}
    return {name: value for name, value in named.items() if value is not None}


def _is_path(file: Any) -> bool:
    """Whether it is the path of a credentials file; the text of one has several lines, or is a seed."""
    if not isinstance(file, str):
        return isinstance(file, os.PathLike)
    text = file.strip()
    return "\n" not in text and not (len(text) == _SEED_LENGTH and text.isalnum() and text.isupper())


def _text(file: Any) -> str:
    if not isinstance(file, str | bytes | os.PathLike):
        raise _invalid(f"credentials: expected a path or text, not {type(file).__name__}")
    if isinstance(file, bytes):
        return file.decode(errors="replace")
    if not _is_path(file):
        return str(file)
    path = os.path.expanduser(os.fsdecode(file))  # pathlib takes milliseconds to import
    try:
        with open(path, encoding="utf-8") as opened:
            return opened.read()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        shown = path if len(path) < 200 else "a path that is too long to be one"
        raise _invalid(f"credentials {shown!r}: {reason}") from None


def _invalid(message: str) -> Exception:
    return _native.error("INVALID_ARGUMENT", message)
