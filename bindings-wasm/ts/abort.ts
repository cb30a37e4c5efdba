/** One listener per AbortSignal, however many calls it is given to: Node warns of a leak beyond ten. */

const waiting = new WeakMap<AbortSignal, Set<() => void>>();

/** Calls back when the signal aborts; gives the way to hear no more of it. */
export function onAbort(signal: AbortSignal, call: () => void): () => void {
  const calls = waiting.get(signal) ?? listen(signal);
  calls.add(call);
  return () => {
    if (calls.delete(call) && calls.size === 0) {
      waiting.delete(signal);
      signal.removeEventListener("abort", abort);
    }
  };
}

function listen(signal: AbortSignal): Set<() => void> {
  const calls = new Set<() => void>();
  waiting.set(signal, calls);
  signal.addEventListener("abort", abort, { once: true });
  return calls;
}

function abort(this: AbortSignal): void {
  const calls = waiting.get(this) ?? [];
  waiting.delete(this);
  for (const call of calls) {
    call();
  }
}
