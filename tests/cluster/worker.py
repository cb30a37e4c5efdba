"""A client of the cluster test in Python: writes by compare-and-set, watches, and tells each attempt.

worker.py SERVERS BUCKET NUMBER. A line an attempt; on "stop" it ends writing, on "show REVISION" it shows what its
watch knows.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from typing import Any

import natskv

KEYS = [f"k{n}" for n in range(6)]
GONE = (natskv.KeyNotFoundError,)


def tell(*words: object) -> None:
    print(*words, flush=True)


class Worker:
    def __init__(self, kv: Any, number: int) -> None:
        self.kv = kv
        self.last = number * 1_000_000
        self.dice = random.Random(number)
        self.is_stopped = False
        self.seen: dict[str, tuple[int, str]] = {}
        self.revision = 0
        self.moved = asyncio.Event()

    async def write(self) -> None:
        while not self.is_stopped:
            await self.attempt(self.dice.choice(KEYS))
            await asyncio.sleep(0.002)

    async def attempt(self, key: str) -> None:
        start = time.monotonic_ns()
        try:
            entry = await self.kv.get(key)
        except GONE:
            entry = None
        except natskv.KeyValueError as error:
            tell("failed", start, time.monotonic_ns(), error.code)
            return
        tell("read", key, start, time.monotonic_ns(), entry.revision if entry else 0, entry.text() if entry else 0)
        self.last += 1
        value, expected, start = str(self.last), entry.revision if entry else 0, time.monotonic_ns()
        try:
            write = self.kv.update(key, value, expected) if entry else self.kv.create(key, value)
            revision = await write
        except natskv.KeyValueError as error:
            end = time.monotonic_ns()
            if error.maybe_applied:
                tell("maybe", key, start, end, value, expected)
            elif isinstance(error, natskv.WrongRevisionError | natskv.KeyExistsError):
                tell("refused", key, start, end, expected, error.revision or 0)
            else:
                tell("failed", start, end, error.code)
            return
        tell("wrote", key, start, time.monotonic_ns(), value, revision, expected)

    async def watch(self) -> None:
        async with self.kv.watch() as watcher:
            async for entry in watcher:
                if entry.revision <= self.revision:
                    tell("broken", f"revision {entry.revision} after {self.revision}")
                self.revision = entry.revision
                self.seen[entry.key] = (entry.revision, entry.text())
                self.moved.set()
        tell("broken", "the watch ended")

    async def show(self, revision: int) -> None:
        async with asyncio.timeout(60):
            while self.revision < revision:
                self.moved.clear()
                await self.moved.wait()
        for key, (at, value) in self.seen.items():
            tell("seen", key, at, value)
        tell("end")


async def main(servers: str, bucket: str, number: str) -> None:
    commands: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin, lambda: commands.put_nowait(sys.stdin.readline()))
    options: dict[str, Any] = {"ping_interval": 1, "max_pings_out": 2, "request_timeout": 2}
    async with natskv.connect(servers.split(","), **options) as client:
        worker = Worker(await client.key_value(bucket, leader_reads=True), int(number))
        watching = asyncio.create_task(worker.watch())
        writing = asyncio.create_task(worker.write())
        while command := (await commands.get()).split():
            if command[0] == "stop":
                worker.is_stopped = True
                await writing
                tell("stopped")
            else:
                await worker.show(int(command[1]))
                break
        watching.cancel()


asyncio.run(main(*sys.argv[1:]))
