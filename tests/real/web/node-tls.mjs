// TLS in Node: over TCP by node:tls, over WebSocket by the package `ws`; what has to work, and beside it what has to be refused.

import { readFile } from "node:fs/promises";
import { after, before, describe, it } from "node:test";

import { natskv, wanted } from "./dev.mjs";
import { equal, eventually, ok, rejects } from "./expect.mjs";
import { Proof } from "./proof.mjs";

const TIMEOUT_MS = 60_000;
const KINDS = ["open", "tls", "tls-first", "tls-auto", "mtls", "tls-name-only", "tls-wrong-name", "tls-expired", "tls-unknown-ca"];
const { connect, Kvm } = await natskv();
const promise = wanted("promises") ? (name, run) => it(name, { timeout: TIMEOUT_MS }, run) : () => {};

describe("Node over TLS", { timeout: 10 * TIMEOUT_MS }, () => {
  const proofs = {};
  const trusted = (kind = "tls") => ({ caFile: proofs[kind].ca });

  before(async () => {
    if (wanted("promises")) {
      await Promise.all(KINDS.map(async (kind) => (proofs[kind] = await Proof.start(kind))));
    }
  });

  after(() => Promise.all(Object.values(proofs).map((proof) => proof.end())));

  /** Writes and reads through a new connection. */
  async function works(options) {
    const nc = await connect(options);
    try {
      const kv = await new Kvm(nc).create("tls", { storage: "memory" });
      const value = "x".repeat(200_000); // several records
      await kv.put("a", value);
      ok((await kv.get("a")).string() === value, "the value is another");
    } finally {
      await nc.close();
    }
  }

  for (const [scheme, field] of [["tls://", "url"], ["wss://", "ws_url"]]) {
    const url = (kind) => proofs[kind][field];

    promise(`${scheme} with an authority of one's own, as a file and as text`, async () => {
      const ca = await readFile(proofs.tls.ca);
      for (const tls of [trusted(), { ca }, { ca: ca.toString() }, { ca: [ca] }]) {
        await works({ servers: url("tls"), tls });
      }
      await works({ servers: url("tls").replace("localhost", "127.0.0.1"), tls: trusted() });
      await works({ servers: url("tls-name-only"), tls: trusted("tls-name-only") });
    });

    promise(`${scheme}: what does not match is named`, async () => {
      await rejects(connect({ servers: url("tls"), tls: {} }), "TLS", "authorities", "tls.ca");
      await rejects(connect({ servers: url("tls"), tls: { caFile: proofs.tls.other_ca } }), "TLS", "authorities");
      await rejects(connect({ servers: url("tls-unknown-ca"), tls: trusted("tls-unknown-ca") }), "TLS", "authorities");
      await rejects(connect({ servers: url("tls-wrong-name"), tls: trusted("tls-wrong-name") }), "TLS", "localhost", "altnames");
      await rejects(connect({ servers: url("tls-name-only").replace("localhost", "127.0.0.1"), tls: trusted("tls-name-only") }), "TLS", "127.0.0.1");
      await rejects(connect({ servers: url("tls-expired"), tls: trusted("tls-expired") }), "TLS", "expired");
    });

    promise(`${scheme}: a client certificate`, async () => {
      const { client, other_client: stranger } = proofs.mtls;
      const files = ({ certificate, key }) => ({ ...trusted("mtls"), certFile: certificate, keyFile: key });
      await works({ servers: url("mtls"), tls: files(client) });
      const [cert, key] = await Promise.all([client.certificate, client.key].map((file) => readFile(file)));
      await works({ servers: url("mtls"), tls: { ...trusted("mtls"), cert, key: key.toString() } });
      for (const tls of [trusted("mtls"), files(stranger)]) {
        await rejects(connect({ servers: url("mtls"), tls }), "TLS", "client certificate");
      }
    });

    promise(`${scheme}: files that are not there or make no sense`, async () => {
      const servers = url("tls");
      await rejects(connect({ servers, tls: { caFile: "/none/ca.pem" } }), "TLS", "tls.caFile", "/none/ca.pem");
      await rejects(connect({ servers, tls: { ...trusted(), cert: "no PEM", key: "no PEM" } }), "TLS");
      await rejects(connect({ servers, tls: "ca.pem" }), "INVALID_ARGUMENT", "tls");
    });
  }

  promise("a server that requires TLS gets it, whatever the URL says", async () => {
    const servers = proofs.tls.url.replace("tls:", "nats:");
    await works({ servers, tls: trusted() });
    await rejects(connect({ servers }), "TLS", "authorities");
  });

  promise("a server that has no TLS is refused where TLS is demanded", async () => {
    const { url, ws_url: wsUrl } = proofs.open;
    await rejects(connect({ servers: url, tls: {} }), "TLS", "does not offer");
    await rejects(connect({ servers: url.replace("nats:", "tls:") }), "TLS", "does not offer");
    await rejects(connect({ servers: wsUrl, tls: {} }), "INVALID_ARGUMENT", "wss://");
    await rejects(connect({ servers: wsUrl.replace("ws:", "wss:"), tls: {} }), "TLS", "clear");
  });

  promise("TLS first, and without it", async () => {
    const first = (kind) => ({ ...trusted(kind), handshakeFirst: true });
    await works({ servers: proofs["tls-first"].url, tls: first("tls-first") });
    await works({ servers: proofs["tls-auto"].url, tls: first("tls-auto") });
    await works({ servers: proofs["tls-auto"].url, tls: trusted("tls-auto") });
    await rejects(connect({ servers: proofs["tls-first"].url, tls: trusted("tls-first"), timeout: 500 }), "CONNECT_FAILED", "handshake_first");
    await rejects(connect({ servers: proofs.tls.url, tls: first("tls") }), "TLS", "handshake_first");
    await rejects(connect({ servers: proofs["tls-first"].url, tls: { handshakeFirst: true } }), "TLS", "authorities");
  });

  promise("a watch lives on over TLS when the server is killed and comes back", async () => {
    const nc = await connect({ servers: proofs.tls.url, tls: trusted() });
    try {
      const kv = await new Kvm(nc).create("tls-restart", { storage: "file" });
      const watch = await kv.watch();
      await kv.put("a", "1");
      equal((await watch.next()).value.revision, 1);
      await proofs.tls.tell("restart");
      await eventually(() => kv.put("b", "2").then(() => true, () => false), "a write after the restart", 20_000);
      equal((await watch.next()).value.key, "b");
    } finally {
      await nc.close();
    }
  });
});
