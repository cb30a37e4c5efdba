"""How a client in Python is driven: a line of JSON on stdin is a call, a line of JSON on stdout its result.

A call is `{"do": "put", "bucket": …, "key": …, "value": base64}`. A result is `{"ok": …}`, or
`{"error": {"name", "message", …}}`, or `{"absent": "put"}` where the client has nothing of the kind.
A client is a class with a method for each call.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import sys
from typing import Any


def entry(key: str, value: bytes | None, revision: int | None, operation: str | None) -> dict[str, Any]:
    """An entry as results have it; `operation` None where the client does not say."""
    return {"key": key, "value": value or b"", "revision": revision, "operation": operation}


class Watch:
    """The entries that a watch has given so far."""

    def __init__(self, watcher: Any, of: Any) -> None:
        self.entries: list[dict[str, Any]] = []
        self.watcher = watcher
        self._of = of
        self._grown = asyncio.Condition()
        self._error: Exception | None = None
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async for item in self.watcher:
                if item is not None:
                    await self._add(self._of(item))
        except Exception as error:
            self._error = error
            async with self._grown:
                self._grown.notify_all()

    async def _add(self, found: dict[str, Any]) -> None:
        async with self._grown:
            self.entries.append(found)
            self._grown.notify_all()

    async def seen(self, key: str, revision: int, within: float) -> list[dict[str, Any]]:
        """All entries, when one of them is `key` at `revision`, or when it is not after `within` seconds."""

        def is_there() -> bool:
            return self._error is not None or any((e["key"], e["revision"]) == (key, revision) for e in self.entries)

        async with self._grown:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._grown.wait_for(is_there), within)
        if self._error is not None:
            raise self._error
        return self.entries

    async def stop(self) -> None:
        await self.watcher.stop()
        self._reading.cancel()


def plain(value: object) -> object:
    """For `json`: bytes as base64."""
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} in a result")


async def call(client: Any, request: dict[str, Any]) -> dict[str, Any]:
    """The result of one call."""
    name = request.pop("do")
    method = getattr(client, name, None)
    if method is None:
        return {"absent": name}
    if "value" in request:
        request["value"] = base64.b64decode(request["value"])
    try:
        return {"ok": await method(**request)}
    except NotImplementedError as missing:
        return {"absent": str(missing)}
    except Exception as error:
        fields = {name: getattr(error, name, None) for name in ("code", "api_code", "err_code")}
        return {"error": {"name": type(error).__name__, "message": str(error), **fields}}


async def serve(client: Any) -> None:
    """Answers until stdin closes."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await call(client, json.loads(line)), default=plain), flush=True)
    await client.close()
