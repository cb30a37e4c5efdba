/** What reads and watches hand out: objects of their own, with nothing of wasm in them. */

import type { Codec } from "./codec.js";
import type { KvEntry, KvWatchEntry, Reviver } from "./types.js";

const decoder = new TextDecoder();
const OPERATIONS = ["PUT", "DEL", "PURGE"] as const;

/** The fields in the order in which a batch has them; NaN stands for none. */
export interface EntryFields {
  revision: number;
  createdMs: number;
  /** Nanoseconds after `createdMs`. */
  createdRest: number;
  delta: number;
  operation: number;
  length: number;
  value: Uint8Array;
  ttl: number;
  /** Milliseconds since 1970. */
  expires: number;
  key: string;
  /** Empty where it is the same as `key`. */
  rawKey: string;
}

/** Whose entries they are. */
export interface Owner {
  readonly bucket: string;
  readonly codec: Codec | undefined;
}

export class Entry implements KvEntry {
  readonly bucket: string;
  declare readonly key: string;
  readonly rawKey: string;
  declare readonly value: Uint8Array;
  readonly created: Date;
  readonly revision: number;
  readonly delta: number;
  readonly operation: "PUT" | "DEL" | "PURGE";
  readonly length: number;
  readonly ttl?: number;
  readonly expires?: Date;
  readonly #createdRest: number;

  constructor({ bucket, codec }: Owner, fields: EntryFields) {
    this.bucket = bucket;
    this.rawKey = fields.rawKey || fields.key;
    this.created = new Date(fields.createdMs);
    this.revision = fields.revision;
    this.delta = fields.delta;
    this.operation = OPERATIONS[fields.operation]!;
    this.length = fields.length;
    if (fields.ttl >= 0) {
      this.ttl = fields.ttl;
    }
    if (!Number.isNaN(fields.expires)) {
      this.expires = new Date(fields.expires);
    }
    this.#createdRest = fields.createdRest;
    if (codec) {
      this.#decodeBy(codec, fields);
    } else {
      this.key = fields.key;
      this.value = fields.value;
    }
  }

  get createdNs(): string {
    return String(BigInt(this.created.getTime()) * 1_000_000n + BigInt(this.#createdRest));
  }

  get remainingTTL(): number | undefined {
    return this.expires && Math.max(this.expires.getTime() - Date.now(), 0);
  }

  string(): string {
    return decoder.decode(this.value);
  }

  json<T = unknown>(reviver?: Reviver): T {
    return JSON.parse(this.string(), reviver);
  }

  /** When they are looked at: a key that someone wrote without the codec then fails here, and not the watch it came by. */
  #decodeBy(codec: Codec, { key, value, length }: EntryFields): void {
    const isWhole = this.operation === "PUT" && value.length === length;
    const fields = { key: () => codec.decodeKey(key), value: () => (isWhole ? codec.decodeValue(value) : value) };
    for (const [name, decode] of Object.entries(fields)) {
      let decoded: unknown;
      Object.defineProperty(this, name, { enumerable: true, get: () => (decoded ??= decode()) });
    }
  }
}

export class WatchEntry extends Entry implements KvWatchEntry {
  readonly isUpdate: boolean;

  constructor(owner: Owner, fields: EntryFields, isUpdate: boolean) {
    super(owner, fields);
    this.isUpdate = isUpdate;
  }
}
