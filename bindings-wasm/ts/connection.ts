/**
 * One connection: it owns the engine in wasm, one socket, one timer, and the promises and watches that wait.
 *
 * `#pump` is the only place that drains the engine. Commands are corked: the first of a tick schedules the pump, the
 * rest ride along. User code never runs inside of it: promises run later by themselves, callbacks by `queueMicrotask`.
 */

import { Engine } from "natskv-engine";

import { onAbort } from "./abort.js";
import { Auth } from "./auth.js";
import { Batch, Tag } from "./batch.js";
import { millis, safe } from "./check.js";
import { Entry, type EntryFields, type Owner } from "./entry.js";
import { caught, failure, KvError } from "./errors.js";
import { type Items, Newest } from "./iterator.js";
import type { Living } from "./lifecycle.js";
import { engineOptions } from "./options.js";
import type { Address, Platform, Transport } from "./transport/transport.js";
import type { CallOptions, ConnectionOptions, KvProgressOptions, NatsConnection, ServerInfo, Stats, Status, TlsOptions } from "./types.js";
import { type Ask, Verb } from "./verb.js";

/** Whose answers are no entries. */
export const NOBODY: Owner = { bucket: "", codec: undefined };

/** A bucket as core opened it. */
export interface Opened {
  id: number;
  bucket: string;
  keyPolicy: string;
  readOnly: boolean;
  drift: string[];
}

/** A watch as the connection sees it. */
export interface Watching {
  opened(error?: KvError): void;
  /** Something is there to be pulled. */
  ready(): void;
  /** The connection is gone without a word from the engine. */
  end(error?: unknown): void;
}

interface Op {
  resolve(value: unknown): void;
  reject(reason: unknown): void;
  owner: Owner;
  options: OpOptions | undefined;
}

/** What a call may be told apart from what its verb takes. */
export interface OpOptions extends CallOptions, KvProgressOptions {
  /** Whether KEY_NOT_FOUND is an answer, null, and not an error. */
  isNullable?: boolean;
}

type Change = { state: State; error: KvError | undefined } | { notice: Notice; text: string };

const enum State {
  Connecting,
  Connected,
  Disconnected,
  Reconnecting,
  Draining,
  Closed,
}

const enum Notice {
  ServerError,
  LameDuck,
  WatchResumed,
  WatchOverflow,
  WatchReset,
}

const SCHEMES = ["nats", "tls", "ws", "wss"] as const;
const KEY_NOT_FOUND = 33;
const NOTHING = new Uint8Array();
/** Output is corked for a tick, but not beyond this: with more of it the server would wait for us and we for it in turn. */
const CORK_BYTES = 24 * 1024;
/** Output stays in the engine while a socket holds more than this. */
const BUFFERED_BYTES = 1024 * 1024;
const RETRY_MS = 10;
/** `setTimeout` takes no more; an early wake-up is harmless. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;
const STATUS_LIMIT = 1000;
/** A timer that is later than this missed something: the machine slept, or the page did not run. */
const LATE_MS = 5000;

/** The `connect` of a platform. */
export function connector(platform: Platform): (options?: ConnectionOptions) => Promise<NatsConnection> {
  return async (options = {}) => {
    options.signal?.throwIfAborted();
    const { json, patience } = await engineOptions(options, platform);
    const nc = new Connection(platform, await platform.load(), json, options);
    try {
      await nc.call(NOBODY, { verb: Verb.Ready }, { timeout: patience, ...(options.signal && { signal: options.signal }) }, undefined);
      return nc;
    } catch (error) {
      await nc.close();
      throw error;
    }
  };
}

export class Connection implements NatsConnection, Living {
  readonly #platform: Platform;
  readonly #engine: Engine;
  readonly #batch: Batch;
  readonly #tls: TlsOptions | undefined;
  readonly #auth: Auth;
  readonly #warn: ((message: string) => void) | undefined;
  readonly #hear: ((status: Status) => void) | undefined;
  readonly #unfollow: () => void;
  readonly #ops = new Map<number, Op>();
  readonly #watches = new Map<number, Watching>();
  readonly #listeners = new Set<Newest<Status>>();
  readonly #closed: Promise<void | Error>;
  #resolveClosed!: (error?: Error) => void;
  #conn = 0;
  #transport: Transport | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAt = Infinity;
  #isCorked = false;
  #isRetrying = false;
  /** The one connected to last: core's may be the next already. */
  #server = "";
  #isClosed = false;
  #isLeaving = false;
  /** A bug of ours that ended the engine. */
  #broken: KvError | undefined;

