/** A bucket's handle: each verb converts its arguments, starts in the engine, and hands out the promise. */

import { filters, millis, payload, revision, safe, text } from "./check.js";
import type { Connection, Start } from "./connection.js";
import { invalid } from "./errors.js";
import { Items } from "./iterator.js";
import { bucketStatus } from "./options.js";
import {
  type CallOptions,
  type Duration,
  type KvCreateOptions,
  type KvDeleteOptions,
  type KvEntry,
  type KvGetOptions,
  type KvHistoryOptions,
  type KvOperation,
  type KvPurgeOptions,
  type KvPutOptions,
  type KvStatus,
  type KvWatchEntry,
  KvWatchInclude,
  type KvWatchOptions,
  type Payload,
  type PurgeResponse,
  type QueuedIterator,
} from "./types.js";
import { Watcher } from "./watcher.js";

const HALF_AN_HOUR_MS = 30 * 60 * 1000;

/**
 * A bucket. Get one from {@link Kvm}.
 *
 * Every method rejects with a {@link KvError}; arguments that break a rule do so before anything is sent.
 */
export class KV {
  /** The bucket's name. */
  readonly bucket: string;
  readonly #nc: Connection;
  readonly #id: number;
  readonly #timeout: number | undefined;

  /** @internal */
  constructor(nc: Connection, bucket: string, id: number, timeout: number | undefined) {
    this.#nc = nc;
    this.bucket = bucket;
    this.#id = id;
    this.#timeout = timeout;
  }

  /** The live value of `k`, or null: never written, deleted, purged or expired. With `revision`, the value at that one. */
  async get(k: string, options?: KvGetOptions): Promise<KvEntry | null> {
    const [key, at] = [text("key", k), optionalRevision("revision", options?.revision)];
    return this.#call(options, (engine, timeout, now) => engine.get(this.#id, key, at, timeout, now), true);
  }

  /** The newest entry of `k`, also when it is a delete or purge marker; null if there is none. */
  async entry(k: string, options?: CallOptions): Promise<KvEntry | null> {
    const key = text("key", k);
    return this.#call(options, (engine, timeout, now) => engine.entry(this.#id, key, timeout, now), true);
  }

  /** Writes `k`; gives the new revision. With `previousSeq` it is an {@link update}. */
  async put(k: string, data: Payload, options?: KvPutOptions): Promise<number> {
    if (options?.previousSeq != null) {
      return this.update(k, data, options.previousSeq, options);
    }
    const [key, value] = [text("key", k), payload(data)];
    return this.#call(options, (engine, timeout, now) => engine.put(this.#id, key, value, timeout, now));
  }

  /**
   * Writes `k` if it has no live value, else rejects with `KEY_EXISTS`; gives the new revision.
   * `markerTTL`: the value's lifetime, at least 1 s, in buckets with `markerTTL`. Default: for ever. Options may take its place.
   */
  async create(k: string, data: Payload, markerTTL?: Duration | KvCreateOptions, options?: CallOptions): Promise<number> {
    const given: KvCreateOptions = typeof markerTTL === "object" ? { ...options, ...markerTTL } : { ...options, markerTTL: markerTTL ?? 0 };
    const [key, value, ttl] = [text("key", k), payload(data), millis("markerTTL", given.markerTTL)];
    return this.#call(given, (engine, timeout, now) => engine.create(this.#id, key, value, ttl, timeout, now));
  }

  /**
   * Writes `k` if its newest revision is `previous`, else rejects with `WRONG_REVISION` and the actual one in `revision`;
   * gives the new revision. The last argument may be a timeout in milliseconds.
   */
  async update(k: string, data: Payload, previous: number, options?: CallOptions | number): Promise<number> {
    const [key, value, at] = [text("key", k), payload(data), revision("revision", previous)];
    const call = typeof options === "number" ? { timeout: options } : options;
    return this.#call(call, (engine, timeout, now) => engine.update(this.#id, key, value, at, timeout, now));
  }

  /** Puts a delete marker, also where there was no such key; gives its revision. Earlier revisions stay in the history. */
  async delete(k: string, options?: KvDeleteOptions): Promise<number> {
    const [key, at] = [text("key", k), optionalRevision("previousSeq", options?.previousSeq)];
    return this.#call(options, (engine, timeout, now) => engine.delete(this.#id, key, at, timeout, now));
  }

  /** Puts a purge marker and removes all earlier revisions; gives its revision. */
  async purge(k: string, options?: KvPurgeOptions): Promise<number> {
    const [key, at] = [text("key", k), optionalRevision("previousSeq", options?.previousSeq)];
    const ttl = millis("ttl", options?.ttl);
    return this.#call(options, (engine, timeout, now) => engine.purge(this.#id, key, at, ttl, timeout, now));
  }

