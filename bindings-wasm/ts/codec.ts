/** Codecs that programs bring along, in the form of `@nats-io/kv`: keys token by token, values whole. Those that natskv has are core's. */

import { payload } from "./check.js";
import { invalid } from "./errors.js";
import type { KvCodecs, Payload } from "./types.js";

/** What may be left out of a codec does nothing. */
export class Codec {
  readonly #codecs: KvCodecs;

  constructor(codecs: KvCodecs) {
    for (const [part, codec] of Object.entries({ key: codecs.key, value: codecs.value })) {
      if (codec !== undefined && !(typeof codec.encode === "function" && typeof codec.decode === "function")) {
        throw invalid(`codec.${part} must have the functions encode and decode`);
      }
    }
    this.#codecs = codecs;
  }

  /** A key or a filter as it is stored. */
  encodeKey(key: string): string {
    const { key: codec } = this.#codecs;
    return codec ? tokens(key, (token) => codec.encode(token)) : key;
  }

  decodeKey(stored: string): string {
    const { key: codec } = this.#codecs;
    return codec ? tokens(stored, (token) => codec.decode(token)) : stored;
  }

  encodeValue(value: Payload): Uint8Array {
    const { value: codec } = this.#codecs;
    return payload(codec ? codec.encode(value) : value);
  }

  decodeValue(stored: Uint8Array): Uint8Array {
    return this.#codecs.value?.decode(stored) ?? stored;
  }
}

function tokens(text: string, code: (token: string) => string): string {
  const coded = (token: string) => (token === "*" || token === ">" ? token : code(token));
  return text.split(".").map(coded).join(".");
}
