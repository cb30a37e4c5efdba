// Promises to users, kept against a real server. The same tests run in Node over TCP, in Node over WebSocket, and in a
// page; `context` is what differs:
//
//   natskv     the package
//   url        where the server listens for this transport
//   server     kill, start, pause, resume, lameDuck, fill(bucket, count), consumers(bucket); all asynchronous
//   memory     bytes this process uses, or undefined where the runtime does not tell
//   log        prints a line

import { contains, equal, eventually, ok, rejects, within } from "./expect.mjs";

const MIB = 1024 * 1024;

/** Every test gets a connection of its own and a bucket of its own, `history` 1 in memory unless it says otherwise. */
export const tests = [
  { name: "put, get, update, delete", run: firstSteps },
  { name: "entries are plain objects with values of their own", run: entries },
  { name: "an empty value is a value", run: emptyValue },
  { name: "64 revisions of history", options: { history: 64 }, run: longHistory },
  { name: "history of filters", options: { history: 5 }, run: filteredHistory },
  { name: "a value of 1 MiB, and what is too large", options: { maxValueSize: -1 }, run: largeValues },
  { name: "256 operations in flight", run: manyInFlight },
  { name: "two clients race a create", run: race },
  { name: "options of watch", options: { history: 5 }, run: watchOptions },
  { name: "break ends the consumer on the server", run: breakEnds },
  { name: "no consumer is left behind", options: { history: 2 }, run: noConsumers },
  { name: "counters, streams and disposal of iterators", run: iterators },
  { name: "concurrent next() calls are served in order", run: concurrentNext },
  { name: "a slow watcher holds little memory and misses nothing", options: { max_bytes: -1 }, run: slowWatcher },
  { name: "100,000 keys listed and watched", run: manyKeys },
  { name: "an AbortSignal cancels in mid-flight", run: aborts },
  { name: "a timeout is kept, and tells of writes", run: timeouts },
  { name: "bad input is refused before anything is sent", options: { maxValueSize: 1000 }, run: badInput },
  { name: "numbers beyond 2^53 - 1 and durations", options: { markerTTL: "1h" }, run: numbers },
  { name: "execute", options: { history: 5 }, run: execute },
  { name: "many keys in one call", run: manyKeysAtOnce },
  { name: "clear and purgeDeletes tell how far they are", options: { history: 3 }, run: progress },
  { name: "lifetimes: put, update, touch, and what an entry tells of it", options: { markerTTL: "1h" }, run: lifetimes },
  { name: "codecs by name, found again in the bucket's metadata", run: namedCodecs },
  { name: "a codec object, as @nats-io/kv takes it", options: { history: 5 }, run: ownCodec },
  { name: "what a handle allows: key policy, read-only, reserved keys, leader reads", run: handles },
  { name: "drift is refused, ignored or mended, and told", run: drift },
  { name: "buckets: list, names, status, drift, update, destroy", run: buckets },
  { name: "flush, rtt, stats, info, version", run: connection },
  { name: "drain finishes what is in flight", run: drain },
  { name: "close ends calls and watches", run: close },
  { name: "connecting fails clearly", run: connecting },
  { name: "a server killed and restarted under a live watch", options: { storage: "file" }, run: restart },
  { name: "status tells each transition once", run: transitions },
  { name: "the end of reconnecting is told", run: givingUp },
  { name: "nothing public has a free()", run: noFree },
];

/** Runs one test, and ends what it made. */
export async function runTest(test, context) {
  const open = [];
  const connect = async (options = {}) => {
    const nc = await context.natskv.connect({ servers: context.url, ...options });
    open.push(nc);
    return nc;
  };
  try {
    const warnings = [];
    const nc = await connect({ onWarning: (message) => warnings.push(message) });
    const kvm = new context.natskv.Kvm(nc);
    const bucket = `web-${tests.indexOf(test)}-${Math.random().toString(36).slice(2, 8)}`;
    const kv = await kvm.create(bucket, { storage: "memory", ...test.options });
    await test.run({ ...context, connect, nc, kvm, kv, bucket, warnings });
    if (!nc.isClosed()) {
      await kv.destroy().catch((error) => ok(error.code === "BUCKET_NOT_FOUND", error.message));
    }
  } finally {
    await Promise.all(open.map((nc) => within(5000, nc.close(), "close")));
  }
}

async function firstSteps({ kv }) {
  equal(await kv.get("a"), null);
  equal(await kv.put("a", "one"), 1);
  equal((await kv.get("a")).string(), "one");
  equal(await kv.update("a", "two", 1), 2);
  const error = await rejects(kv.update("a", "three", 1), "WRONG_REVISION", "wrong last sequence: 2");
  equal([error.apiCode, error.maybeApplied, error.name], [10071, false, "KvError"]);
  ok(error instanceof Error);
  await rejects(kv.create("a", "x"), "KEY_EXISTS");
  equal(await kv.put("a", "three", { previousSeq: 2 }), 3);
  equal(await kv.delete("a"), 4);
  equal(await kv.get("a"), null);
  equal((await kv.entry("a")).operation, "DEL");
  equal(await kv.entry("b"), null);
  equal(await kv.create("a", "four"), 5);
  await rejects(kv.purge("a", { previousSeq: 1 }), "WRONG_REVISION");
  equal(await kv.purge("a", { previousSeq: 5 }), 6);
  equal((await kv.entry("a")).operation, "PURGE");
  equal(await kv.delete("never"), 7);
}

async function entries({ kv, bucket }) {
  const before = Date.now();
  await kv.put("a.b", new Uint8Array([0, 255, 10, 13]));
  const entry = await kv.get("a.b");
  equal([entry.bucket, entry.key, entry.rawKey, entry.revision, entry.delta, entry.operation, entry.length], [bucket, "a.b", "a.b", 1, 0, "PUT", 4]);
  ok(entry.value instanceof Uint8Array && entry.created instanceof Date, "types");
  equal([...entry.value], [0, 255, 10, 13]);
  equal([entry.value.byteOffset, entry.value.buffer.byteLength], [0, 4], "the value's buffer is its own");
  ok(Math.abs(entry.created - before) < 60_000, "created is about now");
  equal(entry.createdNs.slice(0, -6), String(entry.created.getTime()));
  await kv.put("json", JSON.stringify({ n: 1 }));
  equal((await kv.get("json")).json(), { n: 1 });
  equal((await kv.get("json")).json((name, value) => (name === "n" ? 2 : value)), { n: 2 });
  equal((await kv.get("a.b", { revision: 1 })).revision, 1);
  const clone = structuredClone({ ...entry });
  equal([clone.key, clone.value.length, clone.revision], ["a.b", 4, 1]);
}

