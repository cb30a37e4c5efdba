/**
 * natskv in browsers: WebSocket only. Wasm is loaded from beside this file by the first `connect`, so a page needs
 * `script-src 'wasm-unsafe-eval'` if it has a Content-Security-Policy.
 */

import init from "natskv-engine";

import { connector } from "./connection.js";
import { failure } from "./errors.js";
import { follow } from "./lifecycle.js";
import type { Platform } from "./transport/transport.js";
import { dialWebSocket, type Socket, type SocketKind } from "./transport/websocket.js";

let memory: Promise<WebAssembly.Memory> | undefined;

const kind: SocketKind = {
  make: (url) => new WebSocket(url) as unknown as Socket,
  isLazy: false,
  explain(_event, { scheme }) {
    const certificate = scheme === "wss" ? ", or its certificate is not valid, not trusted or for another name" : "";
    return [`no WebSocket could be opened (browsers do not say why): nobody answers there${certificate}`, false];
  },
};

const browser: Platform = {
  async servers(given, tls) {
    if (tls) {
      throw failure("UNSUPPORTED", 'connect option "tls": a page does TLS by itself, with the authorities it trusts; use wss://');
    }
    if (given.length === 0) {
      throw failure("INVALID_ARGUMENT", 'connect option "servers" is missing: a page needs a ws:// or wss:// URL');
    }
    return given.map((server) => {
      if (/^(nats|tls):\/\//i.test(server)) {
        throw failure("UNSUPPORTED", `"${server}": a page cannot open TCP sockets; use ws:// or wss://`);
      }
      return /^\w+:\/\//.test(server) ? server : `${location.protocol === "https:" ? "wss" : "ws"}://${server}`;
    });
  },
  load() {
    memory ??= init({ module_or_path: new URL("natskv_bg.wasm", import.meta.url) }).then((wasm) => wasm.memory);
    memory.catch(() => (memory = undefined)); // a failed download is tried again by the next connect
    return memory;
  },
  dial(address, listener) {
    return dialWebSocket(kind, address, listener);
  },
  follow,
};

/**
 * Connects; resolves when requests can go out. Rejects with `CONNECT_FAILED`, `AUTH` and the like, or with what is wrong
 * with the options.
 */
export const connect = connector(browser);
/** The same as {@link connect}, under the name that `@nats-io/nats-core` has for it. */
export const wsconnect = connect;
export * from "./api.js";
