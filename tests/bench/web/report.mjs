// What is asked for on the command line, and the line that the runner reads.

/** `WORKLOAD name=value…` */
export function plan([workload, ...words]) {
  const given = Object.fromEntries(words.map((word) => [word.slice(0, word.indexOf("=")), word.slice(word.indexOf("=") + 1)]));
  return { workload, url: given.url, keys: Number(given.keys ?? 100_000), seconds: Number(given.seconds ?? 1) };
}

/** What a workload did, as numbers. */
export function numbers({ ops, seconds, waits, atUs, ms }) {
  const found = { ops, seconds, at_us: atUs, ms };
  if (waits?.length) {
    const sorted = Float64Array.from(waits).sort();
    for (const share of [50, 99]) {
      found[`p${share}_us`] = sorted[Math.floor(((waits.length - 1) * share) / 100)] * 1000;
    }
  }
  return found;
}

/** Tells them. */
export function tell(found) {
  const words = Object.entries(found).filter(([, number]) => number != null);
  console.log("result", ...words.map(([name, number]) => `${name}=${number}`));
}