async function emptyValue({ kv }) {
  await kv.put("a", "");
  await kv.create("b", new Uint8Array());
  for (const key of ["a", "b"]) {
    const entry = await kv.get(key);
    equal([entry.length, entry.value.length, entry.string(), entry.operation], [0, 0, "", "PUT"]);
  }
  equal(await list(await kv.keys()), ["a", "b"]);
}

async function longHistory({ kv }) {
  await Promise.all(Array.from({ length: 70 }, (_, n) => kv.put("a", `v${n + 1}`)));
  const entries = await list(await kv.history({ key: "a" }));
  equal(entries.length, 64);
  equal(entries.map((entry) => entry.revision), Array.from({ length: 64 }, (_, n) => n + 7));
  equal(entries.at(-1).string(), "v70");
}

async function filteredHistory({ kv }) {
  for (const key of ["a.x", "a.y", "b", "a.x"]) {
    await kv.put(key, key);
  }
  await kv.delete("b");
  equal((await list(await kv.history())).map((entry) => entry.revision), [1, 2, 3, 4, 5]);
  equal((await list(await kv.history({ key: "a.*" }))).map((entry) => entry.revision), [1, 2, 4]);
  equal((await list(await kv.history({ key: ["b", "a.y"] }))).map((entry) => entry.operation), ["PUT", "PUT", "DEL"]);
  equal(await list(await kv.history({ key: "none.>" })), []);
  const [bare] = await list(await kv.history({ key: "b", headers_only: true }));
  equal([bare.length, bare.value.length], [1, 0]);
  await rejects(kv.history({ key: "never" }), "KEY_NOT_FOUND");
}

async function largeValues({ kv, kvm, nc, bucket }) {
  const value = new Uint8Array(MIB).map((_, n) => n % 251);
  await kv.put("mib", value);
  const { value: back } = await kv.get("mib");
  ok(back.length === MIB && back.every((byte, n) => byte === n % 251), "1 MiB comes back as it was");
  const { outMsgs } = nc.stats();
  await rejects(kv.create("mib2", value), "TOO_LARGE"); // its headers make it too long
  await rejects(kv.put("mib3", new Uint8Array(MIB + 1)), "TOO_LARGE");
  equal(nc.stats().outMsgs, outMsgs, "messages sent");
  const small = await kvm.create(`${bucket}-small`, { storage: "memory", maxValueSize: 100 });
  await rejects(small.put("a", "x".repeat(1000)), "TOO_LARGE");
  await small.put("a", "x".repeat(10));
  await small.destroy();
}

async function manyInFlight({ kv }) {
  const keys = Array.from({ length: 2000 }, (_, n) => `k.${n}`);
  const revisions = await Promise.all(keys.map((key) => kv.put(key, key)));
  equal(new Set(revisions).size, keys.length);
  const back = await Promise.all(keys.map((key) => kv.get(key)));
  ok(back.every((entry, n) => entry.string() === keys[n] && entry.revision === revisions[n]), "each get is of its key");
  const absent = await Promise.all(keys.map((key) => kv.get(`${key}.none`)));
  ok(absent.every((entry) => entry === null), "absent keys are null");
}

async function race({ kv, connect, natskv, bucket }) {
  const other = await new natskv.Kvm(await connect()).open(bucket);
  for (let round = 0; round < 50; round++) {
    const tries = await Promise.allSettled([kv.create(`k${round}`, "one"), other.create(`k${round}`, "two")]);
    const lost = tries.filter((attempt) => attempt.status === "rejected");
    equal(lost.map((attempt) => attempt.reason.code), ["KEY_EXISTS"], `round ${round}`);
    const won = tries[0].status === "fulfilled" ? "one" : "two";
    equal((await kv.get(`k${round}`)).string(), won);
  }
}

async function watchOptions({ kv, natskv }) {
  const { KvWatchInclude } = natskv;
  const told = [];
  const empty = await kv.watch({ initializedFn: () => told.push("empty") });
  await eventually(() => told.length === 1, "initializedFn of an empty watch nobody reads yet");
  const updates = await kv.watch({ include: KvWatchInclude.UpdatesOnly, key: "u" });
  await kv.put("a", "1");
  await kv.put("a", "2");
  await kv.put("u", "3");
  await kv.delete("a");
  equal((await updates.next()).value.revision, 3, "updates only");
  ok((await empty.next()).value.isUpdate, "isUpdate after the initial values");
  const seen = async (options, count) => {
    const watch = await kv.watch({ ...options, initializedFn: () => revisions.push("caught up") });
    const revisions = [];
    while (revisions.length < count) {
      const step = watch.next();
      const entry = await Promise.race([step, eventually(() => revisions.length >= count, "the watch's end")]);
      if (entry !== true) {
        revisions.push(entry.value.revision);
      }
    }
    watch.stop();
    return revisions;
  };
  equal(await seen({ include: KvWatchInclude.AllHistory }, 5), [1, 2, 3, 4, "caught up"]);
  equal(await seen({}, 3), [3, 4, "caught up"]);
  equal(await seen({ ignoreDeletes: true }, 2), [3, "caught up"]);
  equal(await seen({ resumeFromRevision: 2, include: KvWatchInclude.AllHistory }, 4), [2, 3, 4, "caught up"]);
  equal(await seen({ key: ["a", "u"] }, 3), [3, 4, "caught up"]);
  const bare = (await (await kv.watch({ headers_only: true, key: "u" })).next()).value;
  equal([bare.length, bare.value.length, bare.isUpdate], [1, 0, false]);
  const last = await kv.watch({ initializedFn: () => told.push("last") });
  equal([(await last.next()).value.revision, (await last.next()).value.revision, told.includes("last")], [3, 4, false]);
  await eventually(() => told.includes("last"), "initializedFn of a reader who asks no more");
  await rejects(kv.watch({ include: "all" }), "INVALID_ARGUMENT");
  await rejects(kv.watch({ key: "a..b" }), "INVALID_KEY");
  await rejects(kv.watch({ key: [] }), "INVALID_ARGUMENT");
}

async function breakEnds({ kv, server, bucket }) {
  await kv.put("a", "1");
  for await (const entry of await kv.watch()) {
    equal(entry.key, "a");
    equal(await server.consumers(bucket), 1, "consumers while watching");
    break;
  }
  await eventually(async () => (await server.consumers(bucket)) === 0, "the consumer's end");
}

