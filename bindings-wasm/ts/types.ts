/** What users see: options, the connection, entries, iterators. Types only, no code but one table of names. */

import type { KvError } from "./errors.js";

/**
 * Milliseconds as a number, or a Go duration string such as `"10s"`, `"1h30m"` or `"250ms"`.
 * 0 means "none" (for a timeout: the default). At most 100 years.
 */
export type Duration = number | string;

/** What a key's value is written from; a string is stored as UTF-8. */
export type Payload = Uint8Array | string;

/** The second argument of `JSON.parse`. */
export type Reviver = (this: any, key: string, value: any) => any;

/** What every call takes. */
export interface CallOptions {
  /**
   * How long the call may take. Default: the bucket's `timeout`, else the connection's `requestTimeout` (5 s). For reads
   * of unknown length (`keys`, `history`) it is the longest silence. Past it the call rejects with `TIMEOUT`.
   */
  timeout?: Duration;
  /** Aborts the call, which then rejects with `signal.reason`. A write may have been stored all the same. */
  signal?: AbortSignal;
}

/** Why an {@link Authenticator} is asked: `refused` and `expired` say what the server thought of its last answer. */
export type AuthReason = "first" | "reconnect" | "refused" | "expired";

/** What an {@link Authenticator} gives: user and password, a token, an nkey, or a JWT. */
export interface Credentials {
  user?: string;
  pass?: string;
  auth_token?: string;
  /** A user's JWT. Alone it is enough where it is a bearer JWT; else `seed`, `sign` or `sig` goes with it. */
  jwt?: string;
  /** The text of a credentials file: JWT and seed. */
  creds?: string | Uint8Array;
  /** Seed of a user's nkey, `SU…`: logs in by itself, or signs for `jwt`. WebCrypto signs with it. */
  seed?: string | Uint8Array;
  /** Public nkey, `U…`, of a user whose seed is known to `sign`, or to who gives `sig`. */
  nkey?: string;
  /** Signs the server's nonce, by ed25519 over its UTF-8 bytes: 64 bytes, or these as base64url. */
  sign?: (nonce: string) => Uint8Array | string | Promise<Uint8Array | string>;
  /** The signature itself, where the nonce was given. */
  sig?: Uint8Array | string;
}

/**
 * Says who the client is, before each connection; may take its time, as far as `timeout` goes. Those of `@nats-io/nats-core` do too: whoever
 * gives an `nkey` or a `sig` is asked once more when there is a nonce, for the `sig` to it.
 */
export type Authenticator = (nonce?: string, reason?: AuthReason) => Credentials | void | Promise<Credentials | void>;

/** How a Node program does TLS; browsers do it by themselves, for `wss://`. Whatever else node:tls takes goes to it as it is. */
export interface TlsOptions {
  /** TLS before the server's first word, for servers with `handshake_first`. Default: false. */
  handshakeFirst?: boolean;
  /** Authorities to trust, in PEM, instead of Node's own. Default: Node's. */
  ca?: string | Uint8Array | (string | Uint8Array)[];
  /** A file with them. Files are read anew for each connection. */
  caFile?: string;
  /** The client's certificate, in PEM. Default: none. */
  cert?: string | Uint8Array;
  /** A file with it. */
  certFile?: string;
  /** The key of the client's certificate, in PEM. Default: none. */
  key?: string | Uint8Array;
  /** A file with it. */
  keyFile?: string;
  [option: string]: unknown;
}

