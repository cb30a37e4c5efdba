"""natskv, asyncio."""

from __future__ import annotations

from typing import Any

import natskv
from measure import HISTORY, Meter, Snapshot, check, ready
from workloads import Kv, main


class Natskv:
    """`workloads.Client`"""

    def connect(self, url: str) -> Any:
        return natskv.connect(url)

    async def open(self, connection: natskv.Client, bucket: str) -> Kv:
        return await connection.key_value(bucket)

    async def snapshot(self, kv: Kv, keys: int) -> Snapshot:
        seen = Snapshot()
        async with kv.watch() as watcher:
            async for entry in watcher:
                seen.count += 1
                seen.revisions += entry.revision
                seen.bytes += len(entry.key) + len(entry.value)
                if seen.count == keys:
                    break
            check(watcher.at_eod(), "the end of the initial values")
        return seen

    async def live(self, kv: Kv, keys: int) -> None:
        count = 0
        async with kv.watch() as watcher:
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

    async def keys(self, kv: Kv) -> list[str]:
        return await kv.keys().list()

    async def history(self, kv: Kv) -> list[Any]:
        return await kv.history(HISTORY).list()

    async def get_many(self, kv: Kv, keys: list[str]) -> list[Any]:
        return list((await kv.get_many(keys)).values())

    async def put_many(self, kv: Kv, values: dict[str, bytes]) -> list[int]:
        return list((await kv.put_many(values)).values())

    def is_conflict(self, error: Exception) -> bool:
        return isinstance(error, natskv.WrongRevisionError)


main(Natskv())
