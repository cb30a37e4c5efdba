/**
 * Reads, in place, what wasm says in one call: see `src/batch.rs`, which writes it. A batch is good until the next call
 * into wasm, so it is read to its end before anything else happens.
 */

import type { EntryFields } from "./entry.js";

/** Record tags, as in `src/batch.rs`. */
export const enum Tag {
  Write,
  Connect,
  StartTls,
  Disconnect,
  Credentials,
  Sign,
  Unit,
  Number,
  Entry,
  Entries,
  Names,
  Json,
  Opened,
  Written,
  Progress,
  Error,
  WatchOpen,
  WatchError,
  WatchReady,
  State,
  Notice,
  Item,
  CaughtUp,
  Reset,
  Ended,
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

export class Batch {
  /** When `handle_timeout` is due, in milliseconds; infinite: not at all. */
  deadline = Infinity;
  readonly #memory: WebAssembly.Memory;
  #numbers = new Float64Array();
  #bytes = new Uint8Array();
  #at = 0;
  #end = 0;
  #text = "";
  #cut = 0;

  constructor(memory: WebAssembly.Memory) {
    this.#memory = memory;
  }

  /** Starts reading the batch at `pointer`. */
  open(pointer: number): this {
    const { buffer } = this.#memory;
    if (this.#bytes.buffer !== buffer) {
      this.#numbers = new Float64Array(buffer); // memory has grown, and the old views are dead
      this.#bytes = new Uint8Array(buffer);
    }
    const head = pointer / 8;
    const numbers = this.#numbers;
    this.#at = numbers[head]! / 8;
    this.#end = this.#at + numbers[head + 1]!;
    const text = numbers[head + 2]!;
    const length = numbers[head + 3]!;
    this.#text = length === 0 ? "" : decoder.decode(this.#bytes.subarray(text, text + length));
    this.#cut = 0;
    this.deadline = numbers[head + 4]!;
    return this;
  }

  /** Whether another record follows. */
  more(): boolean {
    return this.#at < this.#end;
  }

  number(): number {
    return this.#numbers[this.#at++]!;
  }

  text(): string {
    const from = this.#cut;
    this.#cut += this.number();
    return this.#text.slice(from, this.#cut);
  }

  /** A view that dies with the batch. */
  view(): Uint8Array {
    const from = this.number();
    return this.#bytes.subarray(from, from + this.number());
  }

  /** The fields of an entry; its value is copied out here, once. */
  entry(): EntryFields {
    const numbers = this.#numbers;
    const at = this.#at;
    this.#at += 10;
    const from = numbers[at + 6]!;
    return {
      revision: numbers[at]!,
      createdMs: numbers[at + 1]!,
      createdRest: numbers[at + 2]!,
      delta: numbers[at + 3]!,
      operation: numbers[at + 4]!,
      length: numbers[at + 5]!,
      value: this.#bytes.slice(from, from + numbers[at + 7]!),
      ttl: numbers[at + 8]!,
      expires: numbers[at + 9]!,
      key: this.text(),
      rawKey: this.text(),
    };
  }

  /** A list with its length in front. */
  list<T>(item: () => T): T[] {
    return Array.from({ length: this.number() }, item);
  }
}