/** Options of {@link connect}. */
export interface ConnectionOptions {
  /**
   * Server URLs. In browsers `ws://` and `wss://`; in Node also `tls://` and `nats://`, which is what `host:port` means there.
   * `user:password@` and `token@` in a URL win over the options below. Default: `nats://127.0.0.1:4222` in Node, none in browsers.
   */
  servers?: string | string[];
  /** The client's name in the server's monitoring. Default: none. */
  name?: string;
  /** User name. Default: none. */
  user?: string;
  /** Password of `user`. Default: none. */
  pass?: string;
  /** Token, instead of user and password. Default: none. */
  token?: string;
  /** The text of a credentials file, JWT and seed, instead of these. Default: none. */
  creds?: string | Uint8Array;
  /** Says who the client is before each connection, instead of these; of several, what each says is put together. Default: none. */
  authenticator?: Authenticator | Authenticator[];
  /**
   * Demands TLS (Node only), with these options: a server that offers none is refused with `TLS`. Without it, TLS is used where the
   * URL is `tls://` or `wss://` or the server requires it. Default, and null: no demand.
   */
  tls?: TlsOptions | null;
  /** How long one server may take from dialling to being usable. Default: 5 s. */
  timeout?: Duration;
  /** How long an operation may take when its call does not say. Default: 5 s. */
  requestTimeout?: Duration;
  /** How often the server is asked whether it lives. Default: 60 s. */
  pingInterval?: Duration;
  /** Unanswered pings after which the connection counts as lost. Default: 2. */
  maxPingOut?: number;
  /** Whether a lost connection is made anew. Default: true. */
  reconnect?: boolean;
  /** Failed attempts in a row, over all servers, after which the connection closes; -1: for ever. Default: -1. */
  maxReconnectAttempts?: number;
  /** Whether a failing first connect is retried like a later one. Default: false. */
  waitOnFirstConnect?: boolean;
  /** The wait after the second failed attempt (the first is made at once); doubles, jitter ±25 %. Default: 100 ms. */
  reconnectTimeWait?: Duration;
  /** Upper end of the wait between attempts. Default: 5 s. */
  maxReconnectTimeWait?: Duration;
  /** Tries the servers in the order given. Default: false, random order. */
  noRandomize?: boolean;
  /** First tokens of the reply inbox. Default: `_INBOX`. */
  inboxPrefix?: string;
  /** JetStream domain. Default: none. */
  domain?: string;
  /** JetStream API prefix in full; excludes `domain`. Default: `$JS.API`. */
  apiPrefix?: string;
  /**
   * Whether writes carry a message id (about 35 bytes more), so that one cut off by a lost connection is sent again and its outcome
   * found out, instead of rejecting with `DISCONNECTED` and `maybeApplied`. Writes go without one to buckets that forget ids sooner than
   * the call may take (their TTL, at most 2 minutes); one opened without asking is asked before a write is sent again. Default: false.
   */
  retryWrites?: boolean;
  /** Bytes of requests kept while disconnected; beyond it calls reject with `BUFFER_FULL`. Default: 8 MiB. */
  pendingLimit?: number;
  /** Unread bytes that one watch keeps before it drops them and asks the server again. Default: 32 MiB. */
  watchLimit?: number;
  /** Aborts connecting; `connect` then rejects with `signal.reason`. Does nothing once connected. */
  signal?: AbortSignal;
  /** Told in plain words about what went wrong and was dealt with (a watch resumed, a server's complaint). Default: nobody. */
  onWarning?: (message: string) => void;
  /** Told of each change of the connection, from the first `connecting` on. Default: nobody; {@link NatsConnection.status} tells later ones. */
  onStatus?: (status: Status) => void;
}

/** One change of the connection; see {@link NatsConnection.status}. */
export type Status =
  /** The first connection is being made. */
  | { type: "connecting" }
  /** Connected for the first time. */
  | { type: "connect"; server: string }
  /** The connection was lost. */
  | { type: "disconnect"; server: string; error: KvError }
  /** A new connection is being made. */
  | { type: "reconnecting" }
  /** Connected again. */
  | { type: "reconnect"; server: string }
  /** No new calls; what is in flight is finished. */
  | { type: "draining" }
  /** The server is about to shut down. */
  | { type: "ldm"; server: string }
  /** The server complained about something that belongs to no call. */
  | { type: "error"; error: KvError }
  /** The end. Has an error when it was not asked for. */
  | { type: "close"; error?: KvError };

/** What the server says of itself; other fields as the server sends them. */
export interface ServerInfo {
  server_id: string;
  server_name: string;
  version: string;
  max_payload: number;
  [field: string]: unknown;
}

/** Counters since {@link connect}. */
export interface Stats {
  inMsgs: number;
  inBytes: number;
  outMsgs: number;
  outBytes: number;
  /** Connections made after the first. */
  reconnects: number;
}

