"""Getting in, and being kept out: all kinds of credentials, right and wrong ones, over TCP, TLS and WebSocket."""

from __future__ import annotations

import asyncio
import base64
import io
import logging
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from proof import Proof, proof

import natskv
import natskv.sync
from conftest import Api, run

KINDS = ["users", "token", "nkey", "jwt", "jwt tls", "nkey wss", "users tls-first"]
SECRETS = ("password", "token", "nkey_seed", "jwt", "creds_text")


@pytest.fixture(scope="module", params=KINDS)
def door(request: pytest.FixtureRequest) -> Iterator[Proof]:
    with proof(*request.param.split()) as server:
        yield server


@pytest.fixture(autouse=True)
def told() -> Iterator[io.StringIO]:
    """The log, in full."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    logger = logging.getLogger("natskv")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield text
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def spellings(way: dict[str, Any], api: Api, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every way in which a user can give these credentials."""
    known = ("user", "password", "token", "nkey_seed", "jwt")
    given = {name: way[name] for name in known if name in way}
    if "jwt" not in way:
        yield "options", given
    yield "Credentials", {"credentials": natskv.Credentials(**given)}
    for name, answer in callbacks(natskv.Credentials(**given), api):
        yield f"a callback that gives Credentials, {name}", {"credentials_callback": answer}
    yield "a callback that gives a mapping", {"credentials_callback": lambda reason: given}
    if "nkey_seed" in way:
        who = {"jwt": way["jwt"]} if "jwt" in way else {"nkey": way["nkey"]}
        for name, signer in signers(way["nkey_seed"], api, folder):
            yield f"a signer, {name}", {"credentials": natskv.Credentials(**who, sign=signer)}
            signed = {**who, "sign": signer}
            yield f"a signer from a callback, {name}", {"credentials_callback": lambda reason, to=signed: to}
    if "creds" in way:
        mine = folder / "my.creds"
        mine.write_text(way["creds_text"])
        yield "a path", {"credentials": way["creds"]}
        yield "a Path", {"credentials": mine}
        yield "text", {"credentials": way["creds_text"]}
        for name, answer in callbacks(way["creds"], api):
            yield f"a callback that gives a path, {name}", {"credentials_callback": answer}
        for name, answer in callbacks(way["creds_text"], api):
            yield f"a callback that gives text, {name}", {"credentials_callback": answer}


def callbacks(answer: Any, api: Api) -> Iterator[tuple[str, Callable[[str], Any]]]:
    async def later(reason: str) -> Any:
        await asyncio.sleep(0)
        return answer

    yield "a function", lambda reason: answer
    if api.name == "asyncio":
        yield "a coroutine function", later


def signers(seed: str, api: Api, folder: Path) -> Iterator[tuple[str, Callable[[bytes], Any]]]:
    """Who signs without natskv: openssl, with the key that the seed's text holds."""
    raw = base64.b32decode(seed + "=" * (-len(seed) % 8))[2:34]
    key, nonce_file = folder / "key.der", folder / "nonce"
    key.write_bytes(bytes.fromhex("302e020100300506032b657004220420") + raw)

    def sign(nonce: bytes) -> bytes:
        nonce_file.write_bytes(nonce)
        command: list[str | Path] = ["openssl", "pkeyutl", "-sign", "-keyform", "DER", "-inkey", key]
        command += ["-rawin", "-in", nonce_file]
        return subprocess.run(command, check=True, capture_output=True).stdout

    async def later(nonce: bytes) -> bytes:
        return await asyncio.to_thread(sign, nonce)

    yield "a function", sign
    if api.name == "asyncio":
        yield "a coroutine function", later


def keeps_secrets(way: dict[str, Any], *texts: str) -> None:
    for name in SECRETS:
        for text in texts:
            assert not way.get(name) or way[name] not in text, f"{name} is told in {text}"


