"""What natskv and nats-py are asked for in the same words. Where their words differ, a `Client` of each has its own."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

from measure import (
    COUNTER,
    HISTORY,
    INCREMENTS,
    LARGE,
    MANY,
    REVISIONS,
    TASKS,
    Arguments,
    Meter,
    Snapshot,
    check,
    check_revisions,
    clock,
    first,
    large,
    large_key,
    value,
)

Kv = Any
Steps = Coroutine[Any, Any, None]


class Client(Protocol):
    """What is particular to a client."""

    def connect(self, url: str) -> contextlib.AbstractAsyncContextManager[Any]:
        """A connection."""

    async def open(self, connection: Any, bucket: str) -> Kv:
        """A bucket's handle."""

    async def snapshot(self, kv: Kv, keys: int) -> Snapshot:
        """W5: watches all keys up to the end of the initial ones."""

    async def live(self, kv: Kv, keys: int) -> None:
        """W6: watches so many updates of another process."""

    async def keys(self, kv: Kv) -> list[str]:
        """W7k."""

    async def history(self, kv: Kv) -> list[Any]:
        """W7h."""

    async def get_many(self, kv: Kv, keys: list[str]) -> list[Any]:
        """W10: these keys, by the fastest public means, as entries in this order."""

    async def put_many(self, kv: Kv, values: dict[str, bytes]) -> list[int]:
        """W10p."""

    def is_conflict(self, error: Exception) -> bool:
        """Whether somebody else was faster."""


def main(client: Client) -> None:
    """Runs the workload that the command line names."""
    arguments = Arguments()
    steps = run(client, arguments)
    if arguments.loop == "uvloop":
        import uvloop

        uvloop.run(steps)
    else:
        asyncio.run(steps)


async def run(client: Client, arguments: Arguments) -> None:
    """Connects, and runs it."""
    async with client.connect(arguments.url) as connection:

        async def on(bucket: str, workload: Callable[..., Steps], *rest: Any) -> None:
            await workload(await client.open(connection, bucket), arguments, *rest)

        match arguments.workload:
            case "W1":
                await on("puts", puts, 1)
            case "W2":
                await on("bench", gets, 1)
            case "W3":
                await on("puts", puts, 256)
            case "W4":
                await on("bench", gets, 256)
            case "W5":
                await on("bench", snapshot, client)
            case "W6":
                await client.live(await client.open(connection, "live"), arguments.keys)
            case "W7k":
                await on("bench", keys, client)
            case "W7h":
                await on("history", histories, client)
            case "W8p":
                await on("large", large_puts)
            case "W8g":
                await on("large", large_gets)
            case "W9":
                await on("counter", increments, client)
            case "W10":
                await on("bench", many_gets, client)
            case "W10p":
                await on("puts", many_puts, client)
            case "W11":
                kv = await client.open(connection, "bench")
                found = (await kv.get("bench.k000000")).value
                first()
                check(found == value(0), "the first key")
            case unknown:
                check(False, f"no workload {unknown}")


async def puts(kv: Kv, arguments: Arguments, window: int) -> None:
    """W1 and W3: so many in flight, each waiting for its own."""
    all_keys, values = arguments.all_keys(), [value(number) for number in range(MANY)]
    numbers = itertools.count()
    revisions: list[int] = []
    waits: list[float] = []

    async def work(until: float) -> None:
        now = clock()
        while now < until:
            number = next(numbers)
            revisions.append(await kv.put(all_keys[number % arguments.keys], values[number % MANY]))
            before, now = now, clock()
            waits.append(now - before)

    meter = await _measured(work, arguments, window, revisions, waits)
    meter.stop(len(revisions), waits)
    check_revisions(revisions)
    last = next(numbers) - 1
    found = await kv.get(all_keys[last % arguments.keys])
    check(found.value == values[last % MANY], "the last value")


async def gets(kv: Kv, arguments: Arguments, window: int) -> None:
    """W2 and W4."""
    all_keys = arguments.all_keys()
    numbers = itertools.count()
    sizes: list[int] = []
    waits: list[float] = []

    async def work(until: float) -> None:
        now = clock()
        while now < until:
            at = next(numbers) % arguments.keys
            entry = await kv.get(all_keys[at])
            check(entry.revision == at + 1, "the revision")
            sizes.append(len(entry.value))
            before, now = now, clock()
            waits.append(now - before)

    meter = await _measured(work, arguments, window, sizes, waits)
    meter.stop(len(sizes), waits)
    check(sum(sizes) == 128 * len(sizes), "the sizes")
    check((await kv.get(all_keys[-1])).value == value(arguments.keys - 1), "the last value")


