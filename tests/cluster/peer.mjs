// @nats-io/kv beside the clients of the cluster test, as peer.py says.

import { setTimeout as sleep } from "node:timers/promises";

import { tool } from "../real/web/dev.mjs";

const { connect } = await tool("@nats-io/transport-node/lib/mod.js");
const { jetstream } = await tool("@nats-io/jetstream/lib/mod.js");
const { Kvm } = await tool("@nats-io/kv/lib/mod.js");
const [servers, bucket, number] = process.argv.slice(2);
const nc = await connect({ servers: servers.split(","), pingInterval: 1000, maxPingOut: 2, maxReconnectAttempts: -1 });
const kv = await new Kvm(jetstream(nc, { timeout: 2000 })).open(bucket);
let isStopped = false;
process.stdin.once("data", () => { isStopped = true; });
for (let count = 1; !isStopped; count++) {
  const start = process.hrtime.bigint();
  const words = await kv.put(`peer${number}`, String(count)).then(
    (revision) => ["wrote", `peer${number}`, start, process.hrtime.bigint(), count, revision, -1],
    (error) => ["failed", start, process.hrtime.bigint(), error.name],
  );
  process.stdout.write(`${words.join(" ")}\n`);
  await sleep(2);
}
process.stdout.write("stopped\n");
process.exit(0);