  /**
   * Live keys that match any filter (none given: all), each once, in the order of their newest revision. Without a filter,
   * options may take its place.
   */
  async keys(filter?: string | string[] | CallOptions, options?: CallOptions): Promise<QueuedIterator<string>> {
    const isOptions = typeof filter === "object" && !Array.isArray(filter);
    const any = filters(isOptions ? undefined : filter);
    const call = isOptions ? (filter ?? options) : options;
    return Items.of(await this.#call<string[]>(call, (engine, timeout, now) => engine.keys(this.#id, any, timeout, now)));
  }

  /**
   * All kept revisions, oldest first, markers included. For one key that was never written it rejects with
   * `KEY_NOT_FOUND`; for filters, or no `key` at all, there may be nothing.
   */
  async history(options?: KvHistoryOptions): Promise<QueuedIterator<KvWatchEntry>> {
    const any = filters(options?.key);
    const [key] = any;
    if (any.length === 1 && key !== undefined && !/[*>]/.test(key) && !options?.headers_only) {
      const entries = await this.#call<KvEntry[]>(options, (engine, timeout, now) => engine.history(this.#id, key, timeout, now));
      return Items.of(entries.map((entry) => Object.assign(entry, { isUpdate: false })));
    }
    return Watcher.open(this.#nc, this.bucket, options, this.#timeout, { isFinite: true }, (engine, timeout, now) =>
      engine.watch(this.#id, any, true, false, options?.headers_only ?? false, false, undefined, timeout, now),
    );
  }

  /**
   * The entries of all matching keys, then every change, in the order of their revisions; for as long as it is read.
   * It survives lost connections. A slow reader slows the server for this watch alone.
   */
  async watch(options?: KvWatchOptions): Promise<QueuedIterator<KvWatchEntry>> {
    const any = filters(options?.key);
    const include = options?.include ?? KvWatchInclude.LastValue;
    if (!Object.values(KvWatchInclude).includes(include)) {
      throw invalid(`include: ${JSON.stringify(include)} must be one of KvWatchInclude`);
    }
    const resume = optionalRevision("resumeFromRevision", options?.resumeFromRevision);
    const callbacks = { initialized: options?.initializedFn, reset: options?.resetFn };
    return Watcher.open(this.#nc, this.bucket, options, this.#timeout, callbacks, (engine, timeout, now) =>
      engine.watch(
        this.#id,
        any,
        include === KvWatchInclude.AllHistory,
        options?.ignoreDeletes ?? false,
        options?.headers_only ?? false,
        include === KvWatchInclude.UpdatesOnly,
        resume,
        timeout,
        now,
      ),
    );
  }

  /** What the bucket is and holds. */
  async status(options?: CallOptions): Promise<KvStatus> {
    return bucketStatus(JSON.parse(await this.#call<string>(options, (engine, timeout, now) => engine.status(this.#id, timeout, now))));
  }

  /** Deletes the bucket with all that is in it; rejects with `BUCKET_NOT_FOUND` where there is none. */
  async destroy(options?: CallOptions): Promise<boolean> {
    await this.#call(options, (engine, timeout, now) => engine.delete_bucket(this.bucket, timeout, now));
    return true;
  }

  /** Removes delete and purge markers older than `olderMillis` (default: half an hour) with all that is under them. */
  async purgeDeletes(olderMillis: Duration = HALF_AN_HOUR_MS, options?: CallOptions): Promise<PurgeResponse> {
    const age = millis("olderMillis", olderMillis) ?? 0;
    const purged = await this.#call<number>(options, (engine, timeout, now) => engine.purge_deletes(this.#id, age, timeout, now));
    return { success: true, purged };
  }

  /**
   * Runs an operation in its JSON form, as an object or as text, and gives the reply in its JSON form. An operation that
   * fails resolves too, with `{ type, error, kind }`, as does what cannot be understood as one.
   */
  async execute(operation: KvOperation | string, options?: CallOptions): Promise<Record<string, unknown>> {
    const json = typeof operation === "object" ? JSON.stringify(operation) : text("operation", operation);
    const reply = await this.#call<string>(options, (engine, timeout, now) => engine.execute(this.#id, json, timeout, now));
    return JSON.parse(reply, (name, value) => (name === "revision" && typeof value === "number" ? safe(value) : value));
  }

  #call<T>(options: CallOptions | undefined, start: Start, isNullable = false): Promise<T> {
    return this.#nc.call(this.bucket, options, this.#timeout, start, isNullable);
  }
}

function optionalRevision(name: string, value: number | null | undefined): number | undefined {
  return value == null ? undefined : revision(name, value);
}
