/** The iterator that everything with more than one item hands out: pulled, counted, stoppable, and promise-free inside. */

import type { Lister, QueuedIterator } from "./types.js";

interface Waiter<T> {
  resolve(result: IteratorResult<T, undefined>): void;
  reject(error: unknown): void;
}

const DONE: IteratorResult<never, undefined> = Object.freeze({ done: true, value: undefined });

export class Items<T> implements QueuedIterator<T> {
  #items: T[];
  #next = 0;
  #waiters: Waiter<T>[] = [];
  #received: number;
  #processed = 0;
  #isEnded = false;
  #error: unknown;

  constructor(items: T[] = []) {
    this.#items = items;
    this.#received = items.length;
  }

  /** All there is, at once. */
  static of<T>(items: T[]): Items<T> {
    const list = new Items(items);
    list.end();
    return list;
  }

  // ── what sources do; subclasses override the two hooks

  /** Called when the reader wants an item and none is here: push what there is, or nothing. */
  protected fill(): void {}

  /** Called once, when the iteration ends on the reader's side. */
  protected release(): void {}

  push(item: T): void {
    if (this.#isEnded) {
      return;
    }
    this.#received++;
    this.#items.push(item);
    this.#serve();
  }

  /** Nothing more will come; the reader gets what is here, then the error if there is one. */
  end(error?: unknown): void {
    if (this.#isEnded) {
      return;
    }
    this.#isEnded = true;
    this.#error = error;
    this.#serve();
  }

  /** Hands items to those who wait for them. */
  #serve(): void {
    while (this.#waiters.length > 0) {
      if (this.getPending() > 0) {
        this.#waiters.shift()!.resolve({ done: false, value: this.#take() });
      } else if (this.#isEnded) {
        this.#finish(this.#waiters.shift()!);
      } else {
        return;
      }
    }
  }

  protected get isWanted(): boolean {
    return this.#waiters.length > 0;
  }

  /** Forgets the oldest unread item. */
  protected dropOldest(): void {
    this.#items.shift();
  }

  // ── what readers do

  next(): Promise<IteratorResult<T, undefined>> {
    if (this.getPending() === 0 && !this.#isEnded) {
      this.fill();
    }
    if (this.getPending() > 0) {
      return Promise.resolve({ done: false, value: this.#take() });
    }
    return new Promise((resolve, reject) => {
      const waiter = { resolve, reject };
      if (this.#isEnded) {
        this.#finish(waiter);
      } else {
        this.#waiters.push(waiter);
      }
    });
  }

  return(): Promise<IteratorResult<T, undefined>> {
    this.stop();
    return Promise.resolve(DONE);
  }

  stop(error?: unknown): void {
    this.#items = [];
    this.#next = 0;
    if (this.#isEnded) {
      this.#error = undefined;
      return;
    }
    this.end(error);
    this.release();
  }

  getReceived(): number {
    return this.#received;
  }

  getPending(): number {
    return this.#items.length - this.#next;
  }

  getProcessed(): number {
    return this.#processed;
  }

  readable(): ReadableStream<T> {
    const source: UnderlyingDefaultSource<T> = {
      pull: async (controller) => {
        const result = await this.next();
        if (result.done) {
          controller.close();
        } else {
          controller.enqueue(result.value);
        }
      },
      cancel: () => this.stop(),
    };
    return new ReadableStream(source, { highWaterMark: 0 });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop();
  }

  #take(): T {
    const item = this.#items[this.#next++]!;
    if (this.#next === this.#items.length) {
      this.#items = [];
      this.#next = 0;
    }
    this.#processed++;
    return item;
  }

  #finish(waiter: Waiter<T>): void {
    const error = this.#error;
    this.#error = undefined;
    if (error === undefined) {
      waiter.resolve(DONE);
    } else {
      waiter.reject(error);
    }
  }
}

/** The newest of what is pushed, for readers who may be slow or gone. */
export class Newest<T> extends Items<T> {
  readonly #limit: number;
  readonly #onStop: (self: Newest<T>) => void;

  constructor(limit: number, onStop: (self: Newest<T>) => void) {
    super();
    this.#limit = limit;
    this.#onStop = onStop;
  }

  override push(item: T): void {
    if (this.getPending() >= this.#limit) {
      this.dropOldest();
    }
    super.push(item);
  }

  protected override release(): void {
    this.#onStop(this);
  }
}

/** A list that is asked for when it is first read. */
export function lister<T>(ask: () => Promise<T[]>): Lister<T> {
  let rest: Promise<T[]> | undefined = undefined;
  return {
    async next() {
      const all = await (rest ?? ask());
      rest = Promise.resolve([]);
      return all;
    },
    async *[Symbol.asyncIterator]() {
      yield* await ask();
    },
  };
}
