// How a client in JavaScript is driven, as serve.py does it; and what both clients here have in common, since natskv's names are those of
// @nats-io/kv.

import { createInterface } from "node:readline";

/** The call has nothing behind it in this client. */
export class Absent extends Error {}

export class Client {
  #lib;
  #nc;
  #kvm;
  #buckets = new Map();
  #watches = new Map();

  /** `lib`: `connect(url)`, `Kvm`, `version`, `config(options)` in its own spelling, `codec(name)`, and options of `open`. */
  constructor(lib) {
    this.#lib = lib;
  }

  async connect({ url }) {
    await this.close();
    this.#nc = await this.#lib.connect(url);
    this.#kvm = new this.#lib.Kvm(this.#nc);
    return this.#lib.version;
  }

  async close() {
    await this.#nc?.close();
    this.#nc = undefined;
    this.#buckets.clear();
    this.#watches.clear();
  }

  async create_bucket({ bucket, codec, history, ttl, limit_marker_ttl, mirror, metadata }) {
    const config = {
      ...(history && { history }),
      ...(ttl && { ttl: ttl * 1000 }),
      ...(limit_marker_ttl && { markerTTL: limit_marker_ttl * 1000 }),
      ...(mirror && { mirror: { name: mirror } }),
      ...(metadata && { metadata }),
      ...this.#codec(codec),
    };
    this.#buckets.set(bucket, await this.#kvm.create(bucket, config));
  }

  async open({ bucket, codec }) {
    this.#buckets.set(bucket, await this.#kvm.open(bucket, { ...this.#lib.open, ...this.#codec(codec) }));
  }

  put({ bucket, key, value }) {
    return this.#buckets.get(bucket).put(key, value);
  }

  create({ bucket, key, value, ttl }) {
    return this.#buckets.get(bucket).create(key, value, ttl && `${ttl}s`);
  }

  async update({ bucket, key, value, revision }) {
    return this.#buckets.get(bucket).update(key, value, revision);
  }

  async delete({ bucket, key }) {
    await this.#buckets.get(bucket).delete(key);
  }

  async purge({ bucket, key, ttl }) {
    await this.#buckets.get(bucket).purge(key, ttl && { ttl: `${ttl}s` });
  }

  async get({ bucket, key, revision }) {
    const found = await this.#buckets.get(bucket).get(key, revision && { revision });
    return found && described(found);
  }

  async keys({ bucket, filters }) {
    return (await all(await this.#buckets.get(bucket).keys(filters))).sort();
  }

  async history({ bucket, key }) {
    return (await all(await this.#buckets.get(bucket).history({ key }))).map(described);
  }

  async status({ bucket }) {
    const { values, history, ttl } = await this.#buckets.get(bucket).status();
    return { values, history, ttl: ttl / 1000 };
  }

  async watch({ bucket, name, filters, ignore_deletes }) {
    const options = { ...(filters && { key: filters }), ...(ignore_deletes && { ignoreDeletes: true }) };
    this.#watches.set(name, new Watch(await this.#buckets.get(bucket).watch(options)));
  }

  seen({ name, key, revision, within }) {
    return this.#watches.get(name).seen(key, revision, within * 1000);
  }

  async stop({ name }) {
    this.#watches.get(name).stop();
    this.#watches.delete(name);
    await this.#nc.flush();
  }

  #codec(name) {
    return name && { codec: this.#lib.codec(name) };
  }
}

class Watch {
  #items;
  #entries = [];
  #error;
  #grown = () => {};

  constructor(items) {
    this.#items = items;
    this.#read();
  }

  async #read() {
    try {
      for await (const item of this.#items) {
        this.#entries.push(described(item));
        this.#grown();
      }
    } catch (error) {
      this.#error = error;
      this.#grown();
    }
  }

  /** All entries, when one of them is `key` at `revision`, or when it is not after `ms`. */
  async seen(key, revision, ms) {
    const isThere = () => this.#error || this.#entries.some((entry) => entry.key === key && entry.revision === revision);
    let timer;
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, ms, true);
    });
    let isLate = false;
    while (!isThere() && !isLate) {
      const grown = new Promise((resolve) => {
        this.#grown = () => resolve(false);
      });
      isLate = await Promise.race([grown, late]);
    }
    clearTimeout(timer);
    if (this.#error) {
      throw this.#error;
    }
    return this.#entries;
  }

  stop() {
    this.#items.stop();
  }
}

async function all(items) {
  const found = [];
  for await (const item of items) {
    found.push(item);
  }
  return found;
}

function described({ key, value, revision, operation }) {
  return { key, value: Buffer.from(value).toString("base64"), revision, operation };
}

async function call(client, { do: name, value, ...rest }) {
  if (typeof client[name] !== "function") {
    return { absent: name };
  }
  try {
    const decoded = value === undefined ? {} : { value: new Uint8Array(Buffer.from(value, "base64")) };
    return { ok: (await client[name]({ ...rest, ...decoded })) ?? null };
  } catch (error) {
    if (error instanceof Absent) {
      return { absent: error.message };
    }
    const { code, apiCode } = error;
    return { error: { name: error.name, message: String(error.message), code, api_code: apiCode } };
  }
}

/** Answers until stdin closes. */
export async function serve(client) {
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await call(client, JSON.parse(line)))}\n`);
  }
  await client.close();
}