  constructor(platform: Platform, memory: WebAssembly.Memory, json: string, options: ConnectionOptions) {
    this.#platform = platform;
    this.#tls = options.tls ?? undefined;
    this.#auth = new Auth(options.authenticator);
    this.#warn = options.onWarning;
    this.#hear = options.onStatus;
    this.#closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    try {
      this.#engine = new Engine(json, crypto.getRandomValues(new Uint8Array(32)), performance.now());
    } catch (thrown) {
      throw caught(thrown);
    }
    this.#batch = new Batch(memory);
    this.#unfollow = platform.follow(this);
    this.#pump();
  }

  // ── what users call

  get info(): ServerInfo | undefined {
    const json = this.#engine.server_info();
    return json === undefined ? undefined : JSON.parse(json);
  }

  isClosed(): boolean {
    return this.#isClosed;
  }

  closed(): Promise<void | Error> {
    return this.#closed;
  }

  async close(): Promise<void> {
    this.#isLeaving = true;
    this.#enter(() => this.#engine.close(performance.now()));
    await this.#closed;
  }

  async drain(): Promise<void> {
    this.#isLeaving = true;
    this.#enter(() => this.#engine.drain(performance.now()));
    await this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  status(): Items<Status> {
    const listener = new Newest<Status>(STATUS_LIMIT, (self) => this.#listeners.delete(self));
    if (this.#isClosed) {
      listener.end();
    } else {
      this.#listeners.add(listener);
    }
    return listener;
  }

  stats(): Stats {
    const [inMsgs, inBytes, outMsgs, outBytes, reconnects] = this.#engine.stats() as unknown as [number, number, number, number, number];
    return { inMsgs, inBytes, outMsgs, outBytes, reconnects };
  }

  getServer(): string {
    return this.#engine.connected_url();
  }

  async flush(options?: CallOptions): Promise<void> {
    await this.rtt(options);
  }

  rtt(options?: CallOptions): Promise<number> {
    return this.call(NOBODY, { verb: Verb.Flush }, options, undefined);
  }

  // ── what the KV classes call

  /** Whether the user asked for the end, so that its coming is no error. */
  get isLeaving(): boolean {
    return this.#isLeaving;
  }

  /** One operation. Arguments that are wrong reject too, so that callers have one way to fail. */
  call<T>(owner: Owner, ask: Ask, options: OpOptions | undefined, fallback: number | undefined): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const signal = options?.signal;
      signal?.throwIfAborted();
      const op: Op = { resolve: resolve as (value: unknown) => void, reject, owner, options };
      const id = this.#start(ask, timeoutOf(options, fallback));
      this.#ops.set(id, op);
      if (!signal) {
        return;
      }
      const unlisten = onAbort(signal, () => {
        this.#ops.delete(id);
        this.#engine.cancel(id, performance.now());
        this.#cork();
        reject(signal.reason);
      });
      op.resolve = (value) => (unlisten(), (resolve as (value: unknown) => void)(value));
      op.reject = (reason) => (unlisten(), reject(reason));
    });
  }

  /** A watch; `watching` hears of it until `unwatch`. */
  watch(watching: Watching, ask: Ask, options: CallOptions | undefined, fallback: number | undefined): number {
    const id = this.#start(ask, timeoutOf(options, fallback));
    this.#watches.set(id, watching);
    return id;
  }

  /** The items that are there; the batch must be read to its end before anything else is called. */
  pull(watch: number): Batch {
    this.#cork(); // taking items may let the engine ask for more
    return this.#batch.open(this.#engine.watch_pull(watch, performance.now()));
  }

  /** Hears no more of the watch. `isOver`: the engine said so itself. */
  unwatch(watch: number, isOver: boolean): void {
    if (this.#watches.delete(watch) && !isOver && !this.#broken) {
      this.#engine.watch_stop(watch, performance.now());
      this.#cork();
    }
  }

  /** Asks for what neither sends nor waits. */
  now(ask: Ask): number {
    return this.#start(ask, undefined);
  }

  // ── what the platform calls

  sleep(): void {
    this.#enter(() => this.#engine.sleep(performance.now()));
  }

  wake(): void {
    this.#enter(() => this.#engine.wake(performance.now()));
  }

  // ── the engine's side

  #start({ verb, bucket = 0, text = "", bytes = NOTHING, number = NaN, ttl = NaN }: Ask, timeout = NaN): number {
    if (this.#broken) {
      throw this.#broken;
    }
    try {
      const id = this.#engine.start(verb, bucket, text, bytes, number, ttl, timeout, performance.now());
      this.#cork();
      return id;
    } catch (thrown) {
      throw thrown instanceof WebAssembly.RuntimeError ? this.#break(thrown) : caught(thrown);
    }
  }

  #cork(): void {
    if (this.#engine.pending_transmit() > CORK_BYTES) {
      this.#enter(() => {});
      return;
    }
    if (this.#isCorked) {
      return;
    }
    this.#isCorked = true;
    queueMicrotask(() => {
      this.#isCorked = false;
      this.#enter(() => {});
    });
  }

  /** Every way into the engine from outside of a call: tell it something, then pump. */
  #enter(tell: () => void): void {
    if (this.#broken) {
      return;
    }
    try {
      tell();
      this.#pump();
    } catch (thrown) {
      this.#break(thrown);
    }
  }

  #pump(): void {
    const isFull = this.#transport !== undefined && this.#transport.buffered > BUFFERED_BYTES;
    const batch = this.#batch.open(this.#engine.poll(!isFull));
    const ready: Watching[] = [];
    const changes: Change[] = [];
    while (batch.more()) {
      this.#record(batch, ready, changes);
    }
    this.#arm(batch.deadline);
    if (isFull) {
      this.#retry();
    }
    for (const watching of ready) {
      watching.ready();
    }
    for (const change of changes) {
      this.#change(change);
    }
  }

  #record(batch: Batch, ready: Watching[], changes: Change[]): void {
    const tag: Tag = batch.number();
    const id = batch.number();
    switch (tag) {
      case Tag.Write: {
        const bytes = batch.view();
        if (id === this.#conn) {
          this.#transport?.send(bytes);
        }
        return;
      }
      case Tag.Connect: {
        const scheme = SCHEMES[batch.number()]!;
        const port = batch.number();
        const isTlsFirst = batch.number() === 1;
        return this.#dial(id, { scheme, port, isTlsFirst, host: batch.text(), path: batch.text(), tlsName: batch.text() });
      }
      case Tag.StartTls: {
        const name = batch.text();
        queueMicrotask(() => this.#startTls(id, name));
        return;
      }
      case Tag.Disconnect:
        return this.#hangUp(id);
      case Tag.Credentials: {
        const reason = batch.number();
        queueMicrotask(() => void this.#introduce(id, reason));
        return;
      }
      case Tag.Sign: {
        const [seed, nonce] = [batch.view().slice(), batch.text()];
        queueMicrotask(() => void this.#sign(id, nonce, seed));
        return;
      }
      case Tag.Unit:
        return this.#take(id)?.resolve(undefined);
      case Tag.Number:
        return this.#settle(this.#take(id), () => safe(batch.number()));
      case Tag.Entry: {
        const fields = batch.entry();
        const op = this.#take(id);
        return this.#settle(op, () => entry(op!.owner, fields));
      }
      case Tag.Entries: {
        const asOf = batch.number();
        const entries = batch.list(() => batch.entry());
        const op = this.#take(id);
        return this.#settle(op, () => ({ asOf: safe(asOf), entries: entries.map((fields) => entry(op!.owner, fields)) }));
      }
      case Tag.Names:
        return this.#settle(this.#take(id), () => batch.list(() => batch.text()));
      case Tag.Json: {
        const json = batch.text(); // also where nobody waits any more, since the batch is read in order
        return this.#take(id)?.resolve(json);
      }
      case Tag.Opened: {
        const [bucket, readOnly] = [batch.number(), batch.number() === 1];
        const opened: Opened = { id: bucket, readOnly, bucket: batch.text(), keyPolicy: batch.text(), drift: JSON.parse(batch.text()) };
        return this.#take(id)?.resolve(opened);
      }
      case Tag.Written: {
        const results = batch.list(() => batch.number() || this.#error(batch));
        return this.#settle(this.#take(id), () => results.map((result) => (typeof result === "number" ? safe(result) : result)));
      }
      case Tag.Progress: {
        const [done, total] = [batch.number(), batch.number()];
        const onProgress = this.#ops.get(id)?.options?.onProgress;
        return onProgress && queueMicrotask(() => onProgress(done, total));
      }
      case Tag.Error: {
        const code = batch.number();
        const text = batch.text();
        const op = this.#take(id);
        if (code === KEY_NOT_FOUND && op?.options?.isNullable) {
          return op.resolve(null);
        }
        return op?.reject(new KvError(JSON.parse(text)));
      }
      case Tag.WatchOpen:
        return this.#watches.get(id)?.opened();
      case Tag.WatchError: {
        const error = this.#error(batch);
        const watching = this.#watches.get(id);
        this.#watches.delete(id);
        return watching?.opened(error);
      }
      case Tag.WatchReady: {
        const watching = this.#watches.get(id);
        if (watching) {
          ready.push(watching);
        }
        return;
      }
      case Tag.State: {
        batch.number();
        const text = batch.text();
        changes.push({ state: id, error: text ? new KvError(JSON.parse(text)) : undefined });
        return;
      }
      case Tag.Notice:
        batch.number();
        changes.push({ notice: id, text: batch.text() });
        return;
      default:
        throw failure("INTERNAL", `unknown record ${tag}`);
    }
  }

  #error(batch: Batch): KvError {
    batch.number(); // its code, which is in the text too
    return new KvError(JSON.parse(batch.text()));
  }

  #take(id: number): Op | undefined {
    const op = this.#ops.get(id);
    this.#ops.delete(id);
    return op;
  }

  #settle(op: Op | undefined, value: () => unknown): void {
    try {
      const settled = value(); // read even if nobody waits any more, since the batch is read in order
      op?.resolve(settled);
    } catch (error) {
      op?.reject(error);
    }
  }

  #arm(deadline: number): void {
    if (deadline >= this.#timerAt) {
      return; // what is armed comes first, and arms the rest
    }
    clearTimeout(this.#timer);
    this.#timerAt = deadline;
    const wait = Math.min(Math.max(Math.ceil(deadline - performance.now()), 0), LONGEST_TIMER_MS);
    const due = Date.now() + wait; // a clock that goes on while the machine sleeps
    this.#timer = setTimeout(() => {
      this.#timerAt = Infinity;
      const isLate = Date.now() - due > LATE_MS;
      this.#enter(() => (isLate ? this.#engine.wake(performance.now()) : this.#engine.handle_timeout(performance.now())));
    }, wait);
  }

  #retry(): void {
    if (this.#isRetrying) {
      return;
    }
    this.#isRetrying = true;
    setTimeout(() => {
      this.#isRetrying = false;
      this.#enter(() => {});
    }, RETRY_MS);
  }

  // ── who we are; what comes too late is dropped in core, by its number

  async #introduce(conn: number, reason: number): Promise<void> {
    const [said, isError] = await this.#auth.credentials(reason).then(
      (said) => [said, false] as const,
      (error) => [`authenticator: ${textOf(error)}`, true] as const,
    );
    this.#enter(() => this.#engine.credentials(conn, said, isError, performance.now()));
  }

  async #sign(conn: number, nonce: string, seed: Uint8Array): Promise<void> {
    const [bytes, error] = await this.#auth.sign(nonce, seed).then(
      (bytes) => [bytes, undefined] as const,
      (error) => [NOTHING, error] as const,
    );
    const isUnsupported = error instanceof KvError && error.code === "UNSUPPORTED";
    this.#enter(() => this.#engine.signature(conn, bytes, error && textOf(error), isUnsupported, performance.now()));
  }

  // ── the socket's side; what an older socket says is dropped by its number, here and in core

  #dial(conn: number, address: Address): void {
    this.#hangUp(this.#conn);
    this.#conn = conn;
    try {
      const tell = (input: () => void) => () => this.#enter(input);
      const listener = {
        opened: tell(() => this.#engine.transport_open(conn, performance.now())),
        secured: tell(() => this.#engine.transport_secured(conn, performance.now())),
        received: (bytes: Uint8Array) => this.#enter(() => this.#engine.receive(conn, bytes, performance.now())),
        drained: tell(() => {}),
        closed: (why: string, isTls?: boolean) => this.#lost(conn, why, isTls),
      };
      this.#transport = this.#platform.dial(address, listener, this.#tls);
    } catch (error) {
      queueMicrotask(() => this.#lost(conn, textOf(error), this.#tls !== undefined));
    }
  }

  #startTls(conn: number, name: string): void {
    if (conn !== this.#conn) {
      return;
    }
    try {
      this.#transport?.startTls!(name);
    } catch (error) {
      this.#hangUp(conn);
      this.#lost(conn, textOf(error), true);
    }
  }

  #lost(conn: number, why: string, isTls = false): void {
    if (this.#conn === conn) {
      this.#transport = undefined;
    }
    this.#enter(() => this.#engine.transport_closed(conn, why, isTls, performance.now()));
  }

  #hangUp(conn: number): void {
    if (conn === this.#conn) {
      this.#transport?.close();
      this.#transport = undefined;
    }
  }

  // ── what users are told

  #change(change: Change): void {
    if ("notice" in change) {
      return this.#note(change.notice, change.text);
    }
    const { state, error } = change;
    switch (state) {
      case State.Connecting:
        return this.#tell({ type: "connecting" });
      case State.Connected:
        this.#tell({ type: this.#server ? "reconnect" : "connect", server: this.getServer() });
        this.#server = this.getServer();
        return;
      case State.Disconnected:
        return this.#tell({ type: "disconnect", server: this.#server, error: error! });
      case State.Reconnecting:
        return this.#tell({ type: "reconnecting" });
      case State.Draining:
        return this.#tell({ type: "draining" });
      case State.Closed:
        return this.#end(error);
    }
  }

  #note(notice: Notice, text: string): void {
    switch (notice) {
      case Notice.ServerError:
        this.#tell({ type: "error", error: failure("SERVER", text) });
        return this.#warning(`the server complains: ${text}`);
      case Notice.LameDuck:
        this.#tell({ type: "ldm", server: this.#server });
        return this.#warning("the server is about to shut down");
      case Notice.WatchResumed:
        return this.#warning(`a watch was asked for anew: ${text}`);
      case Notice.WatchOverflow:
        return this.#warning("a watch is read too slowly: what was unread was dropped, and is asked for again");
      case Notice.WatchReset:
        return this.#warning("the bucket of a watch was deleted and created again: the watch starts anew");
    }
  }

  #tell(status: Status): void {
    const hear = this.#hear;
    if (hear) {
      queueMicrotask(() => hear(status));
    }
    for (const listener of this.#listeners) {
      listener.push(status);
    }
  }

  #warning(message: string): void {
    const warn = this.#warn;
    if (warn) {
      queueMicrotask(() => warn(message));
    }
  }

  #end(error: KvError | undefined): void {
    if (this.#isClosed) {
      return;
    }
    this.#isClosed = true;
    this.#unfollow();
    this.#hangUp(this.#conn);
    clearTimeout(this.#timer);
    this.#timerAt = -Infinity; // never armed again
    this.#tell({ type: "close", ...(error && { error }) });
    for (const listener of this.#listeners) {
      listener.end();
    }
    this.#listeners.clear();
    this.#resolveClosed(error);
  }

  /** A trap, or any other bug of ours: nobody knows what state the engine is in, so everything ends. */
  #break(thrown: unknown): KvError {
    const error = failure("INTERNAL", `natskv has a bug, and closed this connection: ${thrown}`);
    error.cause = thrown;
    this.#broken = error;
    for (const op of this.#ops.values()) {
      op.reject(error);
    }
    this.#ops.clear();
    for (const watching of this.#watches.values()) {
      watching.end(error);
    }
    this.#watches.clear();
    this.#end(error);
    return error;
  }
}

function entry(owner: Owner, fields: EntryFields): Entry {
  safe(fields.revision);
  return new Entry(owner, fields);
}

function textOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

function timeoutOf(options: CallOptions | undefined, fallback: number | undefined): number | undefined {
  return options?.timeout == null ? fallback : (millis("timeout", options.timeout) ?? fallback);
}