async function noConsumers({ kv, nc, server, bucket }) {
  await Promise.all(Array.from({ length: 100 }, (_, n) => kv.put(`k${n % 10}`, `${n}`)));
  for (let round = 0; round < 10; round++) {
    equal((await list(await kv.keys())).length, 10);
    equal((await list(await kv.history({ key: "k1" }))).length, 2);
    equal((await list(await kv.history({ key: ["k1", "k2"] }))).length, 4);
    const watch = await kv.watch({ key: ">" });
    await watch.next();
    watch.stop();
    const controller = new AbortController();
    const opening = kv.watch({ signal: controller.signal });
    controller.abort();
    await rejects(opening);
  }
  await nc.flush();
  await eventually(async () => (await server.consumers(bucket)) === 0, "no consumer");
}

async function iterators({ kv }) {
  await Promise.all(["a", "b", "c"].map((key) => kv.put(key, key)));
  const keys = await kv.keys();
  equal([keys.getReceived(), keys.getPending(), keys.getProcessed()], [3, 3, 0]);
  equal((await keys.next()).value, "a");
  equal([keys.getReceived(), keys.getPending(), keys.getProcessed()], [3, 2, 1]);
  keys.stop();
  equal(await keys.next(), { done: true, value: undefined });

  const watch = await kv.watch();
  const reader = watch.readable().getReader();
  equal((await reader.read()).value.key, "a");
  equal((await reader.read()).value.key, "b");
  equal(watch.getProcessed(), 2, "a stream reads nothing ahead");
  await reader.cancel();
  equal((await watch.next()).done, true);

  const failing = await kv.watch();
  failing.stop(new Error("enough"));
  equal((await rejects(failing.next())).message, "enough");
  equal((await failing.next()).done, true);

  const disposed = await kv.watch();
  await disposed[Symbol.asyncDispose]();
  equal((await disposed.next()).done, true);

  const waiting = await kv.watch({ key: "none" });
  const next = waiting.next();
  waiting.stop();
  equal((await within(1000, next, "the end of a waiting reader")).done, true);
}

async function concurrentNext({ kv }) {
  const watch = await kv.watch();
  const three = Promise.all([watch.next(), watch.next(), watch.next()]);
  for (const key of ["a", "b", "c"]) {
    await kv.put(key, key);
  }
  equal((await three).map((result) => result.value.key), ["a", "b", "c"]);
  watch.stop();
}

async function slowWatcher({ kv, memory, log, connect, natskv, bucket }) {
  const [rounds, burst, size] = [24, 128, 32 * 1024]; // 96 MiB in all
  const writer = await new natskv.Kvm(await connect()).open(bucket);
  const watch = await kv.watch({ include: natskv.KvWatchInclude.UpdatesOnly });
  const value = new Uint8Array(size).fill(120);
  const first = watch.next();
  await writer.put("k0", value);
  await first;
  const before = await memory();
  let written = 1;
  for (let round = 0; round < rounds; round++) {
    await Promise.all(Array.from({ length: burst }, () => writer.put(`k${written++}`, value)));
  }
  const after = await memory();
  if (before !== undefined) {
    const grown = (after - before) / MIB;
    log(`${((written * size) / MIB).toFixed(0)} MiB unread by a watch: this process grew by ${grown.toFixed(0)} MiB`);
    ok(grown < 64, `grew by ${grown} MiB`);
  }
  let last = 1;
  for (let seen = 1; seen < written; seen++) {
    const { value: entry } = await within(10_000, watch.next(), `entry ${seen} of ${written}`);
    equal(entry.revision, ++last);
    equal(entry.length, size);
  }
  watch.stop();
}

async function manyKeys({ kv, server, log, bucket }) {
  const count = 100_000;
  await server.fill(bucket, count);
  let start = performance.now();
  const keys = await list(await kv.keys());
  log(`keys(): ${count} in ${(performance.now() - start).toFixed(0)} ms`);
  equal(new Set(keys).size, count);
  start = performance.now();
  let isCaughtUp = false;
  const watch = await kv.watch({ initializedFn: () => (isCaughtUp = true) });
  let [seen, last] = [0, 0];
  for await (const entry of watch) {
    ok(entry.revision > last, "revisions rise");
    last = entry.revision;
    if (++seen === count) {
      break;
    }
    ok(!isCaughtUp, "caught up before the end");
  }
  const took = performance.now() - start;
  log(`watch: ${count} in ${took.toFixed(0)} ms, ${((count / took) * 1000).toFixed(0)} a second`);
}

async function aborts({ kv, nc, server, connect, bucket, natskv }) {
  await rejects(kv.put("a", "1", { signal: AbortSignal.abort("before") })).catch(() => {});
  equal(await kv.get("a"), null, "nothing was sent");
  await server.pause();
  try {
    const controller = new AbortController();
    const { signal } = controller;
    const calls = [kv.put("a", "1", { signal }), kv.get("a", { signal }), kv.keys(">", { signal }), kv.watch({ signal }), nc.flush({ signal })];
    const results = Promise.allSettled(calls);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const reason = new Error("changed my mind");
    controller.abort(reason);
    const settled = await within(1000, results, "aborted calls");
    ok(settled.every((result) => result.reason === reason), "each rejects with signal.reason");
  } finally {
    await server.resume();
  }
  for (const start of [(o) => kv.execute({ operation: "GET", key: "a" }, o), (o) => kv.status(o), (o) => kv.create("c", "1", o), (o) => kv.keys(o)]) {
    const controller = new AbortController();
    const result = rejects(start({ signal: controller.signal }));
    controller.abort();
    equal((await result).name, "AbortError");
  }
  await kv.put("b", "2");
  const controller = new AbortController();
  const { signal } = controller;
  await Promise.all(Array.from({ length: 100 }, (_, n) => kv.put(`k${n}`, "x", { signal }))); // one signal for many calls
  const watch = await kv.watch({ signal, key: "b" });
  await watch.next();
  const next = watch.next();
  controller.abort();
  equal((await rejects(next)).name, "AbortError");
  await eventually(async () => (await server.consumers(bucket)) === 0, "the consumers' end");
  equal((await rejects(natskv.connect({ servers: "ws://127.0.0.1:1", signal: AbortSignal.abort() }))).name, "AbortError");
  const other = await connect({ signal: AbortSignal.timeout(60_000) });
  await other.close();
}

