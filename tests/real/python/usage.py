"""What users write, for mypy --strict: it is checked, not run."""

from __future__ import annotations

import ssl
from datetime import timedelta

import natskv
import natskv.sync


async def asynchronous() -> None:
    async with natskv.connect(["nats://a", "nats://b"], name="n", tls=ssl.create_default_context()) as client:
        config = natskv.KeyValueConfig("b", history=5, ttl=timedelta(hours=1), storage="memory")
        kv: natskv.KeyValue = await client.create_key_value(config)
        revision: int = await kv.put("k", b"v", timeout=1.5)
        revision = await kv.update("k", "text", revision)
        entry: natskv.KeyValueEntry = await kv.get("k")
        value: bytes = entry.value
        operation: natskv.KeyValueOp = entry.operation
        async for key in kv.keys("a.*"):
            key.upper()
        keys: list[str] = await kv.keys().list()
        async for old in await kv.history("k"):
            old.created.isoformat()
        async with kv.watch(["a", "b.>"], ignore_deletes=True) as watcher:
            async for change in watcher:
                print(change.key, watcher.at_eod())
        status: natskv.KeyValueStatus = await kv.status()
        ttl: float | None = status.ttl
        async for name in client.key_value_bucket_names():
            name.upper()
        reply: dict[str, object] = await kv.execute({"operation": "GET", "key": "k"})
        print(value, operation, keys, ttl, reply)
    again: natskv.Client = await natskv.connect(token="t", connect_timeout=timedelta(seconds=1), max_reconnects=None)
    await again.close()


def blocking() -> None:
    with natskv.sync.connect(on_status=lambda event: print(event.name)) as client:
        kv: natskv.sync.KeyValue = client.key_value("b", check=False)
        revision: int = kv.create("k", bytearray(b"v"), ttl=60)
        try:
            kv.delete("k", last_revision=revision)
        except natskv.WrongRevisionError as error:
            actual: int | None = error.revision
            print(actual, error.maybe_applied)
        for key in kv.keys():
            key.upper()
        with kv.watch("k") as watcher:
            for entry in watcher.values():
                print(entry.text())
            print(watcher.next(timeout=1))
