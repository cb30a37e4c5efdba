/** natskv in Node: `nats://` over node:net, `ws://` over the global WebSocket (Node 22) or the package `ws`. */

import { readFile } from "node:fs/promises";

import { initSync } from "natskv-engine";

import { connector } from "./connection.js";
import { failure } from "./errors.js";
import { dialTcp } from "./transport/tcp.js";
import type { Platform } from "./transport/transport.js";
import { dialWebSocket, type SocketClass } from "./transport/websocket.js";

let memory: Promise<WebAssembly.Memory> | undefined;
let socketClass: SocketClass | undefined = globalThis.WebSocket as unknown as SocketClass | undefined;

const node: Platform = {
  async servers(given) {
    if (given.some((server) => /^tls:\/\//i.test(server))) {
      throw failure("UNSUPPORTED", "tls:// is not supported in Node yet; nats:// and ws:// are");
    }
    if (given.some((server) => /^wss?:\/\//i.test(server))) {
      socketClass ??= await webSocket();
    }
    return given.length === 0 ? undefined : given;
  },
  load() {
    memory ??= readFile(new URL("natskv_bg.wasm", import.meta.url)).then((module) => initSync({ module }).memory);
    return memory;
  },
  dial(address, listener) {
    const isWebSocket = address.scheme === "ws" || address.scheme === "wss";
    return isWebSocket ? dialWebSocket(socketClass!, address, listener, true) : dialTcp(address, listener);
  },
};

async function webSocket(): Promise<SocketClass> {
  try {
    return (await import("ws")).WebSocket as unknown as SocketClass;
  } catch {
    throw failure("UNSUPPORTED", "ws:// needs a global WebSocket (Node 22 has one) or the package ws: npm install ws");
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