async function timeouts({ kv, nc, server }) {
  await server.pause();
  try {
    const start = performance.now();
    const [put, get, fast] = await Promise.all([
      rejects(kv.put("a", "1", { timeout: 200 }), "TIMEOUT"),
      rejects(kv.get("a", { timeout: "0.2s" }), "TIMEOUT"),
      rejects(nc.flush({ timeout: 100 }), "TIMEOUT"),
    ]);
    equal([put.maybeApplied, get.maybeApplied, fast.maybeApplied], [true, false, false], "maybeApplied");
    const took = performance.now() - start;
    ok(took > 150 && took < 1500, `took ${took} ms`);
  } finally {
    await server.resume();
  }
  await kv.put("b", "2");
}

async function badInput({ kv, kvm, nc, bucket }) {
  await nc.flush();
  const { outMsgs } = nc.stats();
  const keys = { "a..b": "empty token", ".a": "start", "a b": "' '", "a\r\nPUB x 0": "", "user:12345": ":", "_kv.x": "_kv", "": "", "a.": "", "a.*": "*", "ä": "" };
  for (const [key, says] of Object.entries(keys)) {
    for (const write of [kv.put(key, "x"), kv.create(key, "x"), kv.update(key, "x", 1), kv.delete(key), kv.purge(key)]) {
      const error = await rejects(write, "INVALID_KEY");
      ok(says === "start" || error.message.includes(says), `${key}: ${error.message}`);
    }
    if (key !== "_kv.x") {
      await rejects(kv.get(key), "INVALID_KEY");
    }
  }
  await rejects(kv.put("user:12345", "x"), "INVALID_KEY", ":", "4");
  await rejects(kv.keys("a..>"), "INVALID_KEY");
  await rejects(kv.keys("a.>.b"), "INVALID_KEY");
  await rejects(kv.watch({ key: "a b" }), "INVALID_KEY");
  for (const name of ["a.b", "", "a b", "*"]) {
    await rejects(kvm.create(name), "INVALID_BUCKET");
    await rejects(kvm.open(name), "INVALID_BUCKET");
    await rejects(kvm.delete(name), "INVALID_BUCKET");
  }
  await rejects(kvm.create(bucket, { history: 65 }), "HISTORY_TOO_LARGE", "64");
  await rejects(kvm.create(bucket, { histroy: 5 }), "INVALID_ARGUMENT", "histroy");
  await rejects(kvm.create(bucket, { storage: "paper" }), "INVALID_ARGUMENT", "storage");
  const republish = { src: ">", dest: "kv.config.{{wildcard(1)}}" };
  await rejects(kvm.create("other", { republish }), "INVALID_ARGUMENT", "$KV.other.>", "kv.config.>");
  await rejects(kvm.createFromJson("{"), "INVALID_ARGUMENT");
  await rejects(kvm.createFromJson(), "INVALID_ARGUMENT", "json");
  await rejects(kvm.createFromJson({ bucket: "other", ttl: "10s" }), "INVALID_ARGUMENT", "ttl");
  await rejects(kv.update("a", "x", 0), "INVALID_ARGUMENT", "create");
  await rejects(kv.update("a", "x", 1.5), "INVALID_ARGUMENT");
  await rejects(kv.update("a", "x", -1), "INVALID_ARGUMENT");
  await rejects(kv.update("a", "x", "1"), "INVALID_ARGUMENT");
  await rejects(kv.put("a", 5), "INVALID_ARGUMENT", "Uint8Array");
  await rejects(kv.put(5, "x"), "INVALID_ARGUMENT", "key");
  await rejects(kv.put("a", "x", { timeout: "soon" }), "INVALID_ARGUMENT", '"soon"', "10s");
  await rejects(kv.put("a", "x", { timeout: -1 }), "INVALID_ARGUMENT");
  await rejects(kv.put("a", "x".repeat(1100)), "TOO_LARGE");
  await rejects(kv.put("a", new Uint8Array(2 * MIB)), "TOO_LARGE");
  equal((await kv.execute("not JSON")).kind, "INVALID_ARGUMENT");
  equal((await kv.execute({ operation: "PUT", key: "a..b", value_text: "x" })).kind, "INVALID_KEY");
  await rejects(kv.execute(5), "INVALID_ARGUMENT", "operation");
  ok(throws(() => new kvm.constructor({})).code === "INVALID_ARGUMENT", "Kvm wants a connection");
  equal(nc.stats().outMsgs, outMsgs, "messages sent");
  await kv.put("a", "x");
  equal(nc.stats().reconnects, 0);
}

async function numbers({ kv }) {
  await kv.put("a", "1");
  const beyond = Number.MAX_SAFE_INTEGER + 1;
  for (const call of [kv.update("a", "x", beyond), kv.get("a", { revision: beyond }), kv.delete("a", { previousSeq: beyond }), kv.watch({ resumeFromRevision: beyond })]) {
    ok((await rejects(call)) instanceof RangeError, "a RangeError");
  }
  await rejects(kv.update("a", "x", Number.MAX_SAFE_INTEGER), "WRONG_REVISION");
  await rejects(kv.create("t", "x", "101y"), "INVALID_ARGUMENT");
  await rejects(kv.create("t", "x", "900001h"), "INVALID_ARGUMENT", "100 years");
  await rejects(kv.create("t", "x", 10), "INVALID_ARGUMENT"); // a second is the least
  await kv.create("t", "x", "1h30m");
  await kv.create("u", "x", 60_000);
  await kv.create("v", "x", 0);
  equal((await kv.status()).markerTTL, 3_600_000);
}

async function execute({ kv }) {
  contains(await kv.execute({ operation: "PUT", key: "a", value_text: "1" }), { key: "a", revision: 1 });
  contains(await kv.execute('{"operation":"GET","key":"a"}'), { value: "MQ==", revision: 1, operation: "PUT", delta: 0 });
  contains(await kv.execute({ operation: "UPDATE", key: "a", value: "Mg==", revision: 9 }), { kind: "WRONG_REVISION", error: { code: 400, err_code: 10071 } });
  contains(await kv.execute({ operation: "GET", key: "none" }), { kind: "KEY_NOT_FOUND", error: { code: 404, err_code: 10037 } });
  contains(await kv.execute({ operation: "DELETE", key: "a" }), { revision: 2 });
  equal((await kv.execute({ operation: "HISTORY", key: "a" })).entries.length, 1);
  equal((await kv.execute({ operation: "HISTORY", key: "a", include_deleted: true })).entries.length, 2);
  equal((await kv.execute({ operation: "LIST" })).keys, []);
  await kv.put("b", "2");
  contains(await kv.execute({ operation: "WATCH", filter: ">" }), { entries: [{ key: "b", revision: 3 }] });
  const error = await rejects(kv.update("a", "x", 9), "WRONG_REVISION");
  contains(JSON.parse(JSON.stringify(error)), { type: "io.nats.jetstream.api.v1.error_response", kind: "WRONG_REVISION", error: { code: 400, err_code: 10071 } });
}

