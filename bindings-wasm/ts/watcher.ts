/**
 * A watch as an iterator. It pulls from the engine when the reader wants more and nothing is here, a bounded run at a
 * time: what is not pulled stays in core, and there slows the server down for this watch alone.
 */

import { onAbort } from "./abort.js";
import { Tag } from "./batch.js";
import { tooLarge } from "./check.js";
import type { Connection, Watching } from "./connection.js";
import { type Owner, WatchEntry } from "./entry.js";
import { KvError } from "./errors.js";
import { Items } from "./iterator.js";
import type { CallOptions, KvWatchEntry } from "./types.js";
import type { Ask } from "./verb.js";

/** What a watch is told apart from its entries. */
export interface WatchCallbacks {
  initialized?: (() => void) | undefined;
  reset?: (() => void) | undefined;
  /** Ends with the initial values. */
  isFinite?: boolean;
}

export class Watcher extends Items<KvWatchEntry> implements Watching {
  readonly #nc: Connection;
  readonly #owner: Owner;
  readonly #callbacks: WatchCallbacks;
  #id = 0;
  #isUpdate = false;
  /** Callbacks that wait for the reader to get as far as this many items. */
  #marks: { at: number; call: (() => void) | undefined }[] = [];
  #settle: ((error?: unknown) => void) | undefined;
  #unlisten = () => {};

  private constructor(nc: Connection, owner: Owner, callbacks: WatchCallbacks) {
    super();
    this.#nc = nc;
    this.#owner = owner;
    this.#callbacks = callbacks;
  }

  /** Resolves when the server has the watch. */
  static async open(
    nc: Connection,
    owner: Owner,
    ask: Ask,
    options: CallOptions | undefined,
    fallback: number | undefined,
    callbacks: WatchCallbacks,
  ): Promise<Watcher> {
    const signal = options?.signal;
    signal?.throwIfAborted();
    const watcher = new Watcher(nc, owner, callbacks);
    watcher.#id = nc.watch(watcher, ask, options, fallback);
    if (signal) {
      watcher.#unlisten = onAbort(signal, () => watcher.#abort(signal.reason));
    }
    await new Promise<void>((resolve, reject) => {
      watcher.#settle = (error) => (error === undefined ? resolve() : reject(error));
    });
    return watcher;
  }

  // ── the connection's side

  opened(error?: KvError): void {
    if (error) {
      this.#unlisten();
    }
    this.#settle?.(error);
  }

  ready(): void {
    if (this.isWanted || (this.getPending() === 0 && this.#callbacks.initialized && !this.#isUpdate)) {
      this.#pull();
    }
  }

  override end(error?: unknown): void {
    this.#unlisten();
    this.#settle?.(error);
    super.end(error);
  }

  // ── the reader's side

  override next(): Promise<IteratorResult<KvWatchEntry, undefined>> {
    this.#announce();
    const step = super.next();
    this.#announceSoon();
    return step;
  }

  protected override fill(): void {
    this.#pull();
  }

  protected override release(): void {
    this.#nc.unwatch(this.#id, false);
  }

  #abort(reason: unknown): void {
    this.#settle?.(reason);
    this.stop(reason);
  }

  #pull(): void {
    const batch = this.#nc.pull(this.#id);
    const entries: KvWatchEntry[] = [];
    let over: { error: unknown } | undefined;
    while (batch.more()) {
      switch (batch.number() as Tag) {
        case Tag.Item: {
          const fields = batch.entry();
          if (fields.revision > Number.MAX_SAFE_INTEGER) {
            over ??= { error: tooLarge(fields.revision) };
          } else {
            entries.push(new WatchEntry(this.#owner, fields, this.#isUpdate));
          }
          break;
        }
        case Tag.CaughtUp:
          this.#isUpdate = true;
          this.#mark(entries.length, this.#callbacks.initialized);
          if (this.#callbacks.isFinite) {
            over ??= { error: undefined };
          }
          break;
        case Tag.Reset:
          this.#isUpdate = false;
          this.#mark(entries.length, this.#callbacks.reset);
          break;
        case Tag.Ended: {
          batch.number();
          over ??= { error: new KvError(JSON.parse(batch.text())) };
          break;
        }
      }
    }
    this.#announce();
    for (const entry of entries) {
      this.push(entry);
    }
    this.#announceSoon();
    if (over) {
      this.#over(over.error);
    }
  }

  #mark(ahead: number, call: (() => void) | undefined): void {
    if (call) {
      this.#marks.push({ at: this.getReceived() + ahead, call });
    }
  }

  /** Calls back for what the reader has passed. */
  #announce(): void {
    while (this.#marks.length > 0 && this.#marks[0]!.at <= this.getProcessed()) {
      queueMicrotask(this.#marks.shift()!.call!);
    }
  }

  /** The same for a reader who may not ask again, once it had its turn with the last item. */
  #announceSoon(): void {
    if (this.#marks.length > 0 && this.#marks[0]!.at <= this.getProcessed()) {
      setTimeout(() => this.#announce());
    }
  }

  #over(error: unknown): void {
    this.#nc.unwatch(this.#id, error instanceof KvError);
    const isAsked = error instanceof KvError && error.code === "CLOSED" && this.#nc.isLeaving;
    this.end(isAsked ? undefined : error);
  }
}
