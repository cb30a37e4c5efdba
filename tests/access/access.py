"""natskv for Python at the doors that `cargo xtask test access` tries: `access.py asyncio` or `access.py blocking`.

Reads a door a line, knocks, and answers with a line: the code, and all that the client shows of itself. Asks with
`{"sign": nonce}` where a signature is to come from elsewhere.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import ssl
import sys
import traceback
from typing import Any

import natskv
import natskv.sync

TEXTS = ("user", "password", "token", "nkey_seed", "tls_hostname", "inbox_prefix")


def hear() -> Any:
    """The next line, None at the end."""
    return json.loads(sys.stdin.readline() or "null")


def tell(**answer: Any) -> None:
    """Says a line."""
    print(json.dumps(answer), flush=True)


def sign(nonce: bytes) -> bytes:
    """Has somebody else sign."""
    tell(sign=nonce.decode())
    return bytes.fromhex(hear()["signature"])


def options(door: dict[str, Any]) -> dict[str, Any]:
    """What `connect` takes."""
    given = {name: door[name] for name in TEXTS if name in door}
    if "jwt" in door or door.get("sign"):
        fields = {name: door[name] for name in ("jwt", "nkey", "nkey_seed") if name in door}
        given.pop("nkey_seed", None)
        given["credentials"] = natskv.Credentials(**fields, sign=sign if door.get("sign") else None)
    if "creds" in door:
        given["credentials"] = door["creds"]
    if "ca" in door:
        given["tls"] = context = ssl.create_default_context(cafile=door["ca"])
        if "certificate" in door:
            context.load_cert_chain(door["certificate"], door["key"])
    elif door.get("tls"):
        given["tls"] = True
    return given | {"tls_first": door.get("tls_first", False)}


async def knock(door: dict[str, Any], shown: list[object]) -> None:
    """Connects, writes and reads."""
    given = options(door)
    shown.append(given.get("credentials"))
    async with natskv.connect(door["url"], on_status=shown.append, **given) as client:
        shown.extend([client, client.stats, client.server_info, client.connected_url])
        name = door.get("bucket", "access")
        opening = client.key_value(name) if door.get("opens") else client.create_key_value(name, storage="memory")
        kv = await opening
        await kv.put("k", b"v")
        assert (await kv.get("k")).value == b"v"


def knock_blocking(door: dict[str, Any], shown: list[object]) -> None:
    """The same."""
    given = options(door)
    shown.append(given.get("credentials"))
    with natskv.sync.connect(door["url"], on_status=shown.append, **given) as client:
        shown.extend([client, client.stats, client.server_info, client.connected_url])
        name = door.get("bucket", "access")
        kv = client.key_value(name) if door.get("opens") else client.create_key_value(name, storage="memory")
        kv.put("k", b"v")
        assert kv.get("k").value == b"v"


def main() -> None:
    """Until there are no more doors."""
    log = io.StringIO()
    logging.basicConfig(level=logging.DEBUG, stream=log)
    while door := hear():
        shown: list[object] = []
        code = "OK"
        try:
            if sys.argv[1] == "asyncio":
                asyncio.run(knock(door, shown), debug=True)
            else:
                knock_blocking(door, shown)
        except natskv.KeyValueError as error:
            code = error.code
            shown += [error, repr(error), error.to_json(), *traceback.format_exception(error)]
        tell(code=code, shown=" ".join([*map(str, shown), *map(repr, shown), log.getvalue()]))
        log.seek(0)
        log.truncate()


main()
