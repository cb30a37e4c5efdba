/** What reads and watches hand out: objects of their own, with nothing of wasm in them. */

import type { KvEntry, KvWatchEntry, Reviver } from "./types.js";

const decoder = new TextDecoder();
const OPERATIONS = ["PUT", "DEL", "PURGE"] as const;

/** The fields in the order in which a batch has them. */
export interface EntryFields {
  revision: number;
  createdMs: number;
  /** Nanoseconds after `createdMs`. */
  createdRest: number;
  delta: number;
  operation: number;
  length: number;
  value: Uint8Array;
  key: string;
}

export class Entry implements KvEntry {
  readonly bucket: string;
  readonly key: string;
  readonly rawKey: string;
  readonly value: Uint8Array;
  readonly created: Date;
  readonly revision: number;
  readonly delta: number;
  readonly operation: "PUT" | "DEL" | "PURGE";
  readonly length: number;
  readonly #createdRest: number;

  constructor(bucket: string, fields: EntryFields) {
    this.bucket = bucket;
    this.key = fields.key;
    this.rawKey = fields.key;
    this.value = fields.value;
    this.created = new Date(fields.createdMs);
    this.revision = fields.revision;
    this.delta = fields.delta;
    this.operation = OPERATIONS[fields.operation]!;
    this.length = fields.length;
    this.#createdRest = fields.createdRest;
  }

  get createdNs(): string {
    return String(BigInt(this.created.getTime()) * 1_000_000n + BigInt(this.#createdRest));
  }

  string(): string {
    return decoder.decode(this.value);
  }

  json<T = unknown>(reviver?: Reviver): T {
    return JSON.parse(this.string(), reviver);
  }
}

export class WatchEntry extends Entry implements KvWatchEntry {
  readonly isUpdate: boolean;

  constructor(bucket: string, fields: EntryFields, isUpdate: boolean) {
    super(bucket, fields);
    this.isUpdate = isUpdate;
  }
}
