"""nats-py."""

from __future__ import annotations

import asyncio
import importlib.metadata
from typing import Any

import nats
import nats.js.errors

from serve import Watch, entry, serve


class Client:
    name = "nats-py"

    def __init__(self) -> None:
        self.client: Any = None
        self.js: Any = None
        self.buckets: dict[str, Any] = {}
        self.watches: dict[str, Watch] = {}

    async def connect(self, url: str) -> str:
        await self.close()
        self.client = await nats.connect(url, reconnect_time_wait=0.1, max_reconnect_attempts=-1, error_cb=silent)
        self.js = self.client.jetstream()
        return importlib.metadata.version("nats-py")

    async def close(self) -> None:
        if self.client is not None:
            await self.client.close()
        self.client, self.buckets, self.watches = None, {}, {}

    async def create_bucket(self, bucket: str, codec: str | None = None, **config: Any) -> None:
        if codec is not None or config.keys() & {"mirror", "metadata"}:
            raise NotImplementedError("codec, mirror, metadata")
        self.buckets[bucket] = await self.js.create_key_value(bucket=bucket, **config)

    async def open(self, bucket: str, codec: str | None = None) -> None:
        if codec is not None:
            raise NotImplementedError("codec")
        self.buckets[bucket] = await self.js.key_value(bucket)

    async def publish(self, subject: str, value: bytes, headers: dict[str, str]) -> int:
        """What no client of KV would write."""
        ack = await self.js.publish(subject, value, headers=headers)
        return int(ack.seq)

    async def put(self, bucket: str, key: str, value: bytes) -> int:
        return await self.buckets[bucket].put(key, value)

    async def create(self, bucket: str, key: str, value: bytes, ttl: float | None = None) -> int:
        return await self.buckets[bucket].create(key, value, msg_ttl=ttl)

    async def update(self, bucket: str, key: str, value: bytes, revision: int) -> int:
        return await self.buckets[bucket].update(key, value, last=revision)

    async def delete(self, bucket: str, key: str) -> None:
        await self.buckets[bucket].delete(key)

    async def purge(self, bucket: str, key: str, ttl: float | None = None) -> None:
        await self.buckets[bucket].purge(key, msg_ttl=ttl)

    async def get(self, bucket: str, key: str, revision: int | None = None) -> Any:
        try:
            return described(await self.buckets[bucket].get(key, revision=revision))
        except nats.js.errors.KeyNotFoundError:
            return None

    async def keys(self, bucket: str, filters: list[str] | None = None) -> list[str]:
        try:
            return sorted(await self.buckets[bucket].keys(filters=filters))
        except nats.js.errors.NoKeysError:
            return []

    async def history(self, bucket: str, key: str) -> list[Any]:
        try:
            return [described(found, "PUT") for found in await self.buckets[bucket].history(key)]
        except nats.js.errors.NoKeysError:
            return []

    async def status(self, bucket: str) -> dict[str, Any]:
        status = await self.buckets[bucket].status()
        return {"values": status.values, "history": status.history, "ttl": status.ttl or 0}

    async def watch(
        self, bucket: str, name: str, filters: list[str] | None = None, ignore_deletes: bool = False
    ) -> None:
        if filters is not None and len(filters) != 1:
            raise NotImplementedError("a watch of several filters")
        watcher = await self.buckets[bucket].watch(filters[0] if filters else ">", ignore_deletes=ignore_deletes)
        self.watches[name] = Watch(watcher, lambda found: described(found, "PUT"))

    async def seen(self, name: str, key: str, revision: int, within: float) -> list[Any]:
        return await self.watches[name].seen(key, revision, within)

    async def stop(self, name: str) -> None:
        await self.watches.pop(name).stop()


async def silent(_: Exception) -> None:
    """Keeps a connection that is cut on purpose out of stderr."""


def described(found: Any, put: str | None = None) -> dict[str, Any]:
    """`put`: what no operation means; `get` leaves it out always, watches where it is a value."""
    return entry(found.key, found.value, found.revision, found.operation or put)


asyncio.run(serve(Client()))