def test_each_kind(api: Api, door: Proof, told: io.StringIO, tmp_path: Path) -> None:
    async def tried(url: str, way: dict[str, Any], spelling: str, options: dict[str, Any]) -> None:
        try:
            client = await api.connect(url, **options, **door.tls_for(url))
        except natskv.AuthenticationError as error:
            assert not way["accepted"], f"{spelling}: {error}"
            shown = "".join(traceback.format_exception(error))
            keeps_secrets(way, shown, repr(error), error.to_json())
        else:
            async with client:
                assert way["accepted"], f"{spelling}: {way['as']} got in"
                assert await client.rtt() > 0
                keeps_secrets(way, repr(client), client.connected_url, str(client.server_info), str(client.stats))

    async def test() -> None:
        for way in door.credentials:
            for number, (spelling, options) in enumerate(spellings(way, api, tmp_path)):
                for url in (door.url, door.ws_url) if number == 0 else (door.url,):
                    await tried(url, way, f"{way['as']}, {spelling}, {url}", options)
            keeps_secrets(way, told.getvalue())

    run(test, within=120)


def test_a_url_says_it_too(api: Api) -> None:
    async def test() -> None:
        with proof("users") as server:
            secret = "p%40ss%2Fw%C3%B6rd%3A%2541%20%231"
            url = server.url.replace("nats://", f"nats://alice:{secret}@")
            async with await api.connect(url, token="nobody takes this") as client:
                assert client.connected_url == server.url and secret not in repr(client)
            with pytest.raises(natskv.AuthenticationError) as refused:
                await api.connect(url.replace(secret, "wrong-secret"))
            assert "wrong-secret" not in str(refused.value) + repr(refused.value)

    run(test)


def test_what_makes_no_sense_is_refused(api: Api, tmp_path: Path) -> None:
    nowhere = "nats://127.0.0.1:9"
    bad = tmp_path / "bad.creds"
    bad.write_text("secret-text")
    binary = tmp_path / "binary.creds"
    binary.write_bytes(b"\xff\xfe")
    cases: list[tuple[dict[str, Any], str]] = [
        ({"user": "u", "token": "secret-text"}, "user and token exclude each other"),
        ({"password": "secret-text"}, "a user is needed"),
        ({"nkey_seed": "SUsecret-text"}, "nkey seed"),
        ({"password": 5, "user": "u"}, "password: expected str, not int"),
        ({"token": b"secret-text"}, "token: expected str, not bytes"),
        ({"credentials": "nowhere/my.creds"}, "credentials 'nowhere/my.creds': No such file"),
        ({"credentials": bad}, "neither a JWT nor a seed"),
        ({"credentials": "secret-text\nsecret-text"}, "neither a JWT nor a seed"),
        ({"credentials": binary}, "not UTF-8 text"),
        ({"credentials": tmp_path}, "Is a directory"),
        ({"credentials": bad, "user": "u"}, "exclude each other"),
        ({"credentials": 5}, "credentials: expected"),
        ({"credentials": natskv.Credentials(user="u"), "token": "secret-text"}, "option token"),
        ({"credentials": natskv.Credentials(nkey="UNONSENSE", sign=bytes)}, "nkey"),
        ({"credentials": natskv.Credentials(sign=bytes)}, "an nkey or a JWT"),
        ({"credentials_callback": "secret-text"}, "a function is called, not str"),
        ({"credentials_callback": print, "user": "u"}, "not both"),
    ]

    async def test() -> None:
        for options, says in cases:
            with pytest.raises(natskv.InvalidArgumentError, match=says) as refused:
                await api.connect(nowhere, **options)
            assert "secret-text" not in str(refused.value) + "".join(traceback.format_exception(refused.value))

    run(test)


def test_callbacks_that_fail(api: Api) -> None:
    def fail(reason: str) -> Any:
        raise OSError("the vault is closed")

    async def never(reason: str) -> None:
        await asyncio.sleep(60)

    async def coroutine(reason: str) -> None:
        return None

    def callbackless() -> None:
        raise AssertionError("called")

    cases: list[tuple[Callable[..., Any], str]] = [
        (fail, "credentials_callback: OSError: the vault is closed"),
        (lambda reason: 5, "expected natskv.Credentials, a mapping, a path or text, not int"),
        (lambda reason: {"pass": "secret-text"}, "'pass' is unknown; known are .*password"),
        (lambda reason: {"user": 5}, "user: expected str, not int"),
        (lambda reason: {"user": "u", "token": "secret-text"}, "exclude each other"),
        (lambda reason: Path("nowhere/my.creds"), "No such file"),
        (callbackless, "takes 0 positional arguments"),
    ]
    if api.name == "blocking":
        cases.append((coroutine, "natskv.sync calls plain functions"))

    async def test() -> None:
        with proof("users") as server:
            for callback, says in cases:
                with pytest.raises(natskv.KeyValueError, match=says) as refused:
                    await api.connect(server.url, credentials_callback=callback)
                assert "secret-text" not in str(refused.value)
            slow = never if api.name == "asyncio" else lambda reason: time.sleep(1)
            with pytest.raises(natskv.NatsConnectionError, match="credentials"):
                await api.connect(server.url, credentials_callback=slow, connect_timeout=0.2)

    run(test)


