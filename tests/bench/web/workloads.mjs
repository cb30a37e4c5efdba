// What natskv and nats.js are asked for in the same words, in Node and in a page. Where their words differ, `api` has each's own.
//
// A workload first prepares, which connects and warms up, and gives what is then measured. That gives what it did, and a check:
// a fast wrong answer is a failure.

const MANY = 1000;
const REVISIONS = 64;
const LARGE = 4;
const TASKS = 8;
const INCREMENTS = 250;
const COUNTER = "bench.counter";
const HISTORY = "bench.h";

const ascii = new TextEncoder();

export const WORKLOADS = {
  W1: ["puts", (kv, plan) => puts(kv, plan, 1)],
  W2: ["bench", (kv, plan) => gets(kv, plan, 1)],
  W3: ["puts", (kv, plan) => puts(kv, plan, 256)],
  W4: ["bench", (kv, plan) => gets(kv, plan, 256)],
  W5: ["bench", snapshot],
  W6: ["live", live],
  W7k: ["bench", keys],
  W7h: ["history", histories],
  W8p: ["large", largePuts],
  W8g: ["large", largeGets],
  W9: ["counter", increments],
  W10: ["bench", manyGets],
  W10p: ["puts", manyPuts],
  W11: ["bench", oneGet],
};

/**
 * `plan` is { workload, url, keys, seconds }, `api` is { connect(url), open(connection, bucket), close(connection), isConflict(error),
 * getMany(kv, keys), putMany(kv, pairs) }. Gives { measure, end }.
 */
export async function prepare(api, plan) {
  const [bucket, workload] = WORKLOADS[plan.workload];
  const connection = await api.connect(plan.url);
  const kv = await api.open(connection, bucket);
  return { measure: await workload(kv, plan, api), end: () => api.close(connection) };
}

/** Number n has revision n + 1 in `bench`. */
function allKeys(count) {
  return Array.from({ length: count }, (_, number) => `bench.k${digits(number)}`);
}

/** 128 bytes, or as many as are wanted, that begin with a number. */
function value(number, size = 128) {
  return ascii.encode(digits(number).padEnd(size, "x"));
}

function digits(number) {
  return String(number).padStart(6, "0");
}

function check(isRight, what) {
  if (!isRight) {
    throw new Error(`wrong: ${what}`);
  }
}

function isEqual(some, other) {
  return some.length === other.length && some.every((byte, at) => byte === other[at]);
}

/** Writes follow each other without a gap, in whatever order they were answered. */
function checkRevisions(revisions) {
  const sorted = Float64Array.from(revisions).sort();
  check(sorted.every((revision, at) => revision === sorted[0] + at), `${sorted.length} writes have revisions with gaps`);
}

async function puts(kv, plan, window) {
  const [names, values] = [allKeys(plan.keys), Array.from({ length: MANY }, (_, number) => value(number))];
  let number = 0;
  let revisions = [];
  let waits = [];
  const work = async (until) => {
    let now = performance.now();
    while (now < until) {
      const at = number++;
      revisions.push(await kv.put(names[at % plan.keys], values[at % MANY]));
      const before = now;
      now = performance.now();
      waits.push(now - before);
    }
  };
  await together(work, window, plan.seconds / 5);
  revisions = [];
  waits = [];
  return async () => {
    const seconds = await together(work, window, plan.seconds);
    const last = number - 1;
    const isRight = async () => {
      checkRevisions(revisions);
      check(isEqual((await kv.get(names[last % plan.keys])).value, values[last % MANY]), "the last value");
    };
    return { ops: revisions.length, seconds, waits, isRight };
  };
}

async function gets(kv, plan, window) {
  const names = allKeys(plan.keys);
  let number = 0;
  let sizes = 0;
  let waits = [];
  const work = async (until) => {
    let now = performance.now();
    while (now < until) {
      const at = number++ % plan.keys;
      const entry = await kv.get(names[at]);
      check(entry.revision === at + 1, "the revision");
      sizes += entry.value.length;
      const before = now;
      now = performance.now();
      waits.push(now - before);
    }
  };
  await together(work, window, plan.seconds / 5);
  sizes = 0;
  waits = [];
  return async () => {
    const seconds = await together(work, window, plan.seconds);
    const isRight = async () => {
      check(sizes === 128 * waits.length, "the sizes");
      check(isEqual((await kv.get(names.at(-1))).value, value(plan.keys - 1)), "the last value");
    };
    return { ops: waits.length, seconds, waits, isRight };
  };
}

/** So many at it side by side, for so many seconds; gives how long it really took. */
async function together(work, window, seconds) {
  const start = performance.now();
  await Promise.all(Array.from({ length: window }, () => work(start + seconds * 1000)));
  return since(start);
}

function since(start) {
  return (performance.now() - start) / 1000;
}

