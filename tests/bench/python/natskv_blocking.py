"""natskv, blocking. One in flight, so no W3 and W4: many at once are `get_many` and `put_many`, which W10 measures."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

import natskv
import natskv.sync
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
    ready,
    value,
)

Kv = natskv.sync.KeyValue


def main() -> None:
    """Runs the workload that the command line names."""
    arguments = Arguments()
    workload, bucket = WORKLOADS[arguments.workload]
    with natskv.sync.connect(arguments.url) as client:
        workload(client.key_value(bucket), arguments)


def puts(kv: Kv, arguments: Arguments) -> None:
    """W1."""
    all_keys, values = arguments.all_keys(), [value(number) for number in range(MANY)]
    numbers = itertools.count()
    revisions: list[int] = []
    waits: list[float] = []

    def work(until: float) -> None:
        now = clock()
        while now < until:
            number = next(numbers)
            revisions.append(kv.put(all_keys[number % arguments.keys], values[number % MANY]))
            before, now = now, clock()
            waits.append(now - before)

    meter = _measured(work, arguments, revisions, waits)
    meter.stop(len(revisions), waits)
    check_revisions(revisions)
    last = next(numbers) - 1
    check(kv.get(all_keys[last % arguments.keys]).value == values[last % MANY], "the last value")


def gets(kv: Kv, arguments: Arguments) -> None:
    """W2."""
    all_keys = arguments.all_keys()
    numbers = itertools.count()
    sizes: list[int] = []
    waits: list[float] = []

    def work(until: float) -> None:
        now = clock()
        while now < until:
            at = next(numbers) % arguments.keys
            entry = kv.get(all_keys[at])
            check(entry.revision == at + 1, "the revision")
            sizes.append(len(entry.value))
            before, now = now, clock()
            waits.append(now - before)

    meter = _measured(work, arguments, sizes, waits)
    meter.stop(len(sizes), waits)
    check(sum(sizes) == 128 * len(sizes), "the sizes")
    check(kv.get(all_keys[-1]).value == value(arguments.keys - 1), "the last value")


def snapshot(kv: Kv, arguments: Arguments) -> None:
    """W5."""
    meter = Meter()
    seen = Snapshot()
    with kv.watch() as watcher:
        for entry in watcher:
            seen.count += 1
            seen.revisions += entry.revision
            seen.bytes += len(entry.key) + len(entry.value)
            if seen.count == arguments.keys:
                break
        check(watcher.at_eod(), "the end of the initial values")
    meter.stop(arguments.keys)
    seen.check(arguments.keys)


def live(kv: Kv, arguments: Arguments) -> None:
    """W6."""
    count = 0
    with kv.watch() as watcher:
        ready()
        for entry in watcher:
            if count == 0:
                meter = Meter()
            count += 1
            if count == arguments.keys:
                last = entry.key
                break
    meter.stop(arguments.keys - 1)
    check(last == f"bench.k{arguments.keys - 1:06}", "the last key")


def keys(kv: Kv, arguments: Arguments) -> None:
    """W7k."""
    meter = Meter()
    found = list(kv.keys())
    meter.stop(arguments.keys)
    check(sorted(found) == arguments.all_keys(), "the keys")


def histories(kv: Kv, arguments: Arguments) -> None:
    """W7h."""

    def call() -> int:
        entries = list(kv.history(HISTORY))
        check(len(entries) == REVISIONS, f"{len(entries)} revisions")
        check(entries[-1].value == value(REVISIONS - 1) and entries[-1].key == HISTORY, "the last value")
        return 1

    _repeated(call, arguments)


def large_puts(kv: Kv, arguments: Arguments) -> None:
    """W8p."""
    values = [large(number) for number in range(LARGE)]
    revisions: list[int] = []

    def call() -> int:
        number = len(revisions) % LARGE
        revisions.append(kv.put(large_key(number), values[number]))
        return 1

    _repeated(call, arguments)
    check_revisions(revisions)
    check(kv.get(large_key(0)).value == values[0], "the value")


def large_gets(kv: Kv, arguments: Arguments) -> None:
    """W8g."""
    numbers = itertools.cycle(range(LARGE))

    def call() -> int:
        check(len(kv.get(large_key(next(numbers))).value) == 1 << 20, "the size")
        return 1

    _repeated(call, arguments)
    check(kv.get(large_key(1)).value == large(1), "the value")


def increments(kv: Kv, arguments: Arguments) -> None:
    """W9, each on a thread of its own."""
    done = []

    def count_up() -> None:
        for _ in range(INCREMENTS):
            while True:
                entry = kv.get(COUNTER)
                try:
                    kv.update(COUNTER, b"%d" % (int(entry.value) + 1), entry.revision)
                    break
                except natskv.WrongRevisionError:
                    pass
        done.append(True)

    threads = [threading.Thread(target=count_up) for _ in range(TASKS)]
    meter = Meter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    meter.stop(TASKS * INCREMENTS)
    check(len(done) == TASKS and int(kv.get(COUNTER).value) == TASKS * INCREMENTS, "the count")


def many_gets(kv: Kv, arguments: Arguments) -> None:
    """W10."""
    wanted = arguments.all_keys()[:MANY]

    def call() -> int:
        entries = list(kv.get_many(wanted).values())
        check(sum(entry.revision for entry in entries) == MANY * (MANY + 1) // 2, "the revisions")
        check(entries[-1].value == value(MANY - 1), "the last value")
        return MANY

    _repeated(call, arguments)


def many_puts(kv: Kv, arguments: Arguments) -> None:
    """W10p."""
    values = {key: value(number) for number, key in enumerate(arguments.all_keys()[:MANY])}
    revisions: list[int] = []

    def call() -> int:
        written = kv.put_many(values)
        revisions.extend(revision for revision in written.values() if isinstance(revision, int))
        return MANY

    _repeated(call, arguments)
    check_revisions(revisions)
    key, last = list(values.items())[-1]
    check(kv.get(key).value == last, "the last value")


def one_get(kv: Kv, arguments: Arguments) -> None:
    """W11."""
    found = kv.get("bench.k000000").value
    first()
    check(found == value(0), "the first key")


WORKLOADS: dict[str, tuple[Callable[[Kv, Arguments], None], str]] = {
    "W1": (puts, "puts"),
    "W2": (gets, "bench"),
    "W5": (snapshot, "bench"),
    "W6": (live, "live"),
    "W7k": (keys, "bench"),
    "W7h": (histories, "history"),
    "W8p": (large_puts, "large"),
    "W8g": (large_gets, "large"),
    "W9": (increments, "counter"),
    "W10": (many_gets, "bench"),
    "W10p": (many_puts, "puts"),
    "W11": (one_get, "bench"),
}


def _measured(work: Callable[[float], None], arguments: Arguments, done: list[int], waits: list[float]) -> Meter:
    """Warms up for a fifth of the time, then measures."""
    work(clock() + arguments.seconds / 5)
    done.clear()
    waits.clear()
    meter = Meter()
    work(clock() + arguments.seconds)
    return meter


def _repeated(call: Callable[[], int], arguments: Arguments) -> None:
    """Calls for as long as is asked, after a warm-up."""
    until = clock() + arguments.seconds / 5
    while clock() < until:
        call()
    meter = Meter()
    until = clock() + arguments.seconds
    ops = 0
    while clock() < until:
        ops += call()
    meter.stop(ops)


main()
