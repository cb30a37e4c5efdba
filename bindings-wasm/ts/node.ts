/** natskv in Node: `nats://` over node:net, `tls://` over node:tls, `ws://` over the global WebSocket (Node 22) or the package `ws`. */

import { readFile } from "node:fs/promises";

import { initSync } from "natskv-engine";

import { connector } from "./connection.js";
import { failure } from "./errors.js";
import { dialTcp } from "./transport/tcp.js";
import { tlsOptions, trouble } from "./transport/tls.js";
import type { Platform } from "./transport/transport.js";
import { dialWebSocket, type Socket, type SocketKind } from "./transport/websocket.js";
import type { TlsOptions } from "./types.js";

type SocketClass = new (url: string, options?: object) => Socket;

let memory: Promise<WebAssembly.Memory> | undefined;
let ws: SocketClass | undefined;
const global = globalThis.WebSocket as unknown as SocketClass | undefined;

const node: Platform = {
  async servers(given, tls) {
    const inClear = tls && given.find((server) => /^ws:\/\//i.test(server));
    if (inClear !== undefined) {
      throw failure("INVALID_ARGUMENT", `connect option "tls" is given, and "${inClear}" has none: use wss://`);
    }
    if (!ws && given.some((server) => /^wss?:\/\//i.test(server)) && (!global || tls)) {
      ws = await loadWs(tls);
    }
    return given.length === 0 ? undefined : given;
  },
  load() {
    memory ??= readFile(new URL("natskv_bg.wasm", import.meta.url)).then((module) => initSync({ module }).memory);
    return memory;
  },
  dial(address, listener, tls) {
    const isWebSocket = address.scheme === "ws" || address.scheme === "wss";
    return isWebSocket ? dialWebSocket(socketKind(address.tlsName, tls), address, listener) : dialTcp(address, listener, tls);
  },
  follow: () => () => {}, // a process runs or is gone
};

/** The global class takes no options for TLS, the package does. */
function socketKind(name: string, tls: TlsOptions | undefined): SocketKind {
  return {
    make: (url) => (global && !tls ? new global(url) : new ws!(url, tls && tlsOptions(tls, name))),
    isLazy: true,
    explain(event: Event & { error?: Error; message?: string }) {
      const { error } = event;
      return error ? trouble((error.cause as Error | undefined) ?? error) : [event.message || "no WebSocket could be opened", false];
    },
  };
}

async function loadWs(tls: TlsOptions | undefined): Promise<SocketClass> {
  try {
    return (await import("ws")).WebSocket as unknown as SocketClass;
  } catch {
    const why = tls ? 'wss:// with the option "tls" needs' : "ws:// needs a global WebSocket (Node 22 has one) or";
    throw failure("UNSUPPORTED", `${why} the package ws: npm install ws`);
  }
}

/**
 * Connects; resolves when requests can go out. Rejects with `CONNECT_FAILED`, `AUTH` and the like, or with what is wrong
 * with the options.
 */
export const connect = connector(node);
/** The same as {@link connect}. */
export const wsconnect = connect;
export * from "./api.js";