async function snapshot(kv, plan) {
  return async () => {
    const start = performance.now();
    let [count, revisions, bytes] = [0, 0, 0];
    for await (const entry of await kv.watch()) {
      count++;
      revisions += entry.revision;
      bytes += entry.key.length + entry.value.length;
      if (count === plan.keys) {
        break;
      }
    }
    const isRight = () => {
      check(revisions === (plan.keys * (plan.keys + 1)) / 2, "the revisions");
      check(bytes === plan.keys * ("bench.k000000".length + 128), "the sizes of keys and values");
    };
    return { ops: plan.keys, seconds: since(start), isRight };
  };
}

async function live(kv, plan) {
  const watch = await kv.watch();
  return async () => {
    let [count, start, last] = [0, 0, ""];
    for await (const entry of watch) {
      if (count === 0) {
        start = performance.now();
      }
      if (++count === plan.keys) {
        last = entry.key;
        break;
      }
    }
    const isRight = () => check(last === `bench.k${digits(plan.keys - 1)}`, "the last key");
    return { ops: plan.keys - 1, seconds: since(start), isRight };
  };
}

async function keys(kv, plan) {
  return async () => {
    const start = performance.now();
    const found = [];
    for await (const key of await kv.keys()) {
      found.push(key);
    }
    const seconds = since(start);
    const isRight = () => check(found.sort().join() === allKeys(plan.keys).join(), `the keys, ${found.length} of ${plan.keys}`);
    return { ops: plan.keys, seconds, isRight };
  };
}

function histories(kv, plan) {
  return repeated(plan, 1, async () => {
    const entries = [];
    for await (const entry of await kv.history({ key: HISTORY })) {
      entries.push(entry);
    }
    check(entries.length === REVISIONS, `${entries.length} revisions`);
    check(isEqual(entries.at(-1).value, value(REVISIONS - 1)) && entries.at(-1).key === HISTORY, "the last value");
  });
}

function largePuts(kv, plan) {
  const values = Array.from({ length: LARGE }, (_, number) => value(number, 1 << 20));
  const revisions = [];
  const put = async () => {
    const number = revisions.length % LARGE;
    revisions.push(await kv.put(`bench.large${number}`, values[number]));
  };
  return repeated(plan, 1, put, async () => {
    checkRevisions(revisions);
    check(isEqual((await kv.get("bench.large0")).value, values[0]), "the value");
  });
}

function largeGets(kv, plan) {
  let number = 0;
  const get = async () => check((await kv.get(`bench.large${number++ % LARGE}`)).value.length === 1 << 20, "the size");
  return repeated(plan, 1, get, async () => check(isEqual((await kv.get("bench.large1")).value, value(1, 1 << 20)), "the value"));
}

/** Each reads and writes back until nobody came between. */
async function increments(kv, plan, api) {
  const number = (entry) => Number(new TextDecoder().decode(entry.value));
  const countUp = async () => {
    for (let done = 0; done < INCREMENTS; ) {
      const entry = await kv.get(COUNTER);
      try {
        await kv.update(COUNTER, ascii.encode(String(number(entry) + 1)), entry.revision);
        done++;
      } catch (error) {
        if (!api.isConflict(error)) {
          throw error;
        }
      }
    }
  };
  return async () => {
    const start = performance.now();
    await Promise.all(Array.from({ length: TASKS }, countUp));
    const seconds = since(start);
    const isRight = async () => check(number(await kv.get(COUNTER)) === TASKS * INCREMENTS, "the count");
    return { ops: TASKS * INCREMENTS, seconds, isRight };
  };
}

function manyGets(kv, plan, api) {
  const names = allKeys(MANY);
  return repeated(plan, MANY, async () => {
    const entries = await api.getMany(kv, names);
    check(entries.reduce((sum, entry) => sum + entry.revision, 0) === (MANY * (MANY + 1)) / 2, "the revisions");
    check(isEqual(entries.at(-1).value, value(MANY - 1)), "the last value");
  });
}

function manyPuts(kv, plan, api) {
  const pairs = allKeys(MANY).map((key, number) => [key, value(number)]);
  const revisions = [];
  const put = async () => revisions.push(...(await api.putMany(kv, pairs)));
  return repeated(plan, MANY, put, async () => {
    checkRevisions(revisions);
    check(isEqual((await kv.get(pairs.at(-1)[0])).value, pairs.at(-1)[1]), "the last value");
  });
}

async function oneGet(kv) {
  return async () => {
    const found = await kv.get("bench.k000000");
    const atUs = Math.round((performance.timeOrigin + performance.now()) * 1000);
    return { atUs, ms: performance.now(), isRight: () => check(isEqual(found.value, value(0)), "the first key") };
  };
}

/** Calls that do so many operations each, for as long as is asked, after a warm-up. */
async function repeated(plan, ops, call, isRight = () => {}) {
  const run = async (seconds) => {
    const start = performance.now();
    let calls = 0;
    while (since(start) < seconds) {
      await call();
      calls++;
    }
    return { ops: calls * ops, seconds: since(start), isRight };
  };
  await run(plan.seconds / 5);
  return () => run(plan.seconds);
}