async function manyKeysAtOnce({ kv, server, natskv }) {
  const { KvError } = natskv;
  const count = 3000; // more than one request may ask for
  const written = await kv.putMany(Object.fromEntries(Array.from({ length: count }, (_, n) => [`k.${n}`, `v${n}`])));
  equal(written.size, count);
  equal([...written.values()].sort((a, b) => a - b), Array.from({ length: count }, (_, n) => n + 1));
  await kv.delete("k.7");
  const keys = [...written.keys()];
  const all = await kv.getMany(keys);
  equal([all.size, all.has("k.7"), all.get("k.9").string(), all.get("k.9").revision], [count - 1, false, "v9", written.get("k.9")]);
  ok(all instanceof Map && [...all.keys()].every((key, at, list) => at === 0 || list[at - 1] < key), "a Map, sorted by key");
  const few = await kv.getMany(new Set(["k.1", "k.7", "none", "k.22*", "k.221"].filter((key) => !key.includes("22*"))));
  equal([[...few.keys()], few.asOf], [["k.1", "k.221"], count + 1]);
  equal((await kv.getMany([])).size, 0);
  equal((await kv.getMany(["k.>"])).size, count - 1);

  equal(await kv.count(), count - 1);
  equal(await kv.count("none.>"), 0);
  equal(await kv.count(["k.1", "k.2"], { timeout: 1000 }), 2);
  const entries = await list(await kv.entries("k.*"));
  equal([entries.length, entries[0].key, entries[0].string(), entries.at(-1).revision], [count - 1, "k.0", "v0", count]);
  equal((await list(await kv.entries({ timeout: 1000 }))).length, count - 1);

  const mixed = await kv.putMany(new Map([["a", "1"], ["b", new Uint8Array([0, 255])], ["c", ""]]));
  equal([...mixed.keys()], ["a", "b", "c"]);
  equal([...(await kv.get("b")).value], [0, 255]);
  equal((await kv.get("c")).length, 0);
  equal((await kv.putMany([])).size, 0);
  equal([...(await kv.putMany([["a", "one"], ["a", "two"]]))].length, 1, "the newer one of the same key");
  equal((await kv.get("a")).string(), "two");
  const before = (await kv.status()).values;
  await rejects(kv.putMany({ fine: "1", "not fine": "2" }), "INVALID_KEY", "not fine");
  await rejects(kv.putMany({ fine: 1 }), "INVALID_ARGUMENT", "Uint8Array");
  await rejects(kv.getMany(["fine", "a\nb"]), "INVALID_KEY");
  equal((await kv.status()).values, before, "nothing was sent");
  const partly = await kv.putMany({ fine: "1", large: new Uint8Array(2 * MIB) });
  ok(partly.get("fine") > 0 && partly.get("large") instanceof KvError && partly.get("large").code === "TOO_LARGE", "each for itself");

  await server.pause();
  try {
    const late = await kv.putMany({ x: "1", y: "2" }, { timeout: 200 });
    ok([...late.values()].every((error) => error instanceof KvError && error.code === "TIMEOUT" && error.maybeApplied), "an error for each");
    const controller = new AbortController();
    const calls = [kv.putMany({ x: "1" }, controller), kv.getMany(["x"], controller), kv.count(">", controller), kv.entries(controller)];
    const settled = Promise.allSettled(calls);
    controller.abort("enough");
    ok((await settled).every(({ reason }) => reason === "enough"), "each rejects with signal.reason");
  } finally {
    await server.resume();
  }
}

async function progress({ kv, server }) {
  const keys = Array.from({ length: 250 }, (_, n) => `a.k${n}`);
  await kv.putMany([...keys, "a", "ab", "b.a"].map((key) => [key, "x"]));
  const told = [];
  equal(await kv.clear("a", { onProgress: (done, total) => told.push([done, total]) }), 251);
  equal(await list(await kv.keys()), ["ab", "b.a"]);
  const check = () => {
    ok(told.length > 1 && told.length <= 101, `${told.length} times`);
    ok(told.every(([done, total], at) => total === 251 && done <= total && (at === 0 || done >= told[at - 1][0])), JSON.stringify(told));
    equal(told.at(-1), [251, 251]);
    told.length = 0;
  };
  check();
  equal(await kv.purgeDeletes(0, { onProgress: (done, total) => told.push([done, total]) }), { success: true, purged: 251 });
  check();
  equal((await kv.status()).values, 2);
  equal(await kv.clear("*.a"), 1);
  equal(await kv.clear("none"), 0);
  equal(await kv.clear(">"), 1);
  equal(await kv.count(), 0);
  await rejects(kv.clear("a..b"), "INVALID_KEY");
  await rejects(kv.clear(), "INVALID_ARGUMENT", "key");
  await server.pause();
  const controller = new AbortController();
  const clearing = kv.clear(">", { signal: controller.signal });
  controller.abort();
  equal((await rejects(clearing)).name, "AbortError");
  await server.resume();
}

