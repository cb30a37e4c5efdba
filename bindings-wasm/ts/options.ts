/** Options as users give them, in the JSON forms that core reads. */

import { millis, nanos, text } from "./check.js";
import { Codec } from "./codec.js";
import { invalid } from "./errors.js";
import type { Platform } from "./transport/transport.js";
import type { ConnectionOptions, Duration, KvOpenOptions, KvOptions, KvStatus } from "./types.js";

type Kind = "text" | "secret" | "flag" | "count" | "duration";

/** What goes to core, by the names of `src/options.rs`. */
const CONNECT: Record<string, Kind> = {
  name: "text",
  user: "text",
  pass: "text",
  token: "text",
  creds: "secret",
  timeout: "duration",
  requestTimeout: "duration",
  pingInterval: "duration",
  maxPingOut: "count",
  reconnect: "flag",
  maxReconnectAttempts: "count",
  waitOnFirstConnect: "flag",
  reconnectTimeWait: "duration",
  maxReconnectTimeWait: "duration",
  noRandomize: "flag",
  retryWrites: "flag",
  inboxPrefix: "text",
  domain: "text",
  apiPrefix: "text",
  pendingLimit: "count",
  watchLimit: "count",
};
/** Options of `@nats-io/nats-core` that have no meaning here, and do no harm. */
const IGNORED = new Set(["debug", "verbose", "pedantic", "noEcho", "noAsyncTraces", "reconnectJitter", "reconnectJitterTLS"]);
const decoder = new TextDecoder();
const CONNECT_MS = 5000;
const CENTURY_MS = 100 * 365 * 24 * 3_600_000;
const NANOS_PER_MILLI = 1_000_000;

/** Core's options, and how long `connect` may wait: every server has its own deadline, this one is only above them. */
export async function engineOptions(options: ConnectionOptions, platform: Platform): Promise<{ json: string; patience: number }> {
  const { signal: _signal, onWarning: _onWarning, onStatus: _onStatus, servers, authenticator, tls, ...rest } = options;
  const config: Record<string, unknown> = {};
  if (tls != null && typeof tls !== "object") {
    throw invalid('connect option "tls" must be an object such as { caFile: "ca.pem" }');
  }
  for (const [name, value] of Object.entries(rest)) {
    if (value != null && !IGNORED.has(name)) {
      config[name] = connectOption(name, value);
    }
  }
  const given = typeof servers === "string" ? [servers] : (servers ?? []);
  if (!Array.isArray(given) || !given.every((server) => typeof server === "string")) {
    throw invalid('connect option "servers" must be a URL or a list of URLs');
  }
  const all = await platform.servers(given, tls ?? undefined);
  Object.assign(config, { servers: all, tls: tls != null, tlsFirst: tls?.handshakeFirst === true, asksCredentials: authenticator != null });
  const one = (config["timeout"] as number | undefined) ?? CONNECT_MS;
  const patience = options.waitOnFirstConnect ? CENTURY_MS : one * ((all?.length ?? 1) + 1);
  return { json: JSON.stringify(config), patience };
}

function connectOption(name: string, value: unknown): unknown {
  const what = `connect option "${name}"`;
  const kind = CONNECT[name];
  switch (kind) {
    case "duration":
      return wholeMillis(millis(what, value as Duration));
    case "text":
      return text(what, value as string);
    case "secret":
      return text(what, value instanceof Uint8Array ? decoder.decode(value) : (value as string));
    case "flag":
      if (typeof value !== "boolean") {
        throw invalid(`${what} must be true or false`);
      }
      return value;
    case "count":
      if (!Number.isInteger(value) || Math.abs(value as number) > 0xffff_ffff) {
        throw invalid(`${what} must be a whole number`);
      }
      return value;
    default:
      throw invalid(`${what} is not known; these are: servers, authenticator, tls, ${Object.keys(CONNECT).join(", ")}, signal, onWarning, onStatus`);
  }
}

/** Core reads whole milliseconds here; what is shorter than one is one, not none. */
function wholeMillis(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : Math.ceil(ms);
}

/** Options of the handle, not of the bucket. */
const HANDLE = new Set(["timeout", "signal", "bindOnly", "check", "keyPolicy", "leaderReads", "readOnly", "reservedKeys", "onDrift"]);
const RENAMED: Record<string, string> = {
  maxValueSize: "max_value_size",
  replicas: "num_replicas",
  markerTTL: "limit_marker_ttl",
  codec: "key_codec",
};

