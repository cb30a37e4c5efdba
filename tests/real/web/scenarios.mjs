// Runs a scenario (tests/scenarios/README.md) through the typed API, or through `execute`. The same module serves Node and
// the page.

import { contains, eventually, ok, within } from "./expect.mjs";

const NEXT_MS = 25_000;
const NOTHING_MS = 200;
const NANOS_PER_MILLI = 1e6;

/** Both ways in which a scenario runs. */
export const FORMS = ["typed", "execute"];

const TYPED_ONLY = ["ENTRY", "STATUS"];

/** Whether `execute` takes the step's operation. */
function hasJsonForm({ do: operation }) {
  const name = operation?.operation ?? "BUCKETS";
  return !name.includes("BUCKET") && !TYPED_ONLY.includes(name) && operation.options === undefined;
}

/** Whether the scenario runs in this form: through `execute` when that takes any of its steps. */
export function runsIn(form, scenario) {
  return form === "typed" || scenario.steps.some(hasJsonForm);
}

/** Throws at the first step that does not give what it must. */
export async function runScenario(scenario, { Kvm }, nc, form) {
  const run = { kvm: new Kvm(nc), handles: new Map(), watches: new Map(), bucket: scenario.bucket?.bucket, form };
  if (scenario.bucket) {
    run.handles.set(run.bucket, await create(run.kvm, scenario.bucket, handleOptions(scenario)));
  }
  try {
    for (const [at, step] of scenario.steps.entries()) {
      try {
        await runStep(step, run);
      } catch (error) {
        error.message = `step ${at + 1} ${JSON.stringify(step)}: ${error.message}`;
        throw error;
      }
    }
    await noneLeftBehind(run.kvm);
  } finally {
    run.watches.forEach((watch) => watch.stop());
    if (scenario.bucket) {
      await run.kvm.delete(run.bucket).catch(() => {});
    }
  }
}

async function runStep(step, run) {
  if (run.form === "execute" && hasJsonForm(step)) {
    const kv = await outcome(() => handle(run, step.do));
    const reply = kv.error ? kv : await outcome(async () => executed(await kv.value.execute(jsonForm(step.do))));
    return judge(reply, { ...step, expect: inJsonForm(step) });
  }
  if ("do" in step) {
    const reply = await outcome(() => perform(step.do, run));
    return judge(reply, step);
  }
  if ("watch" in step) {
    const reply = await outcome(async () => {
      const kv = await handle(run, step);
      run.watches.set(step.watch, await Watch.open(kv, step.filters, step.options));
      return {};
    });
    return judge(reply, { expect: {}, ...step });
  }
  if ("next" in step) {
    const watch = run.watches.get(step.next);
    if (step.expect === "NOTHING") {
      const item = await watch.peek(NOTHING_MS);
      return ok(item === undefined, `got ${JSON.stringify(item)}, expected nothing`);
    }
    return judge(await outcome(() => watch.next()), typeof step.expect === "string" ? { expect: { marker: step.expect } } : step);
  }
  if ("stop" in step) {
    return run.watches.get(step.stop).end();
  }
  throw new Error("a step that this runner does not know");
}

/** The reply of `action`, or its error. */
async function outcome(action) {
  try {
    return { value: await action() };
  } catch (error) {
    return { error };
  }
}

function judge({ value, error }, step) {
  if (step.error === undefined) {
    if (error) {
      throw error;
    }
    return contains(value, step.expect ?? {});
  }
  const expected = typeof step.error === "string" ? { kind: step.error } : step.error;
  ok(error, `got ${JSON.stringify(value)}, expected the error ${expected.kind}`);
  ok(error.code === expected.kind, `got ${error.code ?? error.name} (${error.message}), expected ${expected.kind}`);
  if (error.isAbsence) {
    return; // null has no details
  }
  ok(expected.revision === undefined || error.revision === expected.revision, `the error's revision is ${error.revision}`);
  ok(expected.api_code === undefined || error.apiCode === expected.api_code, `the error's api_code is ${error.apiCode}`);
  for (const text of expected.says ?? []) {
    ok(error.message.includes(text), `the message lacks ${JSON.stringify(text)}: ${error.message}`);
  }
}