async function lifetimes({ kv, kvm, bucket }) {
  await kv.put("put", "1", { ttl: "1h" });
  await kv.update("put", "2", 1, { ttl: 60_000 });
  await kv.create("create", "1", "2h");
  await kv.put("plain", "1");
  const [put, create, plain] = await Promise.all(["put", "create", "plain"].map((key) => kv.get(key)));
  equal([put.ttl, create.ttl, plain.ttl, plain.expires, plain.remainingTTL], [60_000, 7_200_000, undefined, undefined, undefined]);
  equal(put.expires.getTime(), put.created.getTime() + 60_000);
  ok(put.remainingTTL > 30_000 && put.remainingTTL <= 60_000, `${put.remainingTTL} ms left`);
  equal(await kv.update("put", "3", put.revision, 5000), 5, "the last argument may be a timeout");
  equal((await kv.get("put")).ttl, undefined, "an update without a lifetime has none");

  const touched = await kv.touch("plain", "1s");
  const entry = await kv.get("plain");
  equal([entry.revision, entry.string(), entry.ttl], [touched, "1", 1000]);
  const watch = await kv.watch({ key: "plain" });
  equal((await watch.next()).value.ttl, 1000);
  equal((await within(5000, watch.next(), "the end of the key")).value.operation, "PURGE");
  watch.stop();
  equal(await kv.get("plain"), null);
  equal(await kv.count(), 2);
  await rejects(kv.touch("plain", "1h"), "KEY_NOT_FOUND");
  await rejects(kv.touch("put", 0), "INVALID_ARGUMENT");
  await rejects(kv.put("put", "x", { ttl: 10 }), "INVALID_ARGUMENT");
  await rejects(kv.put("put", "x", { ttl: "soon" }), "INVALID_ARGUMENT", "ttl", "soon");

  const deep = await kvm.create(`${bucket}-deep`, { storage: "memory", history: 2, markerTTL: "1h" });
  const shallow = await kvm.create(`${bucket}-shallow`, { storage: "memory", ttl: "1h" });
  try {
    await rejects(deep.put("a", "1", { ttl: "1h" }), "UNSUPPORTED", "history");
    await deep.put("a", "1");
    await rejects(deep.update("a", "1", 1, { ttl: "1h" }), "UNSUPPORTED", "history");
    await rejects(deep.touch("a", "1h"), "UNSUPPORTED", "history");
    await rejects(shallow.put("a", "1", { ttl: "1h" }), "UNSUPPORTED");
    await shallow.put("a", "1");
    const { ttl, expires, created } = await shallow.get("a");
    equal([ttl, expires?.getTime() - created.getTime()], [undefined, 3_600_000], "by the bucket's age");
  } finally {
    await Promise.all([deep.destroy(), shallow.destroy()]);
  }
}

async function namedCodecs({ kvm, bucket, natskv, connect }) {
  const cases = { base64: ["größe 5 µ.*", "Z3LDtsOfZSA1IMK1.Kg"], path: ["/users/7", "_root_.users.7"], escape: ["a b.ü:1", "a=20b.=C3=BC=3A1"] };
  for (const [codec, [key, raw]] of Object.entries(cases)) {
    const name = `${bucket}-${codec}`;
    const made = await kvm.create(name, { storage: "memory", codec });
    try {
      equal([made.keyPolicy, (await made.status()).metadata["natskv.key_codec"], (await made.status()).keyPolicy], [codec, codec, codec]);
      await made.put(key, codec);
      const other = new natskv.Kvm(await connect());
      const opened = await other.open(name, { check: true });
      equal(opened.keyPolicy, codec, "found in the metadata");
      const named = await other.open(name, { codec });
      for (const kv of [made, opened, named]) {
        const entry = await kv.get(key);
        equal([entry.key, entry.rawKey, entry.string()], [key, raw, codec]);
        equal(await list(await kv.keys()), [key]);
        equal([...(await kv.getMany([key])).keys()], [key]);
        const watch = await kv.watch({ key });
        equal((await watch.next()).value.key, key);
        watch.stop();
      }
      const plain = await other.open(name, { keyPolicy: "strict" });
      equal((await plain.get(raw)).key, raw);
      contains(await opened.execute({ operation: "GET", key }), { key, value_text: undefined, revision: 1 });
    } finally {
      await made.destroy();
    }
  }
  const lines = await kvm.create(`${bucket}-lines`, { storage: "memory", codec: "escape" });
  await lines.putMany({ "one\ntwo": "1", three: "2" });
  equal(await list(await lines.keys()), ["one\ntwo", "three"]);
  await lines.destroy();
  await rejects(kvm.create(`${bucket}-x`, { codec: "rot13" }), "INVALID_ARGUMENT", "rot13", "base64, path, escape");
  await rejects(kvm.create(`${bucket}-x`, { codec: "base64", keyPolicy: "permissive" }), "INVALID_ARGUMENT", "keyPolicy");
  await rejects(kvm.open(bucket, { keyPolicy: "lenient" }), "INVALID_ARGUMENT", "lenient", "strict, permissive");
}

async function ownCodec({ kvm, kv: raw, bucket }) {
  const xor = (bytes) => bytes.map((byte) => byte ^ 0x55);
  const codec = {
    key: { encode: (token) => btoa(token).replaceAll("=", ""), decode: (token) => atob(token) },
    value: { encode: (value) => xor(typeof value === "string" ? new TextEncoder().encode(value) : value), decode: xor },
  };
  const kv = await kvm.open(bucket, { codec });
  equal(kv.keyPolicy, "strict");
  equal(await kv.put("user 1.name", "Ada"), 1);
  const stored = await raw.get("dXNlciAx.bmFtZQ");
  equal([...stored.value], [..."Ada"].map((letter) => letter.charCodeAt(0) ^ 0x55));
  const entry = await kv.get("user 1.name");
  equal([entry.key, entry.rawKey, entry.string(), entry.length], ["user 1.name", "dXNlciAx.bmFtZQ", "Ada", 3]);
  equal([{ ...entry }.key, structuredClone({ ...entry }).value.length], ["user 1.name", 3], "fields of its own");
  await kv.update("user 1.name", "Grace", 1);
  await kv.create("user 2.name", new TextEncoder().encode("Kurt"));
  await kv.putMany({ "user 2.mail": "k@example.org" });
  equal((await list(await kv.keys("user 2.*"))).sort(), ["user 2.mail", "user 2.name"]);
  equal([...(await kv.getMany(["user 1.name", "user 2.mail"])).values()].map((entry) => entry.string()), ["Grace", "k@example.org"]);
  equal((await list(await kv.history({ key: "user 1.name" }))).map((entry) => entry.string()), ["Ada", "Grace"]);
  const watch = await kv.watch({ key: ["user 1.>", "user 2.mail"] });
  equal([(await watch.next()).value.string(), (await watch.next()).value.string()], ["Grace", "k@example.org"]);
  await kv.delete("user 1.name");
  const marker = (await watch.next()).value;
  equal([marker.key, marker.operation, marker.value.length], ["user 1.name", "DEL", 0]);
  const bare = await kv.watch({ headers_only: true, key: "user 2.mail" });
  equal((await bare.next()).value.value.length, 0, "no value, so none to decode");

  await raw.put("not-base64!".replace("!", "_"), "by another program");
  const foreign = await kv.watch({ include: "", key: ">" });
  const seen = [];
  for await (const entry of foreign) {
    seen.push(entry.rawKey);
    if (seen.length === 4) {
      ok(throws(() => entry.key), "its key cannot be decoded");
      break;
    }
  }
  await rejects(kv.keys());
  equal((await rejects(kv.get("\u{1F600}"))).name, "InvalidCharacterError", "what the codec throws");
  await rejects(kvm.open(bucket, { codec: { key: {} } }), "INVALID_ARGUMENT", "codec.key", "encode");
  const onlyValues = await kvm.open(bucket, { codec: { value: codec.value }, keyPolicy: "permissive" });
  await onlyValues.put("user:1", "Ada");
  equal([(await onlyValues.get("user:1")).string(), (await onlyValues.get("user:1")).key], ["Ada", "user:1"]);
}