/** SPEC.md's JSON of a bucket. Names that are not known go through as they are, and core refuses them by name. */
export function bucketConfig(bucket: string, options: Partial<KvOptions> | undefined): string {
  const config: Record<string, unknown> = { bucket };
  for (const [name, value] of Object.entries(options ?? {})) {
    const isOwnCodec = name === "codec" && typeof value === "object";
    if (HANDLE.has(name) || isOwnCodec || value == null || (name === "allow_direct" && value === true)) {
      continue;
    }
    const isDuration = name === "ttl" || name === "markerTTL";
    config[RENAMED[name] ?? name] = isDuration ? nanos(name, value as Duration) : value;
  }
  return JSON.stringify(config);
}

const POLICIES = ["", "strict", "permissive", "base64", "path", "escape"];
const ON_DRIFT = ["error", "ignore", "update"];

/** What a handle does to keys, reads and writes; `flags` as `src/verb.rs` reads them. */
export class Handle {
  readonly flags: number;
  readonly keyPolicy: string | undefined;
  readonly codec: Codec | undefined;

  constructor(options: KvOpenOptions | undefined) {
    const { codec, keyPolicy, onDrift = "error" } = options ?? {};
    if (codec && typeof codec === "object") {
      this.codec = new Codec(codec);
    }
    const policy = choice("keyPolicy", keyPolicy ?? "", POLICIES.slice(0, 3));
    const named = choice("codec", typeof codec === "object" ? "" : (codec ?? ""), ["", ...POLICIES.slice(3)]);
    if (named && policy) {
      throw invalid(`codec "${named}" says which keys there are; keyPolicy has to be left out`);
    }
    // What a program encodes itself, core must not: it takes what comes as it is, by the strict rule unless it is told otherwise.
    this.keyPolicy = named || policy || (this.codec && "strict");
    const flag = (name: "leaderReads" | "readOnly" | "reservedKeys") => Number(options?.[name] ?? false);
    this.flags =
      flag("leaderReads") |
      (flag("readOnly") << 1) |
      (flag("reservedKeys") << 2) |
      (POLICIES.indexOf(this.keyPolicy ?? "") << 3) |
      (ON_DRIFT.indexOf(choice("onDrift", onDrift, ON_DRIFT)) << 6);
  }
}

function choice(name: string, value: string, of: string[]): string {
  if (!of.includes(value)) {
    throw invalid(`${name}: ${JSON.stringify(value)} is not known; these are: ${of.filter(Boolean).join(", ")}`);
  }
  return value;
}

/** A status as core gives it: see `BucketStatus::to_json` in core. */
interface StatusJson {
  bucket: string;
  values: number;
  history: number;
  ttl: number;
  bytes: number;
  compressed: boolean;
  limit_marker_ttl: number;
  metadata?: Record<string, string>;
  replicas: number;
  storage: "file" | "memory";
  key_policy: KvStatus["keyPolicy"];
  read_only: string | null;
  config: Pick<KvStatus, "description" | "placement" | "republish" | "mirror" | "sources"> & {
    max_bytes?: number;
    max_bucket_size?: number;
    max_value_size?: number;
  };
  stream_info: Record<string, unknown>;
}

export function bucketStatus(json: StatusJson): KvStatus {
  const { config } = json;
  const optional = { placement: config.placement, republish: config.republish, mirror: config.mirror, sources: config.sources };
  return {
    bucket: json.bucket,
    values: json.values,
    size: json.bytes,
    description: config.description ?? "",
    replicas: json.replicas,
    history: json.history,
    max_bytes: config.max_bytes ?? config.max_bucket_size ?? -1,
    maxValueSize: config.max_value_size ?? -1,
    ttl: json.ttl / NANOS_PER_MILLI,
    markerTTL: json.limit_marker_ttl / NANOS_PER_MILLI,
    storage: json.storage,
    keyPolicy: json.key_policy,
    ...(json.read_only && { readOnlyReason: json.read_only }),
    compression: json.compressed,
    metadata: json.metadata ?? {},
    ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined && value !== null)),
    backingStore: "JetStream",
    streamInfo: json.stream_info,
  };
}
