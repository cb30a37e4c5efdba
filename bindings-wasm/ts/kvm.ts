/** Buckets: opening, making, changing, listing. */

import { millis, text } from "./check.js";
import { Connection, NOBODY, type Opened } from "./connection.js";
import { invalid } from "./errors.js";
import { lister } from "./iterator.js";
import { KV } from "./kv.js";
import { bucketConfig, bucketStatus, Handle } from "./options.js";
import type { CallOptions, KvOpenOptions, KvOptions, KvStatus, Lister, NatsConnection } from "./types.js";
import { type Ask, Verb } from "./verb.js";

/** The buckets that a connection can see. */
export class Kvm {
  readonly #nc: Connection;

  /** `nc` comes from `connect()`. */
  constructor(nc: NatsConnection) {
    if (!(nc instanceof Connection)) {
      throw invalid("new Kvm(nc): nc must be a connection that natskv's connect() gave");
    }
    this.#nc = nc;
  }

  /**
   * Makes a bucket, or opens an existing one that has the options given; where one of them differs it rejects with
   * `BUCKET_EXISTS`, and the message lists what differs. With `onDrift` it opens it as it is, or changes it, and `kv.drift` lists that.
   */
  async create(name: string, options?: Partial<KvOptions>): Promise<KV> {
    if (options?.bindOnly) {
      return this.open(name, options);
    }
    return this.#config(Verb.CreateBucket, name, options);
  }

  /** A handle. Nothing is sent, so a bucket that is not there shows at the first call; with `check`, here. */
  async open(name: string, options?: KvOpenOptions): Promise<KV> {
    text("bucket", name);
    const handle = new Handle(options);
    const timeout = millis("timeout", options?.timeout);
    if (options?.check) {
      return this.#open({ verb: Verb.Open, text: name }, options);
    }
    options?.signal?.throwIfAborted();
    const id = this.#nc.now({ verb: Verb.Bind, text: name, number: handle.flags });
    const opened = { id, bucket: name, keyPolicy: handle.keyPolicy ?? "strict", readOnly: options?.readOnly ?? false, drift: [] };
    return new KV(this.#nc, opened, handle.codec, timeout);
  }

  /** Changes the options given, and no others; rejects with `BUCKET_NOT_FOUND` where there is no such bucket. */
  async update(name: string, options: Partial<KvOptions>): Promise<KV> {
    return this.#config(Verb.UpdateBucket, name, options);
  }

  /** {@link update}, or {@link create} where there is no such bucket. */
  async createOrUpdate(name: string, options?: Partial<KvOptions>): Promise<KV> {
    return this.#config(Verb.CreateOrUpdateBucket, name, options);
  }

  /** Deletes a bucket with all that is in it; rejects with `BUCKET_NOT_FOUND` where there is none. */
  async delete(name: string, options?: CallOptions): Promise<boolean> {
    await this.#call({ verb: Verb.DeleteBucket, text: text("bucket", name) }, options);
    return true;
  }

  /**
   * {@link create} from the JSON form that all languages share (durations in nanoseconds), as an object or as text. Of the options only
   * those of the handle count: `keyPolicy`, a codec object, `leaderReads`, `readOnly`, `reservedKeys`, `onDrift`, `timeout`, `signal`.
   */
  async createFromJson(json: string | { bucket: string; [field: string]: unknown }, options?: Partial<KvOptions>): Promise<KV> {
    const config = typeof json === "object" ? JSON.stringify(json) : text("json", json);
    return this.#open({ verb: Verb.CreateBucket, text: config }, options);
  }

  /** All buckets with their status, sorted by name. */
  list(options?: CallOptions): Lister<KvStatus> {
    return lister(async () => JSON.parse(await this.#call<string>({ verb: Verb.BucketList }, options)).map(bucketStatus));
  }

  /** The names of all buckets, sorted. */
  names(options?: CallOptions): Lister<string> {
    return lister(() => this.#call<string[]>({ verb: Verb.BucketNames }, options));
  }

  #config(verb: Verb, name: string, options: Partial<KvOptions> | undefined): Promise<KV> {
    return this.#open({ verb, text: bucketConfig(text("bucket", name), options) }, options);
  }

  async #open(ask: Ask, options: Partial<KvOptions> | undefined): Promise<KV> {
    const handle = new Handle(options);
    const timeout = millis("timeout", options?.timeout);
    const opened = await this.#call<Opened>({ ...ask, number: handle.flags }, options);
    return new KV(this.#nc, opened, handle.codec, timeout);
  }

  #call<T>(ask: Ask, options: CallOptions | undefined): Promise<T> {
    return this.#nc.call(NOBODY, ask, options, undefined);
  }
}
