/** A bucket's handle: each verb converts its arguments, starts in the engine, and hands out the promise. */

import { filters, joined, millis, payload, revision, safe, text } from "./check.js";
import type { Codec } from "./codec.js";
import type { Connection, Opened, OpOptions } from "./connection.js";
import type { Owner } from "./entry.js";
import { invalid, type KvError } from "./errors.js";
import { Items } from "./iterator.js";
import { bucketStatus } from "./options.js";
import {
  type CallOptions,
  type Duration,
  type KvCreateOptions,
  type KvDeleteOptions,
  type KvEntries,
  type KvEntry,
  type KvGetOptions,
  type KvHistoryOptions,
  type KvKeyPolicy,
  type KvOperation,
  type KvProgressOptions,
  type KvPurgeOptions,
  type KvPutOptions,
  type KvStatus,
  type KvTtlOptions,
  type KvWatchEntry,
  KvWatchInclude,
  type KvWatchOptions,
  type Payload,
  type PurgeResponse,
  type QueuedIterator,
} from "./types.js";
import { type Ask, Verb } from "./verb.js";
import { type WatchCallbacks, Watcher } from "./watcher.js";

const HALF_AN_HOUR_MS = 30 * 60 * 1000;

type KeyFilter = string | string[];

/**
 * A bucket. Get one from {@link Kvm}.
 *
 * Every method rejects with a {@link KvError}; arguments that break a rule do so before anything is sent.
 */
export class KV {
  /** The bucket's name. */
  readonly bucket: string;
  /** Which keys this handle takes, and how they are stored. A codec object works on top of it. */
  readonly keyPolicy: KvKeyPolicy;
  /** Whether writes are refused here: asked for, or a copy that cannot be written (as far as the server was asked). */
  readonly readOnly: boolean;
  /** What differs, or differed before the update, from what {@link Kvm.create} asked for with `onDrift`: a text a field. */
  readonly drift: readonly string[];
  readonly #nc: Connection;
  readonly #id: number;
  readonly #owner: Owner;
  readonly #codec: Codec | undefined;
  readonly #timeout: number | undefined;

  /** @internal */
  constructor(nc: Connection, { id, bucket, keyPolicy, readOnly, drift }: Opened, codec: Codec | undefined, timeout: number | undefined) {
    this.bucket = bucket;
    this.keyPolicy = keyPolicy as KvKeyPolicy;
    this.readOnly = readOnly;
    this.drift = drift;
    this.#nc = nc;
    this.#id = id;
    this.#owner = { bucket, codec };
    this.#codec = codec;
    this.#timeout = timeout;
  }

  /** The live value of `k`, or null: never written, deleted, purged or expired. With `revision`, the value at that one. */
  async get(k: string, options?: KvGetOptions): Promise<KvEntry | null> {
    const number = optionalRevision("revision", options?.revision);
    return this.#call({ verb: Verb.Get, text: this.#key(k), number }, { ...options, isNullable: true });
  }

  /**
   * The live values of many keys in as few requests as the server allows; filters may stand among the keys. Keys without a value are
   * left out. `asOf`: the revision of the bucket at which all of them were the newest, where one moment was seen. `timeout` is the
   * longest silence.
   */
  async getMany(keys: Iterable<string>, options?: CallOptions): Promise<KvEntries> {
    const wanted = typeof keys === "string" ? [keys] : [...keys];
    const { asOf, entries } = await this.#call<Many>({ verb: Verb.GetMany, text: this.#filters(wanted) }, options);
    const found: KvEntries = new Map(entries.map((entry) => [entry.key, entry]));
    return Object.assign(found, asOf && { asOf });
  }

  /** The newest entry of `k`, also when it is a delete or purge marker; null if there is none. */
  async entry(k: string, options?: CallOptions): Promise<KvEntry | null> {
    return this.#call({ verb: Verb.Entry, text: this.#key(k) }, { ...options, isNullable: true });
  }

  /** Writes `k`; gives the new revision. With `previousSeq` it is an {@link update}. */
  async put(k: string, data: Payload, options?: KvPutOptions): Promise<number> {
    if (options?.previousSeq != null) {
      return this.update(k, data, options.previousSeq, options);
    }
    const ttl = millis("ttl", options?.ttl);
    return this.#call({ verb: Verb.Put, text: this.#key(k), bytes: this.#value(data), ttl }, options);
  }

