"""TLS with the user's own ssl.SSLContext, after the server's first line and before it."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import natskv
from conftest import Api, Server, run


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for localhost and 127.0.0.1; its key lies beside it."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    path = tmp_path_factory.mktemp("tls") / "cert.pem"
    key = path.with_name("key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


@pytest.fixture(scope="module", params=["upgrade", "first"])
def tls_server(
    request: pytest.FixtureRequest, certificate: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, bool]]:
    is_first = request.param == "first"
    config = f'tls {{ cert_file: "{certificate}", key_file: "{certificate.with_name("key.pem")}"'
    server = Server(tmp_path_factory.mktemp("nats"), config + f", handshake_first: {str(is_first).lower()} }}")
    yield server, is_first
    server.end()


def test_tls(api: Api, tls_server: tuple[Server, bool], certificate: Path, bucket: str) -> None:
    server, is_first = tls_server
    context = ssl.create_default_context(cafile=certificate)

    async def test() -> None:
        for url in (server.url, server.url.replace("nats://127.0.0.1", "tls://localhost")):
            async with await api.connect(url, tls=context, tls_first=is_first) as client:
                kv = await client.create_or_update_key_value(bucket, storage="memory")
                value = b"x" * 900_000  # many TLS records
                await kv.put("k", value)
                assert (await kv.get("k")).value == value
                assert await (await kv.keys()).list() == ["k"]
        async with await api.connect(server.url, tls=context, tls_first=is_first, tls_hostname="localhost"):
            pass

    run(test)


def test_a_certificate_that_is_not_trusted(api: Api, tls_server: tuple[Server, bool]) -> None:
    server, is_first = tls_server

    async def test() -> None:
        with pytest.raises(natskv.TlsError, match="CERTIFICATE_VERIFY_FAILED"):
            await api.connect(server.url, tls=True, tls_first=is_first)

    run(test)


def test_a_certificate_for_another_host(api: Api, tls_server: tuple[Server, bool], certificate: Path) -> None:
    server, is_first = tls_server
    context = ssl.create_default_context(cafile=certificate)

    async def test() -> None:
        with pytest.raises(natskv.TlsError, match="not valid for"):
            await api.connect(server.url, tls=context, tls_first=is_first, tls_hostname="other.example")

    run(test)
