/** The one error class, and how core's JSON form becomes it. */

/** Which kind of error; the same names and numbers in every language. */
export type KvErrorCode =
  | "INVALID_ARGUMENT"
  | "INVALID_KEY"
  | "INVALID_BUCKET"
  | "TOO_LARGE"
  | "UNSUPPORTED"
  | "WOULD_DEADLOCK"
  | "HISTORY_TOO_LARGE"
  | "CONNECT_FAILED"
  | "DISCONNECTED"
  | "CLOSED"
  | "TLS"
  | "AUTH"
  | "PERMISSION"
  | "PROTOCOL"
  | "BUFFER_FULL"
  | "TIMEOUT"
  | "CANCELLED"
  | "NO_RESPONDERS"
  | "UNAVAILABLE"
  | "BUCKET_NOT_FOUND"
  | "BUCKET_EXISTS"
  | "NOT_A_BUCKET"
  | "KEY_NOT_FOUND"
  | "KEY_EXISTS"
  | "WRONG_REVISION"
  | "BUCKET_FULL"
  | "SERVER"
  | "INTERNAL";

/** The JSON form of an error, as the server's API has it; beside it `kind`, and the rest where it says something. */
export interface KvErrorJson {
  type: string;
  error: { code: number; err_code: number; description: string };
  kind: KvErrorCode;
  revision?: number;
  maybe_applied?: boolean;
}

/**
 * What every call rejects with when it fails, unless it was aborted (then it is `signal.reason`) or a number is beyond
 * 2^53 - 1 (then it is a RangeError). The message says what was wrong with which value, or has the server's own words.
 */
export class KvError extends Error {
  /** Which kind. */
  readonly code: KvErrorCode;
  /** The JetStream `err_code`, such as 10071; undefined when the error was made here. */
  readonly apiCode?: number;
  /** The revision that the key really is at, when the server told it. */
  readonly revision?: number;
  /** The write may have been stored although it failed here. Never true for reads. */
  readonly maybeApplied: boolean;
  readonly #json: KvErrorJson;

  /** @internal */
  constructor(json: KvErrorJson) {
    super(json.error.description);
    this.code = json.kind;
    if (json.error.err_code) {
      this.apiCode = json.error.err_code;
    }
    if (json.revision !== undefined) {
      this.revision = json.revision;
    }
    this.maybeApplied = json.maybe_applied ?? false;
    this.#json = json;
  }

  override get name(): string {
    return "KvError";
  }

  /** `{ type, error: { code, err_code, description }, kind, … }`, as every binding has it. */
  toJSON(): KvErrorJson {
    return this.#json;
  }
}

/** An error made on this side of the border. @internal */
export function failure(kind: KvErrorCode, description: string): KvError {
  const type = "io.nats.jetstream.api.v1.error_response";
  return new KvError({ type, error: { code: kind === "INTERNAL" ? 500 : 400, err_code: 0, description }, kind });
}

/** @internal */
export function invalid(description: string): KvError {
  return failure("INVALID_ARGUMENT", description);
}

/** What wasm throws is core's JSON text; anything else is a bug of ours or a trap. @internal */
export function caught(thrown: unknown): unknown {
  return typeof thrown === "string" ? new KvError(JSON.parse(thrown)) : thrown;
}
