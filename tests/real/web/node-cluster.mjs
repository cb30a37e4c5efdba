// Clusters in Node: servers that are learnt of, one that shuts down, and users who may not do all.

import { describe, it } from "node:test";

import { natskv, wanted } from "./dev.mjs";
import { equal, eventually, ok, rejects } from "./expect.mjs";
import { Proof } from "./proof.mjs";

const TIMEOUT_MS = 60_000;
const { connect, Kvm } = await natskv();
const promise = wanted("promises") ? (name, run) => it(name, { timeout: TIMEOUT_MS }, run) : () => {};

/** Runs with servers of a kind. */
async function proven(kinds, run) {
  const proof = await Proof.start(...kinds);
  try {
    await run(proof);
  } finally {
    await proof.end();
  }
}

describe("Node and more than one server", { timeout: 10 * TIMEOUT_MS }, () => {
  // The certificates are for the name alone, and the servers tell each other's addresses: the name of the first goes for all.
  for (const [name, kinds, field, first] of [
    ["nats://", [], "url"],
    ["ws://", [], "ws_url"],
    ["tls://", ["tls-name-only"], "url"],
    ["tls://, TLS first", ["tls-name-only", "tls-first"], "url", true],
    ["wss://", ["tls-name-only"], "ws_url"],
  ]) {
    promise(`${name}: a server that it learnt of takes the place of one that is gone`, () =>
      proven(["cluster", ...kinds], async (proof) => {
        const told = [];
        const tls = proof.ca ? { caFile: proof.ca, ...(first && { handshakeFirst: true }) } : null;
        const nc = await connect({ servers: proof[field], tls, onStatus: (status) => told.push(status) });
        const before = nc.info.server_name;
        equal(before, "n0");
        await eventually(() => (nc.info.connect_urls ?? []).length === 3, "all three known"); // to each the addresses of its own kind
        await proof.tell("kill 0");
        await eventually(() => told.some(({ type }) => type === "reconnect"), `another server: ${told.map(({ type, error }) => `${type} ${error?.message}`)}`, 10_000);
        await nc.flush();
        ok(nc.info.server_name !== before);
        await nc.close();
      }));
  }

  promise("a server that shuts down is left before it closes, and nothing in flight is lost", () =>
    proven(["cluster"], async (proof) => {
      const told = [];
      const nc = await connect({ servers: proof.urls, onStatus: ({ type, server }) => told.push(`${type} ${server}`) });
      const kv = await eventually(() => new Kvm(nc).create("duck", { replicas: 3, storage: "memory" }).catch(() => false), "a cluster that is ready", 20_000);
      const [before, server] = [nc.info.server_name, nc.getServer()];
      const watch = await kv.watch();
      let isOver = false;
      const writing = (async () => {
        const written = [];
        while (!isOver) {
          written.push(await kv.put(`k${written.length % 10}`, "x"));
        }
        return written;
      })();
      await proof.tell(`lame-duck ${before.slice(1)}`);
      await eventually(() => told.some((change) => change.startsWith("reconnect ")), `moved away: ${told}`, (proof.grace + 5) * 1000);
      isOver = true;
      const written = await writing;
      ok(told.includes(`ldm ${server}`), told.join());
      ok(nc.info.server_name !== before, "another server");
      for (let last = 0; last < written.at(-1); ) {
        const { revision } = (await watch.next()).value;
        ok(revision > last, `revision ${revision} after ${last}`);
        last = revision;
      }
      watch.stop();
      await nc.close();
    }));

  promise("who may not, hears of it at once, with the subject", () =>
    proven(["permissions"], async (proof) => {
      const as = async (user, options) => {
        const { password: pass } = proof.credential(user);
        const nc = await connect({ servers: proof.url, user, pass, ...options });
        return { nc, kvm: new Kvm(nc) };
      };
      const admin = await as("admin");
      const full = await admin.kvm.create(proof.bucket, { storage: "memory", history: 3 });
      await full.put("pub.a", "1");
      const [reader, writer, inbox] = await Promise.all([as("reader"), as("writer"), as("inbox", { inboxPrefix: "_INBOX_inbox" })]);
      const reads = async ({ kvm }) => {
        const kv = await kvm.open(proof.bucket, { check: true });
        equal((await kv.get("pub.a")).string(), "1");
        equal((await (await kv.keys()).next()).value, "pub.a");
        const watch = await kv.watch();
        equal((await watch.next()).value.key, "pub.a");
        watch.stop();
        equal((await kv.getMany(["pub.a", "none"])).size, 1);
        return kv;
      };
      const start = performance.now();
      await rejects((await reads(reader)).put("pub.a", "2"), "PERMISSION", `$KV.${proof.bucket}.pub.a`);
      ok(performance.now() - start < 2000, "at once");
      for (const who of [writer, inbox]) {
        const kv = await reads(who);
        await kv.put("b", "2");
        await kv.delete("b");
        await kv.purgeDeletes(0);
        equal((await kv.putMany({ c: "3" })).get("c") > 0, true);
        await kv.purge("c");
      }
      const wrong = await as("inbox").catch((error) => error);
      const error = wrong instanceof Error ? wrong : await rejects((await wrong.kvm.open(proof.bucket)).get("pub.a"), "PERMISSION");
      ok(error.message.includes("_INBOX"), error.message);
      await Promise.all([admin, reader, writer, inbox, wrong].map(({ nc }) => nc?.close()));
    }));
});