  /**
   * Writes many keys, as many in flight as keep the server busy; gives for each its revision, or the error it failed with. Rejects only
   * where an argument is wrong (then nothing is sent) or the call is aborted. `timeout` is the longest silence.
   */
  async putMany(
    entries: Record<string, Payload> | Iterable<readonly [string, Payload]>,
    options?: CallOptions,
  ): Promise<Map<string, number | KvError>> {
    const pairs = [...(Symbol.iterator in entries ? (entries as Iterable<readonly [string, Payload]>) : Object.entries(entries))];
    const values = pairs.map(([, data]) => this.#value(data));
    const items = pairs.flatMap(([k], at) => [this.#key(k), values[at]!.length]);
    const ask = { verb: Verb.PutMany, text: JSON.stringify(items), bytes: joined(values) };
    const results = await this.#call<(number | KvError)[]>(ask, options);
    return new Map(pairs.map(([k], at) => [k, results[at]!]));
  }

  /**
   * Writes `k` if it has no live value, else rejects with `KEY_EXISTS`; gives the new revision.
   * `markerTTL`: the value's lifetime, at least 1 s, in buckets with `markerTTL`. Default: for ever. Options may take its place.
   */
  async create(k: string, data: Payload, markerTTL?: Duration | KvCreateOptions, options?: CallOptions): Promise<number> {
    const given: KvCreateOptions = typeof markerTTL === "object" ? { ...options, ...markerTTL } : { ...options, markerTTL: markerTTL ?? 0 };
    const ttl = millis("markerTTL", given.markerTTL);
    return this.#call({ verb: Verb.Create, text: this.#key(k), bytes: this.#value(data), ttl }, given);
  }

  /**
   * Writes `k` if its newest revision is `previous`, else rejects with `WRONG_REVISION` and the actual one in `revision`;
   * gives the new revision. The last argument may be a timeout in milliseconds.
   */
  async update(k: string, data: Payload, previous: number, options?: KvTtlOptions | number): Promise<number> {
    const given = typeof options === "number" ? { timeout: options } : options;
    const [number, ttl] = [revision("revision", previous), millis("ttl", given?.ttl)];
    return this.#call({ verb: Verb.Update, text: this.#key(k), bytes: this.#value(data), number, ttl }, given);
  }

  /**
   * Writes the value that `k` has again, which from now on lives for `ttl` (at least 1 s; where {@link put} takes one); gives the new
   * revision. Never brings an older value back. Rejects with `KEY_NOT_FOUND` where there is none.
   */
  async touch(k: string, ttl: Duration, options?: CallOptions): Promise<number> {
    return this.#call({ verb: Verb.Touch, text: this.#key(k), ttl: millis("ttl", ttl) }, options);
  }

  /** Puts a delete marker, also where there was no such key; gives its revision. Earlier revisions stay in the history. */
  async delete(k: string, options?: KvDeleteOptions): Promise<number> {
    const number = optionalRevision("previousSeq", options?.previousSeq);
    return this.#call({ verb: Verb.Delete, text: this.#key(k), number }, options);
  }

  /** Puts a purge marker and removes all earlier revisions; gives its revision. */
  async purge(k: string, options?: KvPurgeOptions): Promise<number> {
    const number = optionalRevision("previousSeq", options?.previousSeq);
    return this.#call({ verb: Verb.Purge, text: this.#key(k), number, ttl: millis("ttl", options?.ttl) }, options);
  }

  /** Live keys that match any filter (none given: all), each once, sorted. Without a filter, options may take its place. */
  async keys(filter?: KeyFilter | CallOptions, options?: CallOptions): Promise<QueuedIterator<string>> {
    const keys = await this.#list<string[]>(Verb.Keys, filter, options);
    return Items.of(this.#codec ? keys.map((key) => this.#codec!.decodeKey(key)) : keys);
  }

  /** The newest entry of each live key that matches any filter (none given: all), oldest first. Takes what {@link keys} takes. */
  async entries(filter?: KeyFilter | CallOptions, options?: CallOptions): Promise<QueuedIterator<KvEntry>> {
    return Items.of((await this.#list<Many>(Verb.Entries, filter, options)).entries);
  }

  /** How many live keys match any filter (none given: all). Takes what {@link keys} takes. */
  async count(filter?: KeyFilter | CallOptions, options?: CallOptions): Promise<number> {
    return this.#list(Verb.Count, filter, options);
  }

  /**
   * All kept revisions, oldest first, markers included. For one key that was never written it rejects with
   * `KEY_NOT_FOUND`; for filters, or no `key` at all, there may be nothing.
   */
  async history(options?: KvHistoryOptions): Promise<QueuedIterator<KvWatchEntry>> {
    const any = filters(options?.key);
    const [key] = any;
    if (any.length === 1 && key !== undefined && !/[*>]/.test(key) && !options?.headers_only) {
      const { entries } = await this.#call<Many>({ verb: Verb.History, text: this.#key(key) }, options);
      return Items.of(entries.map((entry) => Object.assign(entry, { isUpdate: false })));
    }
    return this.#watch(any, HISTORY | (options?.headers_only ? META_ONLY : 0), undefined, options, { isFinite: true });
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
    const flags =
      (include === KvWatchInclude.AllHistory ? HISTORY : 0) |
      (options?.ignoreDeletes ? IGNORE_DELETES : 0) |
      (options?.headers_only ? META_ONLY : 0) |
      (include === KvWatchInclude.UpdatesOnly ? UPDATES_ONLY : 0);
    const resume = optionalRevision("resumeFromRevision", options?.resumeFromRevision);
    return this.#watch(any, flags, resume, options, { initialized: options?.initializedFn, reset: options?.resetFn });
  }

  /** What the bucket is and holds. */
  async status(options?: CallOptions): Promise<KvStatus> {
    return bucketStatus(JSON.parse(await this.#call({ verb: Verb.Status }, options)));
  }

  /** Deletes the bucket with all that is in it; rejects with `BUCKET_NOT_FOUND` where there is none. */
  async destroy(options?: CallOptions): Promise<boolean> {
    await this.#call({ verb: Verb.DeleteBucket, text: this.bucket }, options);
    return true;
  }

  /**
   * Purges the key `prefix` and all keys under it (`prefix.>`); with wildcards it is a filter, so that ">" is everything. Gives how many
   * were purged: a key that someone wrote meanwhile stays. `timeout` is the longest silence.
   */
  async clear(prefix: string, options?: KvProgressOptions): Promise<number> {
    return this.#call({ verb: Verb.Clear, text: this.#key(prefix) }, options);
  }

  /**
   * Removes delete and purge markers older than `olderMillis` (default: half an hour) with all that is under them, never anything newer.
   * `timeout` is the longest silence.
   */
  async purgeDeletes(olderMillis: Duration = HALF_AN_HOUR_MS, options?: KvProgressOptions): Promise<PurgeResponse> {
    const number = millis("olderMillis", olderMillis) ?? 0;
    return { success: true, purged: await this.#call({ verb: Verb.PurgeDeletes, number }, options) };
  }

  /**
   * Runs an operation in its JSON form, as an object or as text, and gives the reply in its JSON form. An operation that
   * fails resolves too, with `{ type, error, kind }`, as does what cannot be understood as one. A codec object has no part in it.
   */
  async execute(operation: KvOperation | string, options?: CallOptions): Promise<Record<string, unknown>> {
    const json = typeof operation === "object" ? JSON.stringify(operation) : text("operation", operation);
    const reply = await this.#call<string>({ verb: Verb.Execute, text: json }, options);
    return JSON.parse(reply, (name, value) => (name === "revision" && typeof value === "number" ? safe(value) : value));
  }

  #key(k: string): string {
    return this.#codec?.encodeKey(text("key", k)) ?? text("key", k);
  }

  #value(data: Payload): Uint8Array {
    return this.#codec?.encodeValue(data) ?? payload(data);
  }

  #filters(any: string[]): string {
    return JSON.stringify(any.map((filter) => this.#key(filter)));
  }

  #list<T>(verb: Verb, filter: KeyFilter | CallOptions | undefined, options: CallOptions | undefined): Promise<T> {
    const isOptions = typeof filter === "object" && !Array.isArray(filter);
    const any = this.#filters(filters(isOptions ? undefined : filter));
    return this.#call({ verb, text: any }, isOptions ? (filter ?? options) : options);
  }

  #watch(
    any: string[],
    number: number,
    resume: number | undefined,
    options: CallOptions | undefined,
    callbacks: WatchCallbacks,
  ): Promise<Watcher> {
    const ask = { verb: Verb.Watch, bucket: this.#id, text: this.#filters(any), number, ttl: resume };
    return Watcher.open(this.#nc, this.#owner, ask, options, this.#timeout, callbacks);
  }

  #call<T>(ask: Ask, options: OpOptions | undefined): Promise<T> {
    return this.#nc.call(this.#owner, { ...ask, bucket: this.#id }, options, this.#timeout);
  }
}

/** Flags of a watch, as `src/verb.rs` reads them. */
const HISTORY = 1;
const IGNORE_DELETES = 2;
const META_ONLY = 4;
const UPDATES_ONLY = 8;

/** What reads of more than one entry resolve to; `asOf` 0 is none. */
interface Many {
  asOf: number;
  entries: KvEntry[];
}

function optionalRevision(name: string, value: number | null | undefined): number | undefined {
  return value == null ? undefined : revision(name, value);
}
