"""The interpreter and nothing else, or with an idle event loop (`loop=asyncio`, `loop=uvloop`): its memory."""

import sys

match sys.argv[-1]:
    case "loop=asyncio":
        import asyncio

        asyncio.run(asyncio.sleep(0))
    case "loop=uvloop":
        import asyncio

        import uvloop

        uvloop.run(asyncio.sleep(0))
with open("/proc/self/status") as status:
    print("result peak_kb=" + next(line.split()[1] for line in status if line.startswith("VmHWM")))
