/** TCP by node:net, with TLS over it by node:tls. Not in the browser's bundle. */

import { createConnection, type Socket } from "node:net";
import { connect } from "node:tls";

import type { TlsOptions } from "../types.js";
import { tlsOptions, trouble } from "./tls.js";
import type { Address, Listener, Transport } from "./transport.js";

/** One read buffer per socket, instead of a new one per read: received bytes are copied into wasm at once. */
const READ_BYTES = 128 * 1024;
/** How long the last bytes may take after `close`. */
const LINGER_MS = 1000;
const ENDED: [string, boolean] = ["eof", false];

export function dialTcp({ host, port, tlsName, isTlsFirst }: Address, listener: Listener, tls: TlsOptions | undefined): Transport {
  let isSilent = false;
  let failed: Error | undefined;
  const received = (bytes: Uint8Array) => isSilent || listener.received(bytes);
  const onread = {
    buffer: new Uint8Array(READ_BYTES),
    callback: (length: number, buffer: Uint8Array) => (received(buffer.subarray(0, length)), true),
  };
  const to = { host, port, onread };
  let socket = isTlsFirst ? connect({ ...tlsOptions(tls, tlsName), ...to }) : createConnection(to);
  const follow = (followed: Socket) => {
    followed.setNoDelay(true);
    followed.on("drain", () => isSilent || listener.drained());
    followed.on("error", (error) => {
      failed ??= error; // `close` follows
    });
    followed.on("close", () => {
      if (!isSilent && followed === socket) {
        listener.closed(...(failed ? trouble(failed) : ENDED));
      }
    });
  };
  socket.once(isTlsFirst ? "secureConnect" : "connect", () => isSilent || listener.opened());
  follow(socket);
  return {
    get buffered() {
      return socket.writableLength;
    },
    send(bytes) {
      socket.write(Buffer.from(bytes));
    },
    startTls(name) {
      socket = connect({ ...tlsOptions(tls, name), socket });
      socket.once("secureConnect", () => isSilent || listener.secured());
      socket.on("data", received);
      follow(socket);
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