/** A connection to a server of the pool, made again when it is lost. */
export interface NatsConnection extends AsyncDisposable {
  /** What the connected (or last) server said of itself. */
  readonly info: ServerInfo | undefined;
  /** Ends everything now. Calls in flight reject with `CLOSED`, watches end. */
  close(): Promise<void>;
  /** Refuses new calls, finishes those in flight, ends the watches, then closes. At most 30 s. */
  drain(): Promise<void>;
  /** Resolves at the end: with nothing when it was asked for, else with the error. Never rejects. */
  closed(): Promise<void | Error>;
  /** Whether the end has come. */
  isClosed(): boolean;
  /** One item per change from now on; ends after `close`. The newest 1,000 unread ones are kept. */
  status(): QueuedIterator<Status>;
  /** Counters. */
  stats(): Stats;
  /** URL of the server in use or last used, without credentials. */
  getServer(): string;
  /** Resolves when everything sent before has reached the server. */
  flush(options?: CallOptions): Promise<void>;
  /** The round trip to the server, in milliseconds. */
  rtt(options?: CallOptions): Promise<number>;
  /** `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Items that arrive over time. `break` out of `for await` stops it (a watch then ends on the server too); so does
 * leaving the block of `await using`.
 */
export interface QueuedIterator<T> extends AsyncIterableIterator<T>, AsyncDisposable {
  next(): Promise<IteratorResult<T, undefined>>;
  return(): Promise<IteratorResult<T, undefined>>;
  /** Ends the iteration without waiting; with an error, the iteration throws it. */
  stop(error?: Error): void;
  /** Items that arrived here. */
  getReceived(): number;
  /** Items that arrived and were not handed out yet. */
  getPending(): number;
  /** Items handed out. */
  getProcessed(): number;
  /** The same items as a stream that reads ahead nothing; cancelling it stops the iteration. */
  readable(): ReadableStream<T>;
  [Symbol.asyncIterator](): this;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A list asked for when it is first read: iterate it, or `await lister.next()` for all of it (then for an empty list). */
export interface Lister<T> extends AsyncIterable<T> {
  next(): Promise<T[]>;
}

/** One revision of a key: a plain object, yours to keep. */
export interface KvEntry {
  readonly bucket: string;
  readonly key: string;
  /** The key as it is stored; another than `key` where there is a codec. */
  readonly rawKey: string;
  /** The value, in a buffer of its own; empty for markers and where only headers were asked for. */
  readonly value: Uint8Array;
  /** When the server stored it, to the millisecond. */
  readonly created: Date;
  /** When the server stored it, in nanoseconds since 1970. */
  readonly createdNs: string;
  /** Unique in the bucket, and rising. */
  readonly revision: number;
  /** How many further entries matched when this one was delivered; 0 for the newest and for every `get`. */
  readonly delta: number;
  readonly operation: "PUT" | "DEL" | "PURGE";
  /** Length of the value, also where only headers were asked for. */
  readonly length: number;
  /** The lifetime it was written with, in milliseconds; none: without one. */
  readonly ttl?: number;
  /** When it expires, by its own lifetime or the bucket's (as far as the handle knows that one); none: never. */
  readonly expires?: Date;
  /** How long until then, in milliseconds by this machine's clock; undefined: for ever. */
  readonly remainingTTL: number | undefined;
  /** The value as UTF-8 text. */
  string(): string;
  /** The value as JSON, through `reviver` as in `JSON.parse`. Throws SyntaxError where it is none. */
  json<T = unknown>(reviver?: Reviver): T;
}

/** What {@link KV.getMany} found, by key. */
export interface KvEntries extends Map<string, KvEntry> {
  /** The revision of the bucket at which all of them were the newest; none where several requests saw several moments. */
  asOf?: number;
}

/** An entry of a watch. */
export interface KvWatchEntry extends KvEntry {
  /** False for the initial values, true for what came after them. */
  readonly isUpdate: boolean;
}

/** Which servers of a cluster hold a bucket. */
export interface Placement {
  cluster?: string;
  tags?: string[];
}

/** Publishing of every accepted write under another subject. */
export interface Republish {
  /** Which of the bucket's subjects, such as `$KV.<bucket>.>`. */
  src: string;
  /** Where to, such as `kv.copy.>`. */
  dest: string;
  headers_only?: boolean;
}

/** A bucket (or stream) to mirror or to source from. */
export interface StreamSource {
  name: string;
  opt_start_seq?: number;
  /** RFC 3339. */
  opt_start_time?: string;
  filter_subject?: string;
  subject_transforms?: { src: string; dest: string }[];
  external?: { api: string; deliver?: string };
}

/** A bucket's configuration. */
export interface KvLimits {
  /** Free text. */
  description: string;
  /** Copies in a cluster, 1 to 5. Default: 1. */
  replicas: number;
  /** Revisions kept per key, 1 to 64. Default: 1. */
  history: number;
  /** Largest size of the whole bucket in bytes; -1: no limit, the default. */
  max_bytes: number;
  /** Largest value in bytes; -1: no limit, the default. */
  maxValueSize: number;
  /** Age at which every revision expires; at least 100 ms. Default, and 0: never. */
  ttl: Duration;
  /** Whether keys may carry a TTL, and how long the markers of expired keys live; at least 1 s. Default, and 0: no. */
  markerTTL: Duration;
  /** Default: "file". */
  storage: "file" | "memory";
  placement: Placement;
  republish: Republish;
  /** Makes the bucket a read-only copy of another one. */
  mirror: StreamSource;
  /** Buckets whose entries flow into this one. */
  sources: StreamSource[];
  /** S2 compression on disk. Default: false. */
  compression: boolean;
  /** Your own pairs; names beginning `_nats.` are the server's. */
  metadata: Record<string, string>;
}

/** Makes keys of any kind fit for a bucket, token by token (tokens are what stands between dots), and back. */
export interface KvKeyCodec {
  encode(token: string): string;
  decode(token: string): string;
}

/** Changes values on their way in and out: encryption, compression. */
export interface KvPayloadCodec {
  encode(value: Payload): Uint8Array;
  decode(stored: Uint8Array): Uint8Array;
}

/** A codec of your own, in the form that `@nats-io/kv` has. What is left out does nothing. */
export interface KvCodecs {
  key?: KvKeyCodec;
  value?: KvPayloadCodec;
}

/** Codecs of keys that all languages have; the bucket's metadata records which (`natskv.key_codec`). */
export type KvKeyCodecName = "base64" | "path" | "escape";

/** Which keys a handle takes, and how they are stored. */
export type KvKeyPolicy = "strict" | "permissive" | KvKeyCodecName;

/** What {@link Kvm.create} does where the bucket exists and differs in an option given. */
export type KvOnDrift = "error" | "ignore" | "update";

/** Options of a handle, not of the bucket. */
export interface KvHandleOptions extends CallOptions {
  /** Default of all calls on the handle. Default: the connection's `requestTimeout`. */
  timeout: Duration;
  /**
   * How keys are stored. A name: that codec, which a bucket that is created records in its metadata; handles that ask the server
   * (`create`, `open` with `check`) find it there by themselves. An object: your own, which nobody else knows of. Default: as they are.
   */
  codec: KvKeyCodecName | KvCodecs;
  /**
   * Which keys are taken, where no codec says it. `strict`: `[-/_=.a-zA-Z0-9]+`, as all clients do. `permissive`: printable ASCII
   * but `*` and `>`, such as `user:12345`. With a codec object the rule is for what that makes of keys. Default: `strict`.
   */
  keyPolicy: "strict" | "permissive";
  /** Reads of keys go to the stream's leader, which knows every write that was acknowledged; else any replica may answer. Default: false. */
  leaderReads: boolean;
  /** Writes are refused here, with `UNSUPPORTED`. Default: false. */
  readOnly: boolean;
  /** Writes to keys beginning `_kv` are allowed. Default: false. */
  reservedKeys: boolean;
}

/** Options of {@link Kvm.create} and {@link Kvm.update}. */
export interface KvOptions extends KvLimits, KvHandleOptions {
  /** `create` of a bucket that differs: rejects with `BUCKET_EXISTS`, opens it as it is, or changes it. Default: "error". */
  onDrift: KvOnDrift;
  /** Opens without creating, as {@link Kvm.open}. Default: false. */
  bindOnly: boolean;
  /** For programs written for `@nats-io/kv`: here reads are always direct, so there is nothing to ask for. */
  allow_direct: true;
}

/** Options of {@link Kvm.open}; what describes a bucket is not looked at. */
export interface KvOpenOptions extends Partial<KvOptions> {
  /** Asks the server whether the bucket exists: `BUCKET_NOT_FOUND`, `NOT_A_BUCKET`. Default: false, nothing is sent. */
  check?: boolean;
}

/** What a bucket is and holds. */
export interface KvStatus extends Omit<KvLimits, "ttl" | "markerTTL" | "placement" | "republish" | "mirror" | "sources"> {
  bucket: string;
  /** All revisions of all keys, markers included. */
  values: number;
  /** Bytes stored. */
  size: number;
  /** In milliseconds; 0: values never expire. */
  ttl: number;
  /** In milliseconds; 0: no markers of expired keys. */
  markerTTL: number;
  placement?: Placement;
  republish?: Republish;
  mirror?: StreamSource;
  sources?: StreamSource[];
  /** Which keys the handle takes, and how they are stored. */
  keyPolicy: KvKeyPolicy;
  /** Why the handle cannot write; none: it can. */
  readOnlyReason?: string;
  backingStore: "JetStream";
  /** The server's whole STREAM.INFO answer. */
  streamInfo: Record<string, unknown>;
}

/** What a watch delivers first. */
export const KvWatchInclude = {
  /** The newest entry of each key. */
  LastValue: "",
  /** All revisions that history keeps. */
  AllHistory: "history",
  /** Nothing: only what is written from now on. */
  UpdatesOnly: "updates",
} as const;
/** What a watch delivers first. */
export type KvWatchInclude = (typeof KvWatchInclude)[keyof typeof KvWatchInclude];

/** Options of {@link KV.watch}. `timeout` is how long the watch may take to be established. */
export interface KvWatchOptions extends CallOptions {
  /** Keys or filters (`*` is one token, a last `>` one or more). Default: all. */
  key?: string | string[];
  /** Default: the newest entry of each key. */
  include?: KvWatchInclude;
  /** No delete and purge markers. Default: false. */
  ignoreDeletes?: boolean;
  /** No values, only their length. Default: false. */
  headers_only?: boolean;
  /** Everything from this revision on, it included; wins over `include`. */
  resumeFromRevision?: number;
  /** Called when all initial values were handed out, at once if there are none. */
  initializedFn?: () => void;
  /** Called when the bucket was deleted and created again: forget all keys, a new picture follows. */
  resetFn?: () => void;
}

/** Options of {@link KV.history}. */
export interface KvHistoryOptions extends CallOptions {
  /** A key, or filters. Default: all keys. */
  key?: string | string[];
  /** No values, only their length. Default: false. */
  headers_only?: boolean;
}

/** Options of {@link KV.get}. */
export interface KvGetOptions extends CallOptions {
  /** The value at this revision, instead of the newest. */
  revision?: number;
}

/** Options of {@link KV.create}. */
export interface KvCreateOptions extends CallOptions {
  /**
   * The value's lifetime, at least 1 s, in buckets with `markerTTL`. Default: for ever. Where the bucket's `history` is not 1
   * the server raises what is below the bucket's `markerTTL` to that.
   */
  markerTTL?: Duration;
}

/** Options of {@link KV.update}. */
export interface KvTtlOptions extends CallOptions {
  /**
   * The value's lifetime, at least 1 s, in buckets with `markerTTL` whose `history` is 1; elsewhere an older value would come back when this
   * one expires, so it is refused with `UNSUPPORTED`. Default: for ever.
   */
  ttl?: Duration;
}

/** Options of {@link KV.put}. */
export interface KvPutOptions extends KvTtlOptions {
  /** The revision that the key must be at, as in {@link KV.update}. */
  previousSeq?: number;
}

/** Options of {@link KV.clear} and {@link KV.purgeDeletes}. */
export interface KvProgressOptions extends CallOptions {
  /** Told how many keys are dealt with, of how many; at most about a hundred times. */
  onProgress?: (done: number, total: number) => void;
}

/** Options of {@link KV.delete}. */
export interface KvDeleteOptions extends CallOptions {
  /** The revision that the key must be at, else `WRONG_REVISION`. */
  previousSeq?: number;
}

/** Options of {@link KV.purge}. */
export interface KvPurgeOptions extends KvDeleteOptions {
  /** How long the marker stays, at least 1 s; needs a bucket with `markerTTL`. Default: for ever. */
  ttl?: Duration;
}

/** What {@link KV.purgeDeletes} did. */
export interface PurgeResponse {
  success: boolean;
  /** Markers removed. */
  purged: number;
}

/** An operation in its JSON form: `{ "operation": "PUT", "key": "a", "value_text": "1" }`. Binary values are base64 in `value`. */
export interface KvOperation {
  operation:
    | "PUT"
    | "GET"
    | "CREATE"
    | "UPDATE"
    | "DELETE"
    | "PURGE"
    | "HISTORY"
    | "LIST"
    | "WATCH"
    | "TOUCH"
    | "GET_MANY"
    | "PUT_MANY"
    | "ENTRIES"
    | "COUNT"
    | "CLEAR"
    | "PURGE_DELETES";
  key?: string;
  keys?: string[];
  value?: string;
  value_text?: string;
  values?: Record<string, string>;
  values_text?: Record<string, string>;
  revision?: number;
  filter?: string;
  prefix?: string;
  /** Nanoseconds. */
  ttl?: number;
  /** Nanoseconds. */
  older_than?: number;
  include_deleted?: boolean;
  [field: string]: unknown;
}
