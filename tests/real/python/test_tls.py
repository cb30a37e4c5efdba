"""TLS with the user's own ssl.SSLContext, after the server's first line and before it: only what fits gets in."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import natskv
from conftest import Api, run
from nats_server import Server

HERE = "DNS:localhost,IP:127.0.0.1"


@dataclass(frozen=True)
class Certificates:
    """`<name>.pem` and `<name>.key`, made for these tests: two authorities, and what they signed."""

    folder: Path

    def server(self, name: str, more: str = "") -> str:
        """The `tls` block of a server with this certificate."""
        files = f'cert_file: "{self.folder / name}.pem", key_file: "{self.folder / name}.key"'
        return f'tls {{ {files}, ca_file: "{self.folder}/authority.pem", {more} }}'

    def context(self, client: str | None = None) -> ssl.SSLContext:
        """Trust in the authority; with the client certificate of this name, if any."""
        context = ssl.create_default_context(cafile=self.folder / "authority.pem")
        if client is not None:
            context.load_cert_chain(self.folder / f"{client}.pem", self.folder / f"{client}.key")
        return context

    def make_authority(self, name: str) -> None:
        self._openssl(
            f"req -x509 -days 2 -subj /CN={name} -out {name}.pem", *self._key(name), "-addext", "keyUsage=keyCertSign"
        )

    def make(self, name: str, alternative_names: str, by: str = "authority", days: int = 2) -> None:
        self._openssl(f"req -subj /CN={name} -out {name}.csr", *self._key(name))
        (self.folder / "extensions").write_text(f"subjectAltName={alternative_names}\n")
        signer = f"-CA {by}.pem -CAkey {by}.key -extfile extensions -days {days}"
        self._openssl(f"x509 -req -in {name}.csr -out {name}.pem {signer}")

    def _key(self, name: str) -> list[str]:
        return f"-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key".split()

    def _openssl(self, command: str, *more: str) -> None:
        subprocess.run(["openssl", *command.split(), *more], check=True, capture_output=True, cwd=self.folder)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make certificates with")
    made = Certificates(tmp_path_factory.mktemp("tls"))
    made.make_authority("authority")
    made.make_authority("stranger")
    made.make("server", HERE)
    made.make("elsewhere", "DNS:elsewhere.example")
    made.make("expired", HERE, days=-1)
    made.make("client", "DNS:client")
    made.make("foreign", "DNS:client", by="stranger")
    return made


@dataclass(frozen=True)
class Site:
    """Servers with one certificate each, started when they are first asked for; all greet in the same order."""

    is_first: bool
    certificates: Certificates
    folders: pytest.TempPathFactory
    servers: dict[str, Server]

    def __getitem__(self, name: str) -> Server:
        if name not in self.servers:
            certificate, _, more = name.partition(" ")
            first = f"handshake_first: {str(self.is_first).lower()}, {more}"
            self.servers[name] = Server(self.folders.mktemp("nats"), self.certificates.server(certificate, first))
        return self.servers[name]


@pytest.fixture(scope="module", params=["upgrade", "first"])
def site(
    request: pytest.FixtureRequest, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    site = Site(request.param == "first", certificates, tmp_path_factory, {})
    yield site
    for server in site.servers.values():
        server.kill()


def test_tls(api: Api, site: Site, certificates: Certificates, bucket: str) -> None:
    server = site["server"]

    async def test() -> None:
        options: Any = {"tls": certificates.context(), "tls_first": site.is_first}
        for url in (server.url, server.url.replace("nats://127.0.0.1", "tls://localhost")):
            async with await api.connect(url, **options) as client:
                kv = await client.create_or_update_key_value(bucket, storage="memory")
                value = b"x" * 900_000  # many TLS records
                await kv.put("k", value)
                assert (await kv.get("k")).value == value
                assert await (await kv.keys()).list() == ["k"]
        async with await api.connect(server.url, tls_hostname="localhost", **options):
            pass

    run(test)


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "unknown authority": ("server", {"tls": True}, "unable to get local issuer certificate.*trusts the server's CA"),
    "wrong name": (
        "server",
        {"tls_hostname": "other.example"},
        "not valid for 'other.example'.*`tls_hostname` its name",
    ),
    "wrong host": ("elsewhere", {}, "IP address mismatch, certificate is not valid for '127.0.0.1'"),
    "expired": ("expired", {}, "certificate has expired"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_server_that_does_not_match(api: Api, site: Site, certificates: Certificates, case: str) -> None:
    certificate, options, says = REFUSED[case]
    server = site[certificate]

    async def test() -> None:
        given = {"tls": certificates.context(), "tls_first": site.is_first, **options}
        with pytest.raises(natskv.TlsError, match=rf"{server.url}: TLS: .*{says}"):
            await api.connect(server.url, **given)
        connections = server.ask("/connz")["connections"]
        assert [connection for connection in connections if connection.get("lang") == "python"] == []

    run(test)


def test_the_name_that_does_match(api: Api, site: Site, certificates: Certificates) -> None:
    async def test() -> None:
        options: Any = {"tls": certificates.context(), "tls_first": site.is_first}
        async with await api.connect(site["elsewhere"].url, tls_hostname="elsewhere.example", **options) as client:
            assert client.state == "connected"

    run(test)


def test_client_certificates(api: Api, site: Site, certificates: Certificates) -> None:
    async def test() -> None:
        server = site["server verify: true"]
        options: Any = {"tls_first": site.is_first, "connect_timeout": 2}
        async with await api.connect(server.url, tls=certificates.context("client"), **options) as client:
            assert client.state == "connected"
        with pytest.raises(natskv.TlsError, match="asks for a client certificate"):
            await api.connect(server.url, tls=certificates.context(), **options)
        # With asyncio, a write that finds the connection gone may come before what the server said last is read.
        says = "does not trust the CA of the client certificate|broken connection"
        with pytest.raises(natskv.NatsConnectionError, match=says):
            await api.connect(server.url, tls=certificates.context("foreign"), **options)

    run(test)


def test_the_wrong_order_is_explained(api: Api, site: Site, certificates: Certificates) -> None:
    async def test() -> None:
        options: Any = {"tls": certificates.context(), "tls_first": not site.is_first, "connect_timeout": 0.5}
        says = "handshake_first needs tls_first" if site.is_first else "wants no `tls_first`"
        with pytest.raises(natskv.NatsConnectionError, match=says):
            await api.connect(site["server"].url, **options)

    run(test)


def test_tls_is_never_left_out(api: Api, tmp_path: Path, certificates: Certificates) -> None:
    async def test() -> None:
        for url in (server.url, server.url.replace("nats://", "tls://")):
            with pytest.raises(natskv.TlsError, match="the server does not offer it"):
                await api.connect(url, tls=certificates.context())
        with pytest.raises(natskv.TlsError, match="wants no `tls_first`"):
            await api.connect(server.url, tls=certificates.context(), tls_first=True)

    server = Server(tmp_path)
    try:
        run(test)
    finally:
        server.kill()


def test_a_reconnect_checks_again(api: Api, tmp_path: Path, site: Site, certificates: Certificates) -> None:
    async def test() -> None:
        events: list[natskv.StatusEvent] = []
        options: Any = {"tls": certificates.context(), "tls_first": site.is_first, "on_status": events.append}
        expired = site["expired"].url
        pool = [server.url, expired, expired.replace("127.0.0.1", "localhost")]
        async with await api.connect(pool, randomize_servers=False, max_reconnects=2, **options) as client:
            server.kill()
            with pytest.raises(natskv.KeyValueError):
                await client.flush(timeout=10)
            assert client.state == "closed"
        assert isinstance(events[-1].error, natskv.TlsError) and "expired" in events[-1].message

    first = f"handshake_first: {str(site.is_first).lower()}"
    server = Server(tmp_path, certificates.server("server", first))
    try:
        run(test)
    finally:
        server.kill()
