/** TCP by node:net. Not in the browser's bundle. */

import { createConnection } from "node:net";

import type { Address, Listener, Transport } from "./transport.js";

/** One read buffer per socket, instead of a new one per read: received bytes are copied into wasm at once. */
const READ_BYTES = 128 * 1024;
/** How long the last bytes may take after `close`. */
const LINGER_MS = 1000;

const WHY: Record<string, string> = {
  ECONNREFUSED: "refused",
  ECONNRESET: "reset",
  EPIPE: "reset",
  ENOTFOUND: "unreachable",
  EAI_AGAIN: "unreachable",
  EHOSTUNREACH: "unreachable",
  ENETUNREACH: "unreachable",
};

export function dialTcp({ host, port }: Address, listener: Listener): Transport {
  let isSilent = false;
  let trouble: NodeJS.ErrnoException | undefined;
  const socket = createConnection({
    host,
    port,
    noDelay: true,
    onread: {
      buffer: new Uint8Array(READ_BYTES),
      callback(length, buffer) {
        if (!isSilent) {
          listener.received(buffer.subarray(0, length));
        }
        return true;
      },
    },
  });
  socket.on("connect", () => isSilent || listener.opened());
  socket.on("drain", () => isSilent || listener.drained());
  socket.on("error", (error) => {
    trouble = error; // `close` follows
  });
  socket.on("close", () => isSilent || listener.closed(trouble ? (WHY[trouble.code ?? ""] ?? trouble.message) : "eof"));
  return {
    get buffered() {
      return socket.writableLength;
    },
    send(bytes) {
      socket.write(Buffer.from(bytes));
    },
    close() {
      isSilent = true;
      if (socket.connecting) {
        socket.destroy();
        return;
      }
      socket.destroySoon();
      setTimeout(() => socket.destroy(), LINGER_MS).unref();
    },
  };
}
