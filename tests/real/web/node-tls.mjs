// TLS in Node: over TCP by node:tls, over WebSocket by the package `ws`; what has to work, and beside it what has to be refused.

import { readFile } from "node:fs/promises";
import { after, before, describe, it } from "node:test";

import { certificates } from "./certificates.mjs";
import { natskv, wanted } from "./dev.mjs";
import { equal, eventually, ok, rejects } from "./expect.mjs";
import { Server } from "./server.mjs";

const TIMEOUT_MS = 60_000;
const { connect, Kvm } = await natskv();
const promise = wanted("promises") ? (name, run) => it(name, { timeout: TIMEOUT_MS }, run) : () => {};

describe("Node over TLS", { timeout: 10 * TIMEOUT_MS }, () => {
  let files;
  /** Servers by the certificate they show, or what else makes them special. */
  const servers = {};
  const block = (...given) => files.block(...given);
  const verify = () => `, ca_file: "${files.path("ca.crt")}", verify: true`;
  const port = (url) => url.split(":").at(-1);
  const trusted = () => ({ caFile: files.path("ca.crt") });

  before(async () => {
    if (!wanted("promises")) {
      return;
    }
    files = await certificates();
    const start = async (name, ...config) => (servers[name] = await Server.start(...config));
    await Promise.all([
      ...["server", "other", "expired"].map((name) => start(name, block(name), block(name))),
      start("verifying", block("server", verify()), block("server", verify())),
      start("first", block("server", ", handshake_first: true")),
      start("plain"),
    ]);
  });

  after(async () => {
    await Promise.all(Object.values(servers).map((server) => server.end()));
    await files?.end();
  });

  /** Writes and reads through a new connection. */
  async function works(options, name = "localhost") {
    const nc = await connect(options);
    try {
      const kv = await new Kvm(nc).create("tls", { storage: "memory" });
      const value = "x".repeat(200_000); // several records
      await kv.put("a", value);
      equal((await kv.get("a")).string() === value, true, name);
    } finally {
      await nc.close();
    }
  }

  const transports = { "tls://": (server) => `tls://localhost:${port(server.nats)}`, "wss://": (server) => `wss://localhost:${port(server.ws)}` };
  for (const [scheme, url] of Object.entries(transports)) {
    promise(`${scheme} with an authority of one's own, as a file and as text`, async () => {
      const ca = await readFile(files.path("ca.crt"));
      for (const tls of [trusted(), { ca }, { ca: ca.toString() }, { ca: [ca] }]) {
        await works({ servers: url(servers.server), tls });
      }
      await works({ servers: url(servers.server).replace("localhost", "127.0.0.1"), tls: trusted() });
    });

    promise(`${scheme}: what does not match is named`, async () => {
      await rejects(connect({ servers: url(servers.server), tls: {} }), "TLS", "authorities", "tls.ca");
      await rejects(connect({ servers: url(servers.server), tls: { caFile: files.path("stranger.crt") } }), "TLS", "authorities");
      await rejects(connect({ servers: url(servers.other), tls: trusted() }), "TLS", "localhost", "other.example");
      await rejects(connect({ servers: url(servers.other).replace("localhost", "127.0.0.1"), tls: trusted() }), "TLS", "127.0.0.1");
      await rejects(connect({ servers: url(servers.expired), tls: trusted() }), "TLS", "expired");
    });

    promise(`${scheme}: a client certificate`, async () => {
      const client = (name) => ({ ...trusted(), certFile: files.path(`${name}.crt`), keyFile: files.path(`${name}.key`) });
      await works({ servers: url(servers.verifying), tls: client("client") });
      const [cert, key] = await Promise.all(["crt", "key"].map((end) => readFile(files.path(`client.${end}`))));
      await works({ servers: url(servers.verifying), tls: { ...trusted(), cert, key: key.toString() } });
      for (const tls of [trusted(), client("intruder")]) {
        await rejects(connect({ servers: url(servers.verifying), tls }), "TLS", "client certificate");
      }
    });

    promise(`${scheme}: files that are not there or make no sense`, async () => {
      const servers_ = url(servers.server);
      await rejects(connect({ servers: servers_, tls: { caFile: "/none/ca.pem" } }), "TLS", "tls.caFile", "/none/ca.pem");
      await rejects(connect({ servers: servers_, tls: { ...trusted(), cert: "no PEM", key: "no PEM" } }), "TLS");
      await rejects(connect({ servers: servers_, tls: "ca.pem" }), "INVALID_ARGUMENT", "tls");
    });
  }

  promise("a server that requires TLS gets it, whatever the URL says", async () => {
    await works({ servers: servers.server.nats, tls: trusted() });
    await rejects(connect({ servers: servers.server.nats }), "TLS", "authorities");
  });

  promise("a server that has no TLS is refused where TLS is demanded", async () => {
    await rejects(connect({ servers: servers.plain.nats, tls: {} }), "TLS", "does not offer");
    await rejects(connect({ servers: servers.plain.nats.replace("nats:", "tls:") }), "TLS", "does not offer");
    await rejects(connect({ servers: servers.plain.ws, tls: {} }), "INVALID_ARGUMENT", "wss://");
    await rejects(connect({ servers: servers.plain.ws.replace("ws:", "wss:"), tls: {} }), "TLS", "clear");
  });

  promise("TLS first, and without it", async () => {
    const tls = { ...trusted(), handshakeFirst: true };
    await works({ servers: `tls://localhost:${port(servers.first.nats)}`, tls });
    await rejects(connect({ servers: servers.first.nats, tls: trusted(), timeout: 500 }), "CONNECT_FAILED", "handshake_first");
    await rejects(connect({ servers: servers.server.nats, tls }), "TLS", "handshake_first");
    await rejects(connect({ servers: servers.first.nats.replace("127.0.0.1", "localhost"), tls: { handshakeFirst: true } }), "TLS", "authorities");
  });

  promise("a watch lives on over TLS when the server is killed and comes back", async () => {
    const server = servers.server;
    const nc = await connect({ servers: transports["tls://"](server), tls: trusted() });
    try {
      const kv = await new Kvm(nc).create("tls-restart", { storage: "file" });
      const watch = await kv.watch();
      await kv.put("a", "1");
      equal((await watch.next()).value.revision, 1);
      await server.kill();
      await server.run();
      await eventually(() => kv.put("b", "2").then(() => true, () => false), "a write after the restart", 20_000);
      ok((await watch.next()).value.key === "b");
    } finally {
      await nc.close();
    }
  });
});
