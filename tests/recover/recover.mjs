// How long a client in Node needs after its server was killed: `recover.mjs natskv|nats.js URL`.
//
// A line on stdin means that the server is gone. The answer, a line of JSON, tells when a get worked again and when a watch delivered
// what was written after it: seconds since 1970, null for never.

import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

import { natskv, tool } from "../real/web/dev.mjs";

const BUCKET = "recover";
const ATTEMPT_MS = 1000;
const PAUSE_MS = 2;
const DEAF_MS = 15_000;

const [, , which, url] = process.argv;
const now = () => (performance.timeOrigin + performance.now()) / 1000;
const tell = (answer) => console.log(JSON.stringify(answer));

async function opened() {
  if (which === "natskv") {
    const { connect, Kvm } = await natskv();
    const nc = await connect({ servers: url });
    return { nc, kv: await new Kvm(nc).create(BUCKET) };
  }
  const { connect } = await tool("@nats-io/transport-node/lib/mod.js");
  const { Kvm } = await tool("@nats-io/kv/lib/mod.js");
  const nc = await connect({ servers: url });
  return { nc, kv: await new Kvm(nc).create(BUCKET) };
}

async function persist(attempt) {
  for (;;) {
    try {
      await Promise.race([attempt(), sleep(ATTEMPT_MS).then(() => Promise.reject(new Error("it takes too long")))]);
      return now();
    } catch {
      await sleep(PAUSE_MS);
    }
  }
}

/** Calls `heard` with each value; gives what ends it. */
async function watch(kv, heard) {
  const updates = await kv.watch({ key: "k" });
  (async () => {
    for await (const entry of updates) {
      heard(entry.string());
    }
  })().catch(() => {});
  return () => updates.stop();
}

const { nc, kv } = await opened();
const seen = new Map();
let arrived = () => {};
const heard = (value) => {
  seen.set(value, now());
  arrived();
};
let stop = await watch(kv, heard);
await kv.put("k", "0");
tell({ ready: true });
for await (const value of createInterface(process.stdin)) {
  const get = await persist(() => kv.get("k"));
  await persist(() => kv.put("k", value));
  const until = now() + DEAF_MS / 1000;
  while (!seen.has(value) && now() < until) {
    await Promise.race([new Promise((resolve) => (arrived = resolve)), sleep(100)]);
  }
  const watched = seen.get(value) ?? null;
  if (watched === null) {
    stop();
    stop = await watch(kv, heard);
  }
  tell({ get, watch: watched });
}
stop();
await nc.close();
