"""nats-key-value."""

from __future__ import annotations

import asyncio
import importlib.metadata
from datetime import timedelta
from typing import Any

import nats.client
import nats.jetstream
import nats.key_value
from nats.jetstream.stream import StreamSource

from serve import Watch, entry, serve


class Client:
    name = "nats-key-value"

    def __init__(self) -> None:
        self.client: Any = None
        self.js: Any = None
        self.buckets: dict[str, Any] = {}
        self.watches: dict[str, Watch] = {}

    async def connect(self, url: str) -> str:
        await self.close()
        self.client = await nats.client.connect(url)
        self.js = nats.jetstream.new(self.client)
        return importlib.metadata.version("nats-key-value")

    async def close(self) -> None:
        if self.client is not None:
            await self.client.close()
        self.client, self.buckets, self.watches = None, {}, {}

    async def create_bucket(self, bucket: str, codec: str | None = None, **config: Any) -> None:
        if codec is not None:
            raise NotImplementedError("codec")
        for name in ("ttl", "limit_marker_ttl"):
            if name in config:
                config[name] = timedelta(seconds=config[name])
        if "mirror" in config:
            config["mirror"] = StreamSource(name=f"KV_{config['mirror']}")
        made = nats.key_value.KeyValueConfig(bucket=bucket, **config)
        self.buckets[bucket] = await nats.key_value.create_key_value(self.js, made)

    async def open(self, bucket: str, codec: str | None = None) -> None:
        if codec is not None:
            raise NotImplementedError("codec")
        self.buckets[bucket] = await nats.key_value.key_value(self.js, bucket)

    async def put(self, bucket: str, key: str, value: bytes) -> int:
        return await self.buckets[bucket].put(key, value)

    async def create(self, bucket: str, key: str, value: bytes, ttl: float | None = None) -> int:
        lifetime = None if ttl is None else timedelta(seconds=ttl)
        return await self.buckets[bucket].create(key, value, ttl=lifetime)

    async def update(self, bucket: str, key: str, value: bytes, revision: int) -> int:
        return await self.buckets[bucket].update(key, value, revision)

    async def delete(self, bucket: str, key: str) -> None:
        await self.buckets[bucket].delete(key)

    async def purge(self, bucket: str, key: str, ttl: float | None = None) -> None:
        lifetime = None if ttl is None else timedelta(seconds=ttl)
        await self.buckets[bucket].purge(key, ttl=lifetime)

    async def get(self, bucket: str, key: str, revision: int | None = None) -> Any:
        try:
            return described(await self.buckets[bucket].get(key, revision=revision))
        except nats.key_value.KeyNotFoundError:
            return None

    async def keys(self, bucket: str, filters: list[str] | None = None) -> list[str]:
        if filters is not None and len(filters) != 1:
            raise NotImplementedError("keys of several filters")
        return sorted([key async for key in await self.buckets[bucket].keys(filters[0] if filters else ">")])

    async def history(self, bucket: str, key: str) -> list[Any]:
        return [described(found) async for found in await self.buckets[bucket].history(key)]

    async def status(self, bucket: str) -> dict[str, Any]:
        status = await self.buckets[bucket].status()
        ttl = status.ttl.total_seconds() if status.ttl else 0
        return {"values": status.values, "history": status.history, "ttl": ttl}

    async def watch(
        self, bucket: str, name: str, filters: list[str] | None = None, ignore_deletes: bool = False
    ) -> None:
        watcher = await self.buckets[bucket].watch_filtered(filters or [">"], ignore_deletes=ignore_deletes)
        self.watches[name] = Watch(watcher, described)

    async def seen(self, name: str, key: str, revision: int, within: float) -> list[Any]:
        return await self.watches[name].seen(key, revision, within)

    async def stop(self, name: str) -> None:
        await self.watches.pop(name).stop()


def described(found: Any) -> dict[str, Any]:
    return entry(found.key, found.value, found.revision, found.operation.value)


asyncio.run(serve(Client()))
