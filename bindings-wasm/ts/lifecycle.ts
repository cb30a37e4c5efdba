/**
 * What a browser tells of the life of a page, told to a connection. A worker hears of it less (online, offline); the timer
 * that comes late, in connection.ts, tells it the rest.
 */

/** The connection as a page's life sees it. */
export interface Living {
  /** The page will not run for a while, perhaps never again. */
  sleep(): void;
  /** Time may have been lost, or the network be another one. */
  wake(): void;
  close(): Promise<void>;
}

/** Listens until the function it gives is called. */
export function follow(nc: Living): () => void {
  const sleep = () => nc.sleep();
  const wake = () => nc.wake();
  const listeners: [target: EventTarget, type: string, call: (event: Event) => void][] = [
    [globalThis, "online", wake],
    [globalThis, "offline", wake],
    [globalThis, "pageshow", wake],
    // A page that cannot come back says goodbye, so that the server keeps nothing for it.
    [globalThis, "pagehide", (event) => ((event as PageTransitionEvent).persisted ? nc.sleep() : void nc.close())],
  ];
  if (typeof document === "object") {
    listeners.push(
      [document, "freeze", sleep],
      [document, "resume", wake],
      [document, "visibilitychange", () => document.visibilityState === "visible" && nc.wake()],
    );
  }
  for (const [target, type, call] of listeners) {
    target.addEventListener(type, call);
  }
  return () => {
    for (const [target, type, call] of listeners) {
      target.removeEventListener(type, call);
    }
  };
}
