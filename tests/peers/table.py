"""Has every client take every check, prints who passes what, and keeps the table in target/dev/peers.md."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import IO

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "real" / "python"))

from checks import CHECKS, World

import kit
from nats_server import Server

PASS, FAIL, NONE = "pass", "FAIL", "none"


def outcome(name: str, number: int, server: Server, log: IO[bytes]) -> tuple[str, str]:
    """How a client takes a check, in a process of its own since a client that fails may be beyond use."""
    client, planter = kit.Client(name, log), kit.Client("natskv-py")
    try:
        planter.connect(url=server.url)
        client.connect(url=server.url)
        CHECKS[number][2](World(client, planter, server, f"{name}-{number}"))
    except kit.Absent as absent:
        return NONE, str(absent)
    except (AssertionError, kit.ClientError) as error:
        return FAIL, " ".join(str(error).split())[:200]
    finally:
        client.end()
        planter.end()
    return PASS, ""


def main() -> int:
    names = kit.names()
    lines = [f"| row | check | {' | '.join(names)} |", f"|---|---|{'---|' * len(names)}"]
    reasons = []
    failed = 0
    with tempfile.TemporaryDirectory() as folder, (kit.DEV / "logs" / "peers.log").open("wb") as log:
        server = Server(Path(folder))
        print(f"{'row':<4}{'check':<42}{''.join(f'{name:<16}' for name in names)}")
        for number, (row, title, _) in enumerate(CHECKS):
            print(f"{row:<4}{title:<42}", end="", flush=True)
            results = []
            for name in names:
                result, reason = outcome(name, number, server, log)
                print(f"{result:<16}", end="", flush=True)
                results.append(result)
                failed += result != PASS and name in kit.OURS
                if reason:
                    reasons.append(f"{name}, {title}: {reason}")
            print()
            lines.append(f"| {row} | {title} | {' | '.join(results)} |")
        server.kill()
    print("\n" + "\n".join(reasons))
    text = "\n".join([*lines, "", *(f"- {reason}" for reason in reasons)])
    (kit.DEV / "peers.md").write_text(text + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