async function perform(operation, run) {
  const { kvm } = run;
  switch (operation.operation) {
    case "CREATE_BUCKET":
      return opened(await create(kvm, operation.config, { ...handleOptions(operation), onDrift: operation.on_drift }));
    case "UPDATE_BUCKET":
      return opened(await kvm.update(operation.config.bucket, { ...options(operation.config), ...handleOptions(operation) }));
    case "CREATE_OR_UPDATE_BUCKET":
      return opened(await kvm.createOrUpdate(operation.config.bucket, { ...options(operation.config), ...handleOptions(operation) }));
    case "DELETE_BUCKET":
      await kvm.delete(operation.bucket);
      return {};
    case "OPEN_BUCKET":
      return opened(await kvm.open(operation.bucket, { check: true, ...handleOptions(operation) }));
    case "BUCKETS":
      return { buckets: await kvm.names().next() };
  }
  const kv = await handle(run, operation);
  const { key, revision } = operation;
  const ttl = millis(operation.ttl);
  switch (operation.operation) {
    case "PUT":
      return { revision: await kv.put(key, value(operation), { previousSeq: revision, ttl }) };
    case "PUT_MANY": {
      const values = Object.entries(operation.values ?? {}).map(([key, base64]) => [key, fromBase64(base64)]);
      const written = await kv.putMany([...values, ...Object.entries(operation.values_text ?? {})]);
      const results = [...written].map(([key, result]) => [key, typeof result === "number" ? result : result.code]);
      return { results: Object.fromEntries(results) };
    }
    case "TOUCH":
      return { revision: await kv.touch(key, ttl) };
    case "GET":
      return present(await kv.get(key, revision === undefined ? {} : { revision }));
    case "ENTRY":
      return present(await kv.entry(key));
    case "GET_MANY": {
      const found = await kv.getMany(operation.keys);
      return { entries: [...found.values()].map(plain), as_of: found.asOf };
    }
    case "ENTRIES":
      return { entries: (await all(await kv.entries(operation.filters ?? operation.filter))).map(plain) };
    case "COUNT":
      return { count: await kv.count(operation.filters ?? operation.filter) };
    case "CLEAR":
      return { purged: await kv.clear(operation.prefix) };
    case "CREATE":
      return { revision: await kv.create(key, value(operation), ttl) };
    case "UPDATE":
      return { revision: await kv.update(key, value(operation), revision, { ttl }) };
    case "DELETE":
      return { revision: await kv.delete(key, revision === undefined ? {} : { previousSeq: revision }) };
    case "PURGE":
      return { revision: await kv.purge(key, { previousSeq: revision, ttl }) };
    case "HISTORY": {
      if (/[*>]/.test(key)) {
        return executed(await kv.execute(operation)); // in JavaScript alone, `history` takes filters too
      }
      const entries = await all(await kv.history({ key }));
      return { entries: entries.filter((entry) => operation.include_deleted || entry.operation === "PUT").map(plain) };
    }
    case "LIST":
      return { keys: (await all(await kv.keys(operation.filters ?? operation.filter))).sort() };
    case "WATCH": {
      const watch = await Watch.open(kv, operation.filters ?? operation.filter, operation.options);
      const entries = [];
      for (let item = await watch.next(); item.marker !== "CAUGHT_UP"; item = await watch.next()) {
        entries.push(item);
      }
      watch.stop();
      return { entries };
    }
    case "PURGE_DELETES":
      return { purged: (await kv.purgeDeletes(millis(operation.older_than))).purged };
    case "STATUS": {
      const status = await kv.status();
      return { ...status, ttl: status.ttl * NANOS_PER_MILLI, compressed: status.compression, key_policy: status.keyPolicy };
    }
    default:
      throw new Error(`operation ${operation.operation} is not known to this runner`);
  }
}

/**
 * nats-server 2.15.1 removes its folder of streams with the last stream, and a create that comes meanwhile fails now and
 * then with "error creating store for stream" (10049): once more, then.
 */
async function create(kvm, config, handle) {
  try {
    return await kvm.createFromJson(config, handle);
  } catch (error) {
    if (error.apiCode !== 10049) {
      throw error;
    }
    return kvm.createFromJson(config, handle);
  }
}

