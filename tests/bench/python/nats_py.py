"""nats-py."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import nats
import nats.js.errors

from measure import HISTORY, Meter, Snapshot, check, ready
from workloads import Kv, main


class NatsPy:
    """`workloads.Client`"""

    @contextlib.asynccontextmanager
    async def connect(self, url: str) -> AsyncIterator[Any]:
        connection = await nats.connect(url)
        try:
            yield connection.jetstream()
        finally:
            await connection.close()

    async def open(self, connection: Any, bucket: str) -> Kv:
        return await connection.key_value(bucket)

    async def snapshot(self, kv: Kv, keys: int) -> Snapshot:
        seen = Snapshot()
        watcher = await kv.watchall()
        async for entry in watcher:
            if entry is None:
                break
            seen.count += 1
            seen.revisions += entry.revision
            seen.bytes += len(entry.key) + len(entry.value)
        await watcher.stop()
        return seen

    async def live(self, kv: Kv, keys: int) -> None:
        count = 0
        watcher = await kv.watchall()
        check(await watcher.updates() is None, "the marker of an empty bucket")
        ready()
        async for entry in watcher:
            if count == 0:
                meter = Meter()
            count += 1
            if count == keys:
                last = entry.key
                break
        meter.stop(keys - 1)
        check(last == f"bench.k{keys - 1:06}", "the last key")
        await watcher.stop()

    async def keys(self, kv: Kv) -> list[str]:
        return await kv.keys()

    async def history(self, kv: Kv) -> list[Any]:
        return await kv.history(HISTORY)

    async def get_many(self, kv: Kv, keys: list[str]) -> list[Any]:
        return await asyncio.gather(*(kv.get(key) for key in keys))

    async def put_many(self, kv: Kv, values: dict[str, bytes]) -> list[int]:
        return await asyncio.gather(*(kv.put(key, value) for key, value in values.items()))

    def is_conflict(self, error: Exception) -> bool:
        return isinstance(error, nats.js.errors.KeyWrongLastSequenceError)


main(NatsPy())
