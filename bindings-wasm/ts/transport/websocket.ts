/** WebSocket, the browser's own or one with its interface. */

import { type Address, authority, type Listener, type Transport } from "./transport.js";

/** What is used of a WebSocket; `ws` has it too, and `terminate` beside. */
export interface Socket {
  binaryType: string;
  readonly bufferedAmount: number;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(bytes: Uint8Array): void;
  close(code?: number): void;
  terminate?(): void;
}

/** What differs between environments. */
export interface SocketKind {
  make(url: string): Socket;
  /** Whether `send` may keep what it was given, instead of copying it at once as browsers do. */
  isLazy: boolean;
  /** Why nothing could be opened, from the error's event. */
  explain(event: Event, address: Address): [why: string, isTls: boolean];
}

/** How long a socket without a closing handshake of its peer may linger (`ws` waits 30 s by itself). */
const LINGER_MS = 1000;

export function dialWebSocket(kind: SocketKind, address: Address, listener: Listener): Transport {
  const socket = kind.make(`${address.scheme}://${authority(address)}${address.path}`);
  let isOpen = false;
  const silence = () => {
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.onerror = () => {}; // `ws` throws an error that nobody listens to
  };
  socket.binaryType = "arraybuffer";
  socket.onopen = () => {
    isOpen = true;
    listener.opened();
  };
  socket.onmessage = (event: MessageEvent<ArrayBuffer | string>) => {
    if (typeof event.data !== "string") {
      listener.received(new Uint8Array(event.data));
    }
  };
  const ended = (event: Event & { wasClean?: boolean }) => {
    silence();
    if (isOpen) {
      return listener.closed(event.wasClean ? "eof" : "reset");
    }
    listener.closed(...kind.explain(event, address));
  };
  socket.onerror = (event: Event) => {
    if (!isOpen) {
      ended(event); // a `close` may follow, but Node's own class sends none
    }
  };
  socket.onclose = ended;
  return {
    get buffered() {
      return socket.bufferedAmount;
    },
    send(bytes) {
      socket.send(kind.isLazy ? bytes.slice() : bytes);
    },
    close() {
      silence();
      socket.close(1000);
      if (socket.terminate) {
        setTimeout(() => socket.terminate?.(), LINGER_MS).unref();
      }
    },
  };
}