def test_signers_that_fail(api: Api) -> None:
    def fail(nonce: bytes) -> bytes:
        raise OSError("the vault is closed")

    async def test() -> None:
        with proof("nkey") as server:
            nkey = server.credentials[0]["nkey"]
            bad: list[tuple[Callable[[bytes], Any], str]] = [
                (fail, "sign: OSError: the vault is closed"),
                (lambda nonce: b"short", "the 64 bytes of an ed25519 signature, not 5 bytes"),
                (lambda nonce: "text", "not str"),
            ]
            for signer, says in bad:
                with pytest.raises(natskv.AuthenticationError, match=says):
                    await api.connect(server.url, credentials=natskv.Credentials(nkey=nkey, sign=signer))
            with pytest.raises(natskv.AuthenticationError, match="Authorization Violation"):
                await api.connect(server.url, credentials=natskv.Credentials(nkey=nkey, sign=lambda nonce: bytes(64)))

    run(test)


def test_a_repr_shows_no_secret() -> None:
    full = natskv.Credentials(user="u", password="secret-text", jwt="secret-text", credentials="secret-text")
    assert repr(full) == "<Credentials user, password, jwt, credentials>"
    assert repr(natskv.Credentials()) == "<Credentials none>"
    assert full == natskv.Credentials("u", "secret-text", jwt="secret-text", credentials="secret-text")


def test_the_reasons_for_asking(api: Api) -> None:
    async def test() -> None:
        with proof("users") as server:
            right, wrong = server.way("user and password"), server.way("a wrong password")
            reasons: list[str] = []
            threads: set[str] = set()

            def answer(reason: str) -> dict[str, Any]:
                reasons.append(reason)
                threads.add(threading.current_thread().name)
                way = wrong if reason == "first" else right
                return {"user": way["user"], "password": way["password"]}

            events: list[str] = []
            options: Any = {"reconnect_wait": 0.02, "on_status": lambda event: events.append(event.name)}
            async with await api.connect(server.url, credentials_callback=answer, **options) as client:
                assert reasons == ["first", "refused"]
                await asyncio.to_thread(server.tell, "restart")
                await until(lambda: "reconnect" in reasons and client.state == "connected")
                assert await client.rtt() > 0
            assert set(reasons) == {"first", "refused", "reconnect"}
            assert events[-1] == "closed" and events.count("connected") == 2
            assert threads == {"MainThread"} if api.name == "asyncio" else {"natskv-dial"}

    run(test)


def test_a_jwt_that_expires(api: Api) -> None:
    async def test() -> None:
        with proof("jwt") as server:
            reasons: list[str] = []

            def answer(reason: str) -> str:
                reasons.append(reason)
                text: str = server.tell("user 2" if reason == "first" else "user 60")["creds_text"]
                return text

            async with await api.connect(server.url, credentials_callback=answer, reconnect_wait=0.02) as client:
                await until(lambda: "expired" in reasons and client.state == "connected")
                assert reasons == ["first", "expired"] and await client.rtt() > 0

            lost: list[natskv.StatusEvent] = []
            short = server.tell("user 1")["creds_text"]
            options: Any = {"credentials": short, "reconnect_wait": 0.02, "on_status": lost.append}
            client = await api.connect(server.url, **options)
            await closed(lost)
            assert isinstance(lost[-1].error, natskv.AuthenticationError), lost[-1]
            with pytest.raises(natskv.ClosedError):
                await client.flush()
            await client.close()

    run(test)


