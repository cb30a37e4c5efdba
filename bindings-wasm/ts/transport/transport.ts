/** What the connection wants of a socket, whichever kind it is. */

import type { Living } from "../lifecycle.js";
import type { TlsOptions } from "../types.js";

/** Where to, as core says it. */
export interface Address {
  scheme: "nats" | "tls" | "ws" | "wss";
  host: string;
  port: number;
  /** Path and query of a WebSocket URL, beginning with `/`, or empty. */
  path: string;
  /** The name that its certificate must carry. */
  tlsName: string;
  /** TLS before the server's first word; else `startTls` says when, if ever. Means nothing for `wss`, where it always comes first. */
  isTlsFirst: boolean;
}

/** What a transport tells; nothing after `closed`, and nothing after its own `close()`. */
export interface Listener {
  opened(): void;
  /** TLS, asked for by `startTls`, is up. */
  secured(): void;
  /** `bytes` are read before the call returns. */
  received(bytes: Uint8Array): void;
  /** Room again, after `buffered` was high. */
  drained(): void;
  /** "refused", "unreachable", "eof", "reset", or words for the message; whether it was TLS that failed. */
  closed(why: string, isTls?: boolean): void;
}

/** One socket. */
export interface Transport {
  /** Bytes taken by `send` that are not on their way yet. */
  readonly buffered: number;
  /** `bytes` are wasm's own memory: they are copied before the call returns. */
  send(bytes: Uint8Array): void;
  /** Begins TLS with a server of this name; only over TCP. */
  startTls?(name: string): void;
  /** Sends what was given, then ends; also ends dialling. */
  close(): void;
}

/** The parts that differ between browsers and Node. */
export interface Platform {
  /** The servers as absolute URLs, or an error for what cannot be reached from here; undefined: core's default. */
  servers(given: string[], tls: TlsOptions | undefined): Promise<string[] | undefined>;
  /** Compiles wasm once; its memory. */
  load(): Promise<WebAssembly.Memory>;
  dial(address: Address, listener: Listener, tls: TlsOptions | undefined): Transport;
  /** Tells the connection of the program's life, until the function it gives is called. */
  follow(nc: Living): () => void;
}

/** `host:port`, with the brackets that IPv6 wants. */
export function authority({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
