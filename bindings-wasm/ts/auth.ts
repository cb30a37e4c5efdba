/**
 * Who the client is: asks the user's authenticators, and signs by WebCrypto. Seeds are read by core, which hands out the 32 bytes that
 * sign; no ed25519 is in the wasm.
 */

import { failure, invalid } from "./errors.js";
import type { Authenticator, AuthReason, ConnectionOptions, Credentials } from "./types.js";

const REASONS: AuthReason[] = ["first", "reconnect", "refused", "expired"];
const FIELDS = ["user", "pass", "auth_token", "jwt", "creds", "seed", "nkey", "sign", "sig"];
/** What stands before the 32 bytes in PKCS #8, the one form in which WebCrypto takes a private key by itself. */
const PKCS8 = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

const [encoder, decoder] = [new TextEncoder(), new TextDecoder()];

export class Auth {
  readonly #authenticators: Authenticator[];
  #reason: AuthReason = "first";
  /** The last answer. */
  #said: Credentials = {};

  constructor(authenticator: ConnectionOptions["authenticator"]) {
    this.#authenticators = authenticator == null ? [] : [authenticator].flat();
    if (!this.#authenticators.every((one) => typeof one === "function")) {
      throw invalid('connect option "authenticator" must be a function such as tokenAuthenticator("…") gives, or a list of them');
    }
  }

  /** The credentials, in the JSON that `src/options.rs` reads. */
  async credentials(reason: number): Promise<string> {
    this.#reason = REASONS[reason]!;
    this.#said = await this.#ask(undefined);
    const { user, pass, auth_token: token, jwt, creds, seed, nkey, sign, sig } = this.#said;
    const signs = !creds && !seed && Boolean(sign || nkey || sig);
    return JSON.stringify({
      ...{ user, pass, token, jwt: jwt || undefined, creds: text(creds), seed: text(seed) },
      ...(signs && { signs, nkey: jwt ? undefined : nkey }),
    });
  }

  /** The signature of the nonce, and after it the public key where there is a seed. */
  async sign(nonce: string, seed: Uint8Array): Promise<Uint8Array> {
    if (seed.length > 0) {
      return signed(nonce, seed);
    }
    const { sign } = this.#said;
    const sig = sign ? await sign(nonce) : (await this.#ask(nonce)).sig;
    return typeof sig === "string" ? bytes(sig) : (sig ?? new Uint8Array());
  }

  async #ask(nonce: string | undefined): Promise<Credentials> {
    const all = await Promise.all(this.#authenticators.map((one) => one(nonce, this.#reason)));
    const said: Credentials = Object.assign({}, ...all);
    for (const [name, value] of Object.entries(said)) {
      if (!FIELDS.includes(name)) {
        throw invalid(`"${name}" is not known; an authenticator gives some of: ${FIELDS.join(", ")}`);
      }
      const isRight = name === "sign" ? typeof value === "function" : typeof value === "string" || value instanceof Uint8Array;
      if (value != null && !isRight) {
        throw invalid(`"${name}" must be ${name === "sign" ? "a function" : "a string"}`);
      }
    }
    return said;
  }
}

async function signed(nonce: string, seed: Uint8Array): Promise<Uint8Array> {
  const { subtle } = globalThis.crypto;
  if (!subtle) {
    throw failure("UNSUPPORTED", "nkeys sign by crypto.subtle, which a page has only in a secure context: https:// or localhost");
  }
  const wrapped = new Uint8Array([...PKCS8, ...seed]);
  seed.fill(0);
  try {
    const key = await subtle.importKey("pkcs8", wrapped, "Ed25519", true, ["sign"]);
    const [signature, { x }] = await Promise.all([subtle.sign("Ed25519", key, encoder.encode(nonce)), subtle.exportKey("jwk", key)]);
    return new Uint8Array([...new Uint8Array(signature), ...bytes(x!)]);
  } catch (error) {
    throw failure("UNSUPPORTED", `nkeys sign by Ed25519, which crypto.subtle does not have here: ${error}`);
  } finally {
    wrapped.fill(0);
  }
}

/** The bytes of base64, in either alphabet, padded or not. */
function bytes(base64: string): Uint8Array {
  const standard = base64.replaceAll("-", "+").replaceAll("_", "/").replace(/=+$/, "");
  return Uint8Array.from(atob(standard), (char) => char.charCodeAt(0));
}

function text(value: string | Uint8Array | undefined): string | undefined {
  return value instanceof Uint8Array ? decoder.decode(value) : value || undefined;
}
