"""nats-py beside the clients of the cluster test: puts to a key of its own, for its times to recover."""

from __future__ import annotations

import asyncio
import sys
import time

import nats


async def quiet(_: Exception) -> None:
    pass


async def main(servers: str, bucket: str, number: str) -> None:
    client = await nats.connect(
        servers.split(","), ping_interval=1, max_outstanding_pings=2, max_reconnect_attempts=-1, error_cb=quiet
    )
    kv = await client.jetstream(timeout=2).key_value(bucket)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, stop.set)
    count = 0
    while not stop.is_set():
        start, count = time.monotonic_ns(), count + 1
        try:
            revision = await kv.put(f"peer{number}", str(count).encode())
            print("wrote", f"peer{number}", start, time.monotonic_ns(), count, revision, -1, flush=True)
        except Exception as error:
            print("failed", start, time.monotonic_ns(), type(error).__name__, flush=True)
        await asyncio.sleep(0.002)
    print("stopped", flush=True)


asyncio.run(main(*sys.argv[1:]))
