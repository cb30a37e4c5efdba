// The web's part of the demo in Node, for machines without a browser: node.mjs SERVER ROUNDS OTHER...

import { natskv } from "../real/web/dev.mjs";
import { part } from "./part.mjs";

const LIMIT_MS = 30_000;
const [server, rounds, ...others] = process.argv.slice(2);
const late = setTimeout(() => fail(`not done after ${LIMIT_MS} ms`), LIMIT_MS);

try {
  const { connect, Kvm } = await natskv();
  const nc = await connect({ servers: server, name: "demo node" });
  const kv = await new Kvm(nc).create("demo");
  const entries = await kv.watch();
  const follow = async (take) => {
    for await (const entry of entries) {
      take({ key: entry.key, revision: entry.revision, value: entry.string() });
    }
  };
  await part({ put: (key, value) => kv.put(key, value), follow }, { me: "node", rounds: Number(rounds), others }, console.log);
  await nc.close();
  clearTimeout(late);
} catch (error) {
  fail(error.stack);
}

function fail(why) {
  console.error(why);
  process.exit(1);
}
