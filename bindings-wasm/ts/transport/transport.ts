/** What the connection wants of a socket, whichever kind it is. */

/** Where to, as core says it. */
export interface Address {
  scheme: "nats" | "tls" | "ws" | "wss";
  host: string;
  port: number;
  /** Path and query of a WebSocket URL, beginning with `/`, or empty. */
  path: string;
}

/** What a transport tells; nothing after `closed`, and nothing after its own `close()`. */
export interface Listener {
  opened(): void;
  /** `bytes` are read before the call returns. */
  received(bytes: Uint8Array): void;
  /** Room again, after `buffered` was high. */
  drained(): void;
  /** "refused", "unreachable", "eof", "reset", or words for the message. */
  closed(why: string): void;
}

/** One socket. */
export interface Transport {
  /** Bytes taken by `send` that are not on their way yet. */
  readonly buffered: number;
  /** `bytes` are wasm's own memory: they are copied before the call returns. */
  send(bytes: Uint8Array): void;
  /** Sends what was given, then ends; also ends dialling. */
  close(): void;
}

/** The parts that differ between browsers and Node. */
export interface Platform {
  /** The servers as absolute URLs, or an error for what cannot be reached from here; undefined: core's default. */
  servers(given: string[]): Promise<string[] | undefined>;
  /** Compiles wasm once; its memory. */
  load(): Promise<WebAssembly.Memory>;
  dial(address: Address, listener: Listener): Transport;
}

/** `host:port`, with the brackets that IPv6 wants. */
export function authority({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
