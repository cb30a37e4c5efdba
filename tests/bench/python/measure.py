"""What is asked for on the command line, the keys and values of all workloads, and the line that tells what came of it.

Imports little: W11 measures the time to start.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Sequence

MANY = 1000
"""Keys of one W10."""

REVISIONS = 64
"""Revisions of the key of W7h."""

LARGE = 4
"""Keys with values of 1 MiB."""

TASKS = 8
"""Tasks of W9."""

INCREMENTS = 250
"""Increments of each of them."""

COUNTER = "bench.counter"
HISTORY = "bench.h"

clock = time.perf_counter


class Arguments:
    """`WORKLOAD name=value …`"""

    def __init__(self) -> None:
        self.workload = sys.argv[1]
        given = dict(word.split("=", 1) for word in sys.argv[2:])
        self.url = given.get("url", "")
        self.keys = int(given.get("keys", "100000"))
        self.seconds = float(given.get("seconds", "1"))
        self.loop = given.get("loop", "asyncio")

    def all_keys(self) -> list[str]:
        """Every key of `bench` and `puts`: number n has revision n + 1 in `bench`."""
        return [f"bench.k{number:06}" for number in range(self.keys)]


def value(number: int) -> bytes:
    """128 bytes that begin with a number, as they stand in `bench`."""
    return b"%06d" % number + b"x" * 122


def large(number: int) -> bytes:
    """1 MiB that begins with a number."""
    return b"%06d" % number + b"x" * ((1 << 20) - 6)


def large_key(number: int) -> str:
    """Its key."""
    return f"bench.large{number}"


class Meter:
    """From when on it counts."""

    def __init__(self) -> None:
        self._cpu = _cpu_seconds()
        self._start = clock()

    def stop(self, ops: int, waits: Sequence[float] = ()) -> None:
        """So many operations were done: tells the numbers."""
        seconds = clock() - self._start
        words = {"ops": float(ops), "seconds": seconds, "cpu": _cpu_seconds() - self._cpu, "peak_kb": _peak_kb()}
        if waits:
            sorted_waits = sorted(waits)
            for share in (50, 99):
                words[f"p{share}_us"] = sorted_waits[(len(waits) - 1) * share // 100] * 1e6
        tell(**words)


def tell(**numbers: float) -> None:
    """The line that the runner reads."""
    print("result", *(f"{name}={number:.9g}" for name, number in numbers.items()), flush=True)


def first() -> None:
    """Tells when the first get was answered."""
    print(f"result at_us={time.time_ns() // 1000} peak_kb={_peak_kb()}", flush=True)


def ready() -> None:
    """Tells the runner that the other process may begin."""
    print("ready", flush=True)


def check(is_right: bool, what: str) -> None:
    """A fast wrong answer is a failure."""
    if not is_right:
        sys.exit(f"wrong: {what}")


def check_revisions(revisions: list[int]) -> None:
    """Writes follow each other without a gap, in whatever order they were answered."""
    span = max(revisions) - min(revisions) + 1
    check(span == len(revisions) == len(set(revisions)), f"{len(revisions)} writes, {span} revisions")


class Snapshot:
    """Adds up what a watch of all keys gives; to look at key, value and revision of each is part of the work."""

    def __init__(self) -> None:
        self.count = 0
        self.revisions = 0
        self.bytes = 0

    def check(self, keys: int) -> None:
        """All keys once, each with its value and revision."""
        check(self.count == keys, f"{self.count} keys of {keys}")
        check(self.revisions == keys * (keys + 1) // 2, "the revisions")
        check(self.bytes == keys * (len("bench.k000000") + 128), "the sizes of keys and values")


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _peak_kb() -> int:
    """The most memory this process ever had; 0 where there is no /proc."""
    if not os.path.exists("/proc/self/status"):
        return 0
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
