/**
 * The web's part in `cargo xtask demo`, the same in a page and in Node: writes into the bucket, and tells what it sees of
 * the others. `say` gets one line per event, tab-separated: `wrote KEY REVISION MICROSECONDS` (how long the put took) and
 * `saw KEY REVISION MICROSECONDS` (from the other's write to here). Resolves when it saw all.
 *
 * `put(key, value)` writes; `follow(take)` calls `take` with each entry of the bucket, from the first on.
 */
export function part({ put, follow }, plan, say) {
  const { me, rounds, others } = plan;
  const waitedFor = new Set(others.map((other) => `${other}.ready`));
  const expected = new Set(others.flatMap((other) => count(rounds).map((round) => `${other}.${round}`)));
  return new Promise((resolve, reject) => {
    let writer;
    follow(({ key, revision, value }) => {
      waitedFor.delete(key);
      if (waitedFor.size === 0) {
        writer ??= write(put, plan, say);
      }
      if (expected.delete(key)) {
        say(["saw", key, revision, nowMicros() - Number(value)].join("\t"));
      }
      if (writer && expected.size === 0) {
        resolve(writer);
      }
    });
    put(`${me}.ready`, "").catch(reject);
  });
}

/** One key a round, its value the time of writing. The three take turns, so that no one waits for another's CPU. */
async function write(put, { me, rounds, others }, say) {
  await sleep(100 * others.filter((other) => other < me).length);
  for (const round of count(rounds)) {
    const started = nowMicros();
    const revision = await put(`${me}.${round}`, String(started));
    say(["wrote", `${me}.${round}`, revision, nowMicros() - started].join("\t"));
    await sleep(300);
  }
}

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Wall-clock time, which the three share; pages get it in steps of 5 to 100 µs. */
function nowMicros() {
  return Math.round((performance.timeOrigin + performance.now()) * 1000);
}

function count(rounds) {
  return Array.from({ length: rounds }, (_, index) => index + 1);
}