async function handles({ kvm, kv, bucket }) {
  equal([kv.keyPolicy, kv.readOnly, kv.drift], ["strict", false, []]);
  const permissive = await kvm.open(bucket, { keyPolicy: "permissive" });
  await permissive.put("user:12345", "x");
  equal([(await permissive.get("user:12345")).key, permissive.keyPolicy], ["user:12345", "permissive"]);
  await rejects(permissive.put("a b", "x"), "INVALID_KEY");
  await rejects(kv.get("user:12345"), "INVALID_KEY");
  const reading = await kvm.open(bucket, { readOnly: true });
  equal(reading.readOnly, true);
  equal(await list(await reading.keys()), ["user:12345"]);
  for (const write of [reading.put("a", "x"), reading.delete("a"), reading.purge("a"), reading.create("a", "x"), reading.putMany({ a: "x" }), reading.clear(">"), reading.touch("a", "1h")]) {
    await rejects(write, "UNSUPPORTED", "read");
  }
  const reserved = await kvm.open(bucket, { reservedKeys: true });
  await reserved.put("_kv.mine", "x");
  await rejects(kv.put("_kv.mine", "x"), "INVALID_KEY", "_kv");
  const leader = await kvm.create(bucket, { leaderReads: true });
  equal((await leader.get("_kv.mine")).string(), "x");
  equal(await leader.get("none"), null);

  const mirror = await kvm.create(`${bucket}-mirror`, { storage: "memory", mirror: { name: bucket } });
  equal(mirror.readOnly, false, "writes go to the origin");
  await mirror.put("through", "x");
  equal((await kv.get("through")).string(), "x");
  await mirror.destroy();
}

async function drift({ kvm, bucket }) {
  const name = `${bucket}-drift`;
  const first = await kvm.create(name, { storage: "memory", history: 3, description: "old", onDrift: "update" });
  equal(first.drift, []);
  await rejects(kvm.create(name, { history: 4 }), "BUCKET_EXISTS", "history");
  const ignored = await kvm.create(name, { history: 4, onDrift: "ignore" });
  equal(ignored.drift.length, 1);
  ok(ignored.drift[0].includes("history"), ignored.drift[0]);
  equal((await ignored.status()).history, 3);
  const mended = await kvm.createFromJson({ bucket: name, history: 4, description: "new" }, { onDrift: "update" });
  equal([mended.drift.length, (await mended.status()).history, (await mended.status()).description], [2, 4, "new"]);
  equal((await kvm.create(name, { history: 4, onDrift: "ignore" })).drift, []);
  await rejects(kvm.create(name, { onDrift: "panic" }), "INVALID_ARGUMENT", "panic", "error, ignore, update");
  await mended.destroy();
}

async function buckets({ kvm, bucket, kv }) {
  const name = `${bucket}-b`;
  const made = await kvm.create(name, { storage: "memory", description: "a text", history: 3, ttl: "1h", max_bytes: 1e6, maxValueSize: 1000, metadata: { owner: "me" } });
  await kvm.create(name, { history: 3, allow_direct: true });
  await rejects(kvm.create(name, { history: 4 }), "BUCKET_EXISTS", "history");
  const status = await made.status();
  contains(status, { bucket: name, values: 0, description: "a text", history: 3, ttl: 3_600_000, max_bytes: 1e6, storage: "memory", replicas: 1, compression: false });
  contains(status, { metadata: { owner: "me" }, backingStore: "JetStream", streamInfo: { config: { name: `KV_${name}` } } });
  equal((await (await kvm.update(name, { history: 5 })).status()).history, 5);
  equal((await (await kvm.createOrUpdate(name, { history: 6 })).status()).history, 6);
  ok((await kvm.names().next()).includes(name));
  equal((await list(kvm.list())).map((status) => status.bucket).sort(), (await kvm.names().next()).sort());
  equal((await kvm.open(name, { check: true })).bucket, name);
  equal(await made.destroy(), true);
  await rejects(kvm.open(name, { check: true }), "BUCKET_NOT_FOUND");
  await rejects(kvm.update(name, { history: 1 }), "BUCKET_NOT_FOUND");
  await rejects(made.put("a", "1"));
  equal((await kvm.create(bucket, { bindOnly: true })).bucket, kv.bucket);
  for (const key of ["a", "b", "c"]) {
    await kv.put(key, key);
  }
  await kv.delete("a");
  equal(await kv.purgeDeletes(), { success: true, purged: 0 });
  equal(await kv.purgeDeletes(0), { success: true, purged: 1 });
  const fromJson = await kvm.createFromJson({ bucket: name, ttl: 3_600_000_000_000, storage: "memory" });
  equal((await fromJson.status()).ttl, 3_600_000);
  await kvm.delete(name);
}

async function connection({ nc, kv, natskv, url }) {
  await nc.flush();
  const rtt = await nc.rtt();
  ok(rtt > 0 && rtt < 1000, `rtt ${rtt}`);
  await kv.put("a", "1");
  const stats = nc.stats();
  ok(stats.inMsgs > 0 && stats.outMsgs > 0 && stats.inBytes > 0 && stats.outBytes > 0 && stats.reconnects === 0, JSON.stringify(stats));
  ok(nc.info.version.startsWith("2.") && nc.info.max_payload === MIB, "info");
  equal(nc.getServer(), url);
  ok(/^\d+\.\d+\.\d+$/.test(natskv.version()));
  equal(nc.isClosed(), false);
  ok(natskv.wsconnect === natskv.connect);
}

async function drain({ nc, kv }) {
  const watch = await kv.watch();
  const puts = Promise.all(Array.from({ length: 100 }, (_, n) => kv.put(`k${n}`, "x")));
  await within(5000, nc.drain(), "drain");
  equal((await puts).length, 100);
  equal(nc.isClosed(), true);
  equal(await nc.closed(), undefined);
  for await (const entry of watch) {
    ok(entry.key);
  }
  await rejects(kv.put("late", "x"), "CLOSED");
}