def test_a_file_is_read_anew(api: Api, tmp_path: Path) -> None:
    async def test() -> None:
        with proof("jwt") as server:
            file = tmp_path / "my.creds"
            file.write_text(server.tell("user 2")["creds_text"])
            async with await api.connect(server.url, credentials=file, reconnect_wait=0.02) as client:
                file.write_text(server.tell("user 60")["creds_text"])
                await reconnected(client)
                assert await client.rtt() > 0

    run(test)


def test_revoked_while_connected(api: Api) -> None:
    async def test() -> None:
        for kind in ("users", "token", "nkey", "jwt"):
            with proof(kind) as server:
                way = server.credentials[0]
                events: list[natskv.StatusEvent] = []
                known = ("user", "password", "token", "nkey_seed", "jwt")
                who = natskv.Credentials(**{name: way[name] for name in known if name in way})
                options: Any = {"reconnect_wait": 0.02, "on_status": events.append}
                client = await api.connect(server.url, credentials=who, **options)
                await asyncio.to_thread(server.tell, "revoke")
                await closed(events)
                assert isinstance(events[-1].error, natskv.AuthenticationError), (kind, events)
                keeps_secrets(way, str(events))
                await client.close()

    run(test)


def test_permissions(api: Api) -> None:
    async def test() -> None:
        with proof("permissions") as server:
            password = server.way("admin")["password"]
            async with await api.connect(server.url, user="admin", password=password) as admin:
                kv = await admin.create_key_value("proof")
                await kv.put("k", b"v")
            async with await api.connect(server.url, user="reader", password=password) as client:
                kv = await client.key_value("proof")
                assert (await kv.get("k")).value == b"v"
                assert await (await kv.keys()).list() == ["k"]
                started = time.monotonic()
                with pytest.raises(PermissionError, match=r"\$KV\.proof\.k") as denied:
                    await kv.put("k", b"w")
                assert isinstance(denied.value, natskv.PermissionDeniedError)
                assert time.monotonic() - started < 2, "it waited for the timeout"
            options: Any = {"user": "inbox", "password": password}
            async with await api.connect(server.url, inbox_prefix="_INBOX_inbox", **options) as client:
                kv = await client.key_value("proof")
                assert await kv.put("k", b"w") > 1
            async with await api.connect(server.url, **options) as client:
                with pytest.raises(natskv.PermissionDeniedError, match="inbox"):
                    await client.key_value("proof")

    run(test)


def test_websocket(api: Api) -> None:
    async def test() -> None:
        for kind in ("open", "wss"):
            with proof(kind) as server:
                assert server.ws_url.startswith("ws://" if kind == "open" else "wss://")
                async with await api.connect(server.ws_url, tls=server.trust()) as client:
                    kv = await client.create_key_value("web", storage="memory")
                    value = bytes(range(256)) * 4000
                    await kv.put("large", value)
                    assert (await kv.get("large")).value == value
                    keys = {f"k.{number}": b"x" * 100 for number in range(2000)}
                    assert all(isinstance(result, int) for result in (await kv.put_many(keys)).values())
                    assert len(await kv.get_many("k.*")) == 2000
                    watcher = await kv.watch("k.*")
                    await asyncio.to_thread(server.tell, "restart")
                    await reconnected(client)
                    assert client.connected_url == server.ws_url
                    await watcher.stop()
                with pytest.raises(natskv.NatsConnectionError):
                    await api.connect(server.url.replace("nats://", "ws://"), connect_timeout=2)
                if kind == "wss":
                    with pytest.raises(natskv.TlsError, match="CERTIFICATE_VERIFY_FAILED"):
                        await api.connect(server.ws_url)
                    with pytest.raises(natskv.TlsError, match=r"not valid for 'other\.example'"):
                        await api.connect(server.ws_url, tls=server.trust(), tls_hostname="other.example")

    run(test)


async def until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < give_up
        await asyncio.sleep(0.02)


async def reconnected(client: Any) -> None:
    await until(lambda: client.stats.reconnects == 1 and client.state == "connected")


async def closed(events: list[natskv.StatusEvent]) -> None:
    await until(lambda: events[-1].name == "closed")
