"""One of the three in `cargo xtask demo`: writes into the bucket, and tells what it sees of the others.

Prints one line per event, tab-separated, which xtask reads: `wrote KEY REVISION MICROSECONDS` (how long the put took)
and `saw KEY REVISION MICROSECONDS` (from the other's write to here). Ends with 0 when it saw all.
"""

import asyncio
import sys
import time

import natskv

ME = "python"


def now_us() -> int:
    """Wall-clock time, which the three share."""
    return time.time_ns() // 1000


async def write(kv: natskv.KeyValue, rounds: int, others: list[str]) -> None:
    """One key a round, its value the time of writing. The three take turns, so that no one waits for another's CPU."""
    await asyncio.sleep(0.1 * sum(other < ME for other in others))
    for round_ in range(1, rounds + 1):
        started = now_us()
        key = f"{ME}.{round_}"
        revision = await kv.put(key, str(started).encode())
        print("wrote", key, revision, now_us() - started, sep="\t", flush=True)
        await asyncio.sleep(0.3)


async def main(url: str, rounds: int, others: list[str]) -> None:
    """Says that it is there, waits for the others, writes, and reads until it saw every write of theirs."""
    waited_for = {f"{other}.ready" for other in others}
    expected = {f"{other}.{round_}" for other in others for round_ in range(1, rounds + 1)}
    async with natskv.connect(url, name=f"demo {ME}") as client:
        kv = await client.create_key_value("demo")
        async with kv.watch() as watcher:
            await kv.put(f"{ME}.ready", b"")
            writer = None
            async for entry in watcher:
                waited_for.discard(entry.key)
                if writer is None and not waited_for:
                    writer = asyncio.create_task(write(kv, rounds, others))
                if entry.key in expected:
                    expected.discard(entry.key)
                    took = now_us() - int(entry.value)
                    print("saw", entry.key, entry.revision, took, sep="\t", flush=True)
                if writer is not None and not expected:
                    await writer
                    break


if __name__ == "__main__":
    asyncio.run(asyncio.wait_for(main(sys.argv[1], int(sys.argv[2]), sys.argv[3:]), 30))
