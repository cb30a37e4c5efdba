/** Buckets: opening, making, changing, listing. */

import { millis, text } from "./check.js";
import { Connection, type Start } from "./connection.js";
import { invalid } from "./errors.js";
import { lister } from "./iterator.js";
import { KV } from "./kv.js";
import { bucketConfig, bucketStatus } from "./options.js";
import type { CallOptions, KvOpenOptions, KvOptions, KvStatus, Lister, NatsConnection } from "./types.js";

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
   * `BUCKET_EXISTS`, and the message lists what differs.
   */
  async create(name: string, options?: Partial<KvOptions>): Promise<KV> {
    if (options?.bindOnly) {
      return this.open(name, options);
    }
    const config = bucketConfig(text("bucket", name), options);
    const id = await this.#call<number>(options, (engine, timeout, now) => engine.create_bucket(config, true, timeout, now));
    return this.#kv(name, id, options);
  }

  /** A handle. Nothing is sent, so a bucket that is not there shows at the first call; with `check`, here. */
  async open(name: string, options?: KvOpenOptions): Promise<KV> {
    text("bucket", name);
    options?.signal?.throwIfAborted();
    const id = options?.check
      ? await this.#call<number>(options, (engine, timeout, now) => engine.open(name, timeout, now))
      : this.#nc.now((engine) => engine.bind(name));
    return this.#kv(name, id, options);
  }

  /** Changes the options given, and no others; rejects with `BUCKET_NOT_FOUND` where there is no such bucket. */
  async update(name: string, options: Partial<KvOptions>): Promise<KV> {
    const config = bucketConfig(text("bucket", name), options);
    const id = await this.#call<number>(options, (engine, timeout, now) => engine.update_bucket(config, timeout, now));
    return this.#kv(name, id, options);
  }

  /** {@link update}, or {@link create} where there is no such bucket. */
  async createOrUpdate(name: string, options?: Partial<KvOptions>): Promise<KV> {
    const config = bucketConfig(text("bucket", name), options);
    const id = await this.#call<number>(options, (engine, timeout, now) => engine.create_or_update_bucket(config, timeout, now));
    return this.#kv(name, id, options);
  }

  /** Deletes a bucket with all that is in it; rejects with `BUCKET_NOT_FOUND` where there is none. */
  async delete(name: string, options?: CallOptions): Promise<boolean> {
    text("bucket", name);
    await this.#call(options, (engine, timeout, now) => engine.delete_bucket(name, timeout, now));
    return true;
  }

  /** {@link create} from the JSON form that all languages share (durations in nanoseconds), as an object or as text. */
  async createFromJson(json: string | { bucket: string; [field: string]: unknown }, options?: CallOptions): Promise<KV> {
    const config = typeof json === "object" ? JSON.stringify(json) : text("json", json);
    const id = await this.#call<number>(options, (engine, timeout, now) => engine.create_bucket(config, true, timeout, now));
    return this.#kv(JSON.parse(config).bucket, id, options);
  }

  /** All buckets with their status, sorted by name. */
  list(options?: CallOptions): Lister<KvStatus> {
    return lister(async () => {
      const all = await this.#call<string>(options, (engine, timeout, now) => engine.bucket_list(timeout, now));
      return JSON.parse(all).map(bucketStatus);
    });
  }

  /** The names of all buckets, sorted. */
  names(options?: CallOptions): Lister<string> {
    return lister(() => this.#call<string[]>(options, (engine, timeout, now) => engine.bucket_names(timeout, now)));
  }

  #call<T>(options: CallOptions | undefined, start: Start): Promise<T> {
    return this.#nc.call("", options, undefined, start);
  }

  #kv(name: string, id: number, options: CallOptions | undefined): KV {
    return new KV(this.#nc, name, id, millis("timeout", options?.timeout));
  }
}