async function close({ nc, kv, server }) {
  const watch = await kv.watch();
  const next = watch.next();
  const states = list(nc.status());
  await server.pause();
  const put = rejects(kv.put("a", "1"), "CLOSED");
  const opening = rejects(kv.watch(), "CLOSED");
  await new Promise((resolve) => setTimeout(resolve, 20));
  await nc.close();
  await server.resume();
  await Promise.all([put, opening]);
  await rejects(kv.watch(), "CLOSED");
  equal((await within(1000, next, "the watch's end")).done, true);
  equal(await nc.closed(), undefined);
  equal(await states, [{ type: "close" }]);
  await nc.close();
  await rejects(kv.get("a"), "CLOSED");
  equal(nc.isClosed(), true);
}

async function connecting({ natskv, url, server }) {
  const { connect } = natskv;
  const dead = url.replace(/:\d+$/, ":1");
  await rejects(connect({ servers: dead }), "CONNECT_FAILED");
  if (globalThis.document) {
    await rejects(connect({ servers: "tls://127.0.0.1:4222" }), "UNSUPPORTED", "wss://");
    await rejects(connect({ servers: url, tls: {} }), "UNSUPPORTED", "wss://");
  }
  for (const said of [{ user: "me", pass: "secret" }, { auth_token: "secret" }]) {
    await (await connect({ servers: url, authenticator: async () => said, tls: null, debug: false })).close();
  }
  await rejects(connect({ servers: url, severs: url }), "INVALID_ARGUMENT", "severs");
  await rejects(connect({ servers: url, timeout: "1 second" }), "INVALID_ARGUMENT", "timeout");
  await rejects(connect({ servers: url, reconnect: "no" }), "INVALID_ARGUMENT", "reconnect");
  await rejects(connect({ servers: "gopher://a" }), "INVALID_ARGUMENT");
  await rejects(connect({ servers: 5 }), "INVALID_ARGUMENT");
  const nc = await connect({ servers: [dead, url], noRandomize: true });
  equal(nc.getServer(), url);
  await nc.close();
  await server.pause();
  const start = performance.now();
  await rejects(connect({ servers: url, timeout: 300 })).finally(() => server.resume());
  ok(performance.now() - start < 2000, "connect's own timeout");
}

async function restart({ kv, server, nc, log }) {
  const newest = new Map();
  const [first, second] = [500, 500];
  const watch = await kv.watch();
  const wanted = new Map();
  for (let n = 0; n < first; n++) {
    wanted.set(`k${n}`, await kv.put(`k${n}`, `before ${n}`));
  }
  let [last, sinceRestart, restarted] = [0, undefined, Infinity];
  const reading = (async () => {
    for await (const entry of watch) {
      ok(entry.revision > last, `revision ${entry.revision} after ${last}`);
      last = entry.revision;
      newest.set(entry.key, entry.revision);
      if (performance.now() > restarted) {
        sinceRestart ??= performance.now() - restarted;
      }
      if (entry.key === "end") {
        return;
      }
    }
  })();
  await server.kill();
  await server.start();
  restarted = performance.now();
  for (let n = 0; n < second; n++) {
    const key = `k${n + first / 2}`;
    wanted.set(key, await persist(() => kv.put(key, `after ${n}`)));
  }
  wanted.set("end", await persist(() => kv.put("end", "")));
  await within(20_000, reading, "the end of the watch");
  for (const [key, revision] of wanted) {
    equal(newest.get(key), revision, key);
  }
  ok(nc.stats().reconnects >= 1, "it did reconnect");
  log(`first event ${sinceRestart.toFixed(0)} ms after the server was back`);
  watch.stop();
}

/** Writes again what a lost connection may or may not have written. */
async function persist(write) {
  for (let tries = 0; ; tries++) {
    try {
      return await write();
    } catch (error) {
      ok(["DISCONNECTED", "TIMEOUT", "NO_RESPONDERS", "UNAVAILABLE"].includes(error.code) && tries < 50, error.message);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

async function transitions({ connect, server, url }) {
  const [told, seen] = [[], []];
  const name = ({ type, server }) => (server === undefined ? type : `${type} ${server}`);
  const nc = await connect({ onStatus: (status) => told.push(status) });
  const status = nc.status();
  const reading = (async () => {
    for await (const change of status) {
      seen.push(name(change));
    }
  })();
  await server.lameDuck();
  await eventually(() => seen.length === 1, "lame duck");
  await server.kill();
  await eventually(() => seen.includes("reconnecting"), "reconnecting");
  await server.start();
  await eventually(() => seen.some((type) => type.startsWith("reconnect ")), "reconnect", 10_000);
  await nc.flush();
  await nc.drain();
  await reading;
  equal(seen, [`ldm ${url}`, `disconnect ${url}`, "reconnecting", `reconnect ${url}`, "draining", "close"]);
  equal(told.map(name), ["connecting", `connect ${url}`, ...seen]);
  const reason = told.find(({ type }) => type === "disconnect").error;
  equal(reason.code, "DISCONNECTED");
  ok(reason.message.includes(url.split("//")[1]), reason.message);
  const failing = [];
  await rejects(connect({ servers: url.replace(/:\d+$/, ":1"), onStatus: (status) => failing.push(status) }), "CONNECT_FAILED");
  await eventually(() => failing.length === 2, "the end told");
  equal(failing.map(({ type, error }) => [type, error?.code]), [["connecting", undefined], ["close", "CONNECT_FAILED"]]);
}

async function givingUp({ connect, server, nc: survivor }) {
  const nc = await connect({ maxReconnectAttempts: 2, reconnectTimeWait: 10 });
  const other = await connect({ reconnect: false });
  await server.kill();
  const [error, second] = await within(10_000, Promise.all([nc.closed(), other.closed()]), "the end");
  ok(error instanceof Error && second instanceof Error, "closed() gives the error");
  ok(nc.isClosed() && other.isClosed());
  await server.start();
  await persist(() => survivor.flush());
}

async function noFree({ natskv, nc, kvm, kv }) {
  await kv.put("a", "1");
  const watch = await kv.watch();
  const things = [natskv, nc, kvm, kv, watch, await kv.get("a"), (await watch.next()).value, await kv.keys(), await kv.status(), nc.status(), nc.stats(), kvm.list()];
  for (const thing of things) {
    for (let at = thing; at && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
      ok(!Object.getOwnPropertyNames(at).includes("free"), `${thing.constructor?.name} has free()`);
    }
  }
  watch.stop();
}

async function list(iterable) {
  const items = [];
  for await (const item of iterable) {
    items.push(item);
  }
  return items;
}

function throws(action) {
  try {
    action();
  } catch (error) {
    return error;
  }
  throw new Error("did not throw");
}