async def _measured(
    work: Callable[[float], Steps], arguments: Arguments, window: int, done: list[int], waits: list[float]
) -> Meter:
    """Warms up for a fifth of the time, then measures."""
    await asyncio.gather(*(work(clock() + arguments.seconds / 5) for _ in range(window)))
    done.clear()
    waits.clear()
    meter = Meter()
    until = clock() + arguments.seconds
    if window == 1:
        await work(until)
    else:
        await asyncio.gather(*(work(until) for _ in range(window)))
    return meter


async def snapshot(kv: Kv, arguments: Arguments, client: Client) -> None:
    """W5."""
    meter = Meter()
    found = await client.snapshot(kv, arguments.keys)
    meter.stop(arguments.keys)
    found.check(arguments.keys)


async def keys(kv: Kv, arguments: Arguments, client: Client) -> None:
    """W7k."""
    meter = Meter()
    found = await client.keys(kv)
    meter.stop(arguments.keys)
    check(sorted(found) == arguments.all_keys(), "the keys")


async def histories(kv: Kv, arguments: Arguments, client: Client) -> None:
    """W7h."""

    async def call() -> int:
        entries = await client.history(kv)
        check(len(entries) == REVISIONS, f"{len(entries)} revisions")
        check(entries[-1].value == value(REVISIONS - 1) and entries[-1].key == HISTORY, "the last value")
        return 1

    await _repeated(call, arguments)


async def large_puts(kv: Kv, arguments: Arguments) -> None:
    """W8p."""
    values = [large(number) for number in range(LARGE)]
    revisions: list[int] = []

    async def call() -> int:
        number = len(revisions) % LARGE
        revisions.append(await kv.put(large_key(number), values[number]))
        return 1

    await _repeated(call, arguments)
    check_revisions(revisions)
    check((await kv.get(large_key(0))).value == values[0], "the value")


async def large_gets(kv: Kv, arguments: Arguments) -> None:
    """W8g."""
    numbers = itertools.cycle(range(LARGE))

    async def call() -> int:
        check(len((await kv.get(large_key(next(numbers)))).value) == 1 << 20, "the size")
        return 1

    await _repeated(call, arguments)
    check((await kv.get(large_key(1))).value == large(1), "the value")


async def increments(kv: Kv, arguments: Arguments, client: Client) -> None:
    """W9: each reads and writes back until nobody came between."""

    async def count_up() -> None:
        for _ in range(INCREMENTS):
            while True:
                entry = await kv.get(COUNTER)
                try:
                    await kv.update(COUNTER, b"%d" % (int(entry.value) + 1), entry.revision)
                    break
                except Exception as error:
                    if not client.is_conflict(error):
                        raise

    meter = Meter()
    await asyncio.gather(*(count_up() for _ in range(TASKS)))
    meter.stop(TASKS * INCREMENTS)
    check(int((await kv.get(COUNTER)).value) == TASKS * INCREMENTS, "the count")


async def many_gets(kv: Kv, arguments: Arguments, client: Client) -> None:
    """W10."""
    wanted = arguments.all_keys()[:MANY]

    async def call() -> int:
        entries = await client.get_many(kv, wanted)
        check(sum(entry.revision for entry in entries) == MANY * (MANY + 1) // 2, "the revisions")
        check(entries[-1].value == value(MANY - 1), "the last value")
        return MANY

    await _repeated(call, arguments)


async def many_puts(kv: Kv, arguments: Arguments, client: Client) -> None:
    """W10p."""
    values = {key: value(number) for number, key in enumerate(arguments.all_keys()[:MANY])}
    revisions: list[int] = []

    async def call() -> int:
        revisions.extend(await client.put_many(kv, values))
        return MANY

    await _repeated(call, arguments)
    check_revisions(revisions)
    key, last = list(values.items())[-1]
    check((await kv.get(key)).value == last, "the last value")


async def _repeated(call: Callable[[], Awaitable[int]], arguments: Arguments) -> None:
    """Calls for as long as is asked, after a warm-up."""
    until = clock() + arguments.seconds / 5
    while clock() < until:
        await call()
    meter = Meter()
    until = clock() + arguments.seconds
    ops = 0
    while clock() < until:
        ops += await call()
    meter.stop(ops)