/** The options that open a handle as `handle` describes it. */
function handleOptions({ handle: { keys, leader_reads, read_only, reserved_keys } = {} }) {
  const policy = keys === "strict" || keys === "permissive" ? { keyPolicy: keys } : { codec: keys };
  const given = { ...policy, leaderReads: leader_reads, readOnly: read_only, reservedKeys: reserved_keys };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

function opened({ keyPolicy, readOnly, drift }) {
  return { key_policy: keyPolicy, read_only: readOnly, drift };
}

/** No bucket has a consumer when what is on its way has arrived. */
async function noneLeftBehind(kvm) {
  const hasNone = async () => (await all(kvm.list())).every(({ streamInfo }) => streamInfo.state.consumer_count === 0);
  await eventually(hasNone, "no consumers left behind");
}

/** A bucket that is not the scenario's is opened by asking the server, as is a handle of another kind. */
async function handle(run, { bucket = run.bucket, handle }) {
  const name = JSON.stringify([bucket, handle]);
  const known = handle === undefined && bucket === run.bucket ? run.handles.get(bucket) : run.handles.get(name);
  if (known) {
    return known;
  }
  const kv = await run.kvm.open(bucket, { check: true, ...handleOptions({ handle }) });
  run.handles.set(name, kv);
  return kv;
}

/** A watch as a list of items, the end of the initial values among them. */
class Watch {
  #items = [];
  #wake = () => {};

  static async open(kv, key, options = {}) {
    const watch = new Watch();
    const include = options.include_history && options.updates_only ? "both" : options.include_history ? "history" : options.updates_only ? "updates" : "";
    watch.iterator = await kv.watch({
      key,
      include,
      ignoreDeletes: options.ignore_deletes ?? false,
      headers_only: options.meta_only ?? false,
      resumeFromRevision: options.resume_from_revision,
      initializedFn: () => watch.#push({ marker: "CAUGHT_UP" }),
      resetFn: () => watch.#push({ marker: "RESET" }),
    });
    watch.#read();
    return watch;
  }

  async #read() {
    try {
      for await (const entry of this.iterator) {
        this.#push(plain(entry));
      }
      this.#push({ marker: "END" });
    } catch (error) {
      this.#push({ error });
    }
  }

  #push(item) {
    this.#items.push(item);
    this.#wake();
  }

  async next() {
    while (this.#items.length === 0) {
      await within(NEXT_MS, new Promise((resolve) => (this.#wake = resolve)), "the watch's next item");
    }
    const item = this.#items.shift();
    if (item.error) {
      throw item.error;
    }
    return item;
  }

  /** What comes within `ms`, left in place. */
  async peek(ms) {
    if (this.#items.length === 0) {
      await Promise.race([new Promise((resolve) => (this.#wake = resolve)), new Promise((resolve) => setTimeout(resolve, ms))]);
    }
    return this.#items[0];
  }

  stop() {
    this.iterator.stop();
  }

  /** Stops it, and sees the iteration end. */
  async end() {
    this.stop();
    for (let item = await this.next(); item.marker !== "END"; item = await this.next());
  }
}

async function all(iterable) {
  const items = [];
  for await (const item of iterable) {
    items.push(item);
  }
  return items;
}

function present(entry) {
  if (entry === null) {
    throw Object.assign(new Error("null"), { code: "KEY_NOT_FOUND", isAbsence: true });
  }
  return plain(entry);
}

/** The operation as `execute` takes it. */
function jsonForm({ bucket: _, handle: __, value_size, ...operation }) {
  return value_size === undefined ? operation : { ...operation, value_text: "x".repeat(value_size) };
}

/** The reply of `execute` in the scenarios' form. */
function executed(reply) {
  if (reply.kind !== undefined) {
    const { description, err_code } = reply.error;
    throw Object.assign(new Error(description), { code: reply.kind, revision: reply.revision, apiCode: err_code });
  }
  for (const [key, result] of Object.entries(reply.results ?? {})) {
    reply.results[key] = result.kind ?? result;
  }
  const whole = (entry) => ("value" in entry ? plain({ ...entry, value: fromBase64(entry.value) }) : entry);
  return reply.entries ? { ...reply, entries: reply.entries.map(whole) } : whole(reply);
}

/** What the JSON form gives of what is expected: WATCH leaves markers out, and entries have fewer fields. */
function inJsonForm({ do: { operation }, expect }) {
  const bare = ({ raw_key, ttl, ...rest }) => rest;
  if (!expect?.entries) {
    return expect && bare(expect);
  }
  const shown = expect.entries.filter((entry) => operation !== "WATCH" || (entry.operation ?? "PUT") === "PUT");
  return { ...expect, entries: shown.map(bare) };
}

/** An entry in the scenarios' form. */
function plain({ bucket, key, rawKey, value, revision, operation, delta, length = value.length, ttl }) {
  const text = new TextDecoder().decode(value);
  const base64 = btoa(Array.from(value, (byte) => String.fromCharCode(byte)).join(""));
  const nanos = ttl === undefined ? undefined : ttl * NANOS_PER_MILLI;
  return { bucket, key, raw_key: rawKey, value: base64, value_text: text, revision, operation, delta, length, ttl: nanos };
}

function value({ value, value_text, value_size }) {
  if (value_size !== undefined) {
    return new Uint8Array(value_size).fill("x".charCodeAt(0));
  }
  return value === undefined ? (value_text ?? "") : fromBase64(value);
}

function fromBase64(text) {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}

function millis(nanos) {
  return nanos === undefined ? undefined : nanos / NANOS_PER_MILLI;
}

/** SPEC.md's JSON as KvOptions; what has no other name there goes through. */
function options({ bucket: _, max_value_size, max_bucket_size, num_replicas, ttl, limit_marker_ttl, compression, ...rest }) {
  const renamed = {
    maxValueSize: max_value_size,
    max_bytes: max_bucket_size,
    replicas: num_replicas,
    ttl: millis(ttl),
    markerTTL: millis(limit_marker_ttl),
    compression: compression === undefined ? undefined : compression === true || compression === "s2",
  };
  return { ...rest, ...Object.fromEntries(Object.entries(renamed).filter(([, value]) => value !== undefined)) };
}
