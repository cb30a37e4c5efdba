"""natskv for Python."""

from __future__ import annotations

import asyncio
from typing import Any

import natskv
from serve import Watch, entry, serve


class Client:
    name = "natskv for Python"

    def __init__(self) -> None:
        self.client: natskv.Client | None = None
        self.buckets: dict[str, natskv.KeyValue] = {}
        self.watches: dict[str, Watch] = {}

    async def connect(self, url: str) -> str:
        await self.close()
        self.client = await natskv.connect(url)
        return natskv.version()

    async def close(self) -> None:
        if self.client is not None:
            await self.client.close()
        self.client, self.buckets, self.watches = None, {}, {}

    async def create_bucket(self, bucket: str, codec: str | None = None, **config: Any) -> None:
        assert self.client is not None
        self.buckets[bucket] = await self.client.create_key_value(bucket=bucket, key_codec=codec, **config)

    async def open(self, bucket: str, codec: str | None = None) -> None:
        assert self.client is not None
        policy: Any = codec
        self.buckets[bucket] = await self.client.key_value(bucket, key_policy=policy)

    async def fill(self, bucket: str, count: int) -> None:
        """Many keys at once."""
        await self.buckets[bucket].put_many({f"fill.{number:06}": b"v" * 20 for number in range(count)})

    async def put(self, bucket: str, key: str, value: bytes) -> int:
        return await self.buckets[bucket].put(key, value)

    async def create(self, bucket: str, key: str, value: bytes, ttl: float | None = None) -> int:
        return await self.buckets[bucket].create(key, value, ttl=ttl)

    async def update(self, bucket: str, key: str, value: bytes, revision: int) -> int:
        return await self.buckets[bucket].update(key, value, revision)

    async def delete(self, bucket: str, key: str) -> None:
        await self.buckets[bucket].delete(key)

    async def purge(self, bucket: str, key: str, ttl: float | None = None) -> None:
        await self.buckets[bucket].purge(key, ttl=ttl)

    async def get(self, bucket: str, key: str, revision: int | None = None) -> Any:
        try:
            return described(await self.buckets[bucket].get(key, revision=revision))
        except natskv.KeyNotFoundError:
            return None

    async def keys(self, bucket: str, filters: list[str] | None = None) -> list[str]:
        return sorted(await self.buckets[bucket].keys(filters or ">"))

    async def history(self, bucket: str, key: str) -> list[Any]:
        return [described(found) for found in await self.buckets[bucket].history(key)]

    async def status(self, bucket: str) -> dict[str, Any]:
        status = await self.buckets[bucket].status()
        return {"values": status.values, "history": status.history, "ttl": status.ttl or 0}

    async def watch(
        self, bucket: str, name: str, filters: list[str] | None = None, ignore_deletes: bool = False
    ) -> None:
        watcher = await self.buckets[bucket].watch(filters or ">", ignore_deletes=ignore_deletes)
        self.watches[name] = Watch(watcher, described)

    async def seen(self, name: str, key: str, revision: int, within: float) -> list[Any]:
        return await self.watches[name].seen(key, revision, within)

    async def stop(self, name: str) -> None:
        await self.watches.pop(name).stop()


def described(found: natskv.KeyValueEntry) -> dict[str, Any]:
    return entry(found.key, found.value, found.revision, found.operation.value)


asyncio.run(serve(Client()))
