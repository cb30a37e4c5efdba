"""The interpreter and nothing else, or with an idle event loop (`loop`): how much memory that takes."""

import sys

if sys.argv[2:3] == ["loop"]:
    import asyncio

    asyncio.run(asyncio.sleep(0))
with open("/proc/self/status") as status:
    print("result peak_kb=" + next(line.split()[1] for line in status if line.startswith("VmHWM")))
