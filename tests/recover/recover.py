"""How long a Python client needs after its server was killed: `recover.py natskv|natskv.sync|nats-py URL`.

A line on stdin means that the server is gone. The answer, a line of JSON, tells when a get worked again and when a
watch delivered what was written after it: seconds since 1970, null for never.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from typing import Any

BUCKET = "recover"
ATTEMPT = 1.0
"""Seconds that one attempt may take."""
PAUSE = 0.002
DEAF = 15.0
"""Seconds without an update after which a watch counts as deaf, and is made anew."""


def tell(**answer: Any) -> None:
    """Says a line."""
    print(json.dumps(answer), flush=True)


async def persist(attempt: Any) -> float:
    """Tries until it works; when that was."""
    while True:
        with contextlib.suppress(Exception):
            await asyncio.wait_for(attempt(), ATTEMPT)
            return time.time()
        await asyncio.sleep(PAUSE)


async def asyncio_natskv(url: str) -> None:
    """The client under test, on an event loop."""
    import natskv

    async with natskv.connect(url) as client:
        kv = await client.create_key_value(BUCKET)
        watcher = await kv.watch("k")

        async def update() -> bytes:
            return (await anext(watcher)).value

        async def watch() -> None:
            raise AssertionError("a watch that was deaf")

        await rounds(lambda: kv.get("k"), lambda value: kv.put("k", value), update, watch)


async def nats_py(url: str) -> None:
    """nats-py, with a callback that says nothing where its own would print."""
    import nats

    async def quiet(_: Exception) -> None:
        pass

    client = await nats.connect(url, error_cb=quiet)
    js = client.jetstream()
    kv = await js.create_key_value(bucket=BUCKET)
    watcher = await kv.watch("k")

    async def update() -> bytes | None:
        entry = await watcher.updates(timeout=DEAF)
        return entry.value if entry else None

    async def watch() -> None:
        nonlocal watcher
        watcher = await kv.watch("k")

    await rounds(lambda: kv.get("k"), lambda value: kv.put("k", value), update, watch)
    await client.close()


async def rounds(get: Any, put: Any, update: Any, watch: Any) -> None:
    """One for each line."""
    await put(b"0")
    tell(ready=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        value = line.strip().encode()
        got = await persist(get)
        await persist(lambda value=value: put(value))
        heard = None
        try:
            async with asyncio.timeout(DEAF):
                while await update() != value:
                    pass
                heard = time.time()
        except Exception:  # whatever a watch may fail with
            await watch()
        tell(get=got, watch=heard)


def blocking_natskv(url: str) -> None:
    """The same on a socket of its own."""
    import natskv.sync

    with natskv.sync.connect(url) as client:
        kv = client.create_key_value(BUCKET)
        watcher = kv.watch("k")
        kv.put("k", b"0")
        tell(ready=True)
        while line := sys.stdin.readline():
            value = line.strip().encode()
            got = persist_blocking(lambda: kv.get("k", timeout=ATTEMPT))
            persist_blocking(lambda value=value: kv.put("k", value, timeout=ATTEMPT))
            while watcher.next(timeout=DEAF).value != value:
                pass
            tell(get=got, watch=time.time())


def persist_blocking(attempt: Any) -> float:
    """The same for calls that block."""
    while True:
        with contextlib.suppress(Exception):
            attempt()
            return time.time()
        time.sleep(PAUSE)


def main() -> None:
    """Until stdin ends."""
    _, which, url = sys.argv
    if which == "natskv.sync":
        blocking_natskv(url)
    else:
        asyncio.run({"natskv": asyncio_natskv, "nats-py": nats_py}[which](url))


main()
