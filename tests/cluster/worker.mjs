// A client of the cluster test in Node, as worker.py says.

import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

import { natskv } from "../real/web/dev.mjs";

const { connect, Kvm } = await natskv();
const [servers, bucket, number] = process.argv.slice(2);
const tell = (...words) => process.stdout.write(`${words.join(" ")}\n`);
const now = () => process.hrtime.bigint();

// What the collector has not come to yet is no leak.
setInterval(() => globalThis.gc?.(), 5000).unref();

const nc = await connect({ servers: servers.split(","), pingInterval: 1000, maxPingOut: 2, requestTimeout: 2000 });
const kv = await new Kvm(nc).open(bucket, { leaderReads: true });
const seen = new Map();
let [last, revision, isStopped, moved] = [Number(number) * 1_000_000, 0, false, () => {}];

async function attempt(key) {
  let start = now();
  let entry;
  try {
    entry = await kv.get(key);
  } catch (error) {
    return tell("failed", start, now(), error.code);
  }
  if (entry?.operation !== "PUT") {
    entry = null;
  }
  tell("read", key, start, now(), entry?.revision ?? 0, entry?.string() ?? 0);
  const [value, expected] = [String(++last), entry?.revision ?? 0];
  start = now();
  try {
    const stored = await (entry ? kv.update(key, value, expected) : kv.create(key, value));
    tell("wrote", key, start, now(), value, stored, expected);
  } catch (error) {
    if (error.maybeApplied) {
      tell("maybe", key, start, now(), value, expected);
    } else if (error.code === "WRONG_REVISION" || error.code === "KEY_EXISTS") {
      tell("refused", key, start, now(), expected, error.revision ?? 0);
    } else {
      tell("failed", start, now(), error.code);
    }
  }
}

async function write() {
  while (!isStopped) {
    await attempt(`k${Math.floor(Math.random() * 6)}`);
    await sleep(2);
  }
}

async function watch() {
  for await (const entry of await kv.watch()) {
    if (entry.revision <= revision) {
      tell("broken", `revision ${entry.revision} after ${revision}`);
    }
    revision = entry.revision;
    seen.set(entry.key, [entry.revision, entry.string()]);
    moved();
  }
}

void watch().catch((error) => tell("broken", error.message));
const writing = write();
for await (const line of createInterface(process.stdin)) {
  const [command, wanted] = line.split(" ");
  if (command === "stop") {
    isStopped = true;
    await writing;
    tell("stopped");
    continue;
  }
  const late = Date.now() + 60_000;
  while (revision < Number(wanted) && Date.now() < late) {
    await Promise.race([new Promise((resolve) => { moved = resolve; }), sleep(1000)]);
  }
  for (const [key, [at, value]] of seen) {
    tell("seen", key, at, value);
  }
  tell("end");
  break;
}
await nc.close();
process.exit(0);
