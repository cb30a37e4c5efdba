// A measure in Node: node.mjs natskv|nats-js WORKLOAD name=value…   `nats://` is TCP, `ws://` is WebSocket.

import { readFileSync } from "node:fs";

import { natskv as module, tool } from "../../real/web/dev.mjs";
import { natsJs, natskv } from "./clients.mjs";
import { numbers, plan, tell } from "./report.mjs";
import { prepare } from "./workloads.mjs";

const [client, ...words] = process.argv.slice(2);
const asked = plan(words);

if (asked.workload === "W0") {
  tell({ peak_kb: peak() }); // Node and nothing else
} else {
  const { measure, end } = await prepare(await api(), asked);
  if (asked.workload === "W6") {
    console.log("ready");
  }
  const before = process.cpuUsage();
  const did = await measure();
  const { user, system } = process.cpuUsage(before);
  const isFirst = asked.workload === "W11"; // whose cost is that of the whole process
  tell({ ...numbers({ ...did, ms: undefined }), cpu: isFirst ? undefined : (user + system) / 1e6, peak_kb: peak() });
  await did.isRight();
  await end();
}

async function api() {
  if (client === "natskv") {
    return natskv(await module());
  }
  const { Kvm } = await tool("@nats-io/kv/lib/mod.js");
  const isWeb = asked.url.startsWith("ws");
  const { connect, wsconnect } = await tool(isWeb ? "@nats-io/nats-core/lib/mod.js" : "@nats-io/transport-node/lib/mod.js");
  return natsJs({ Kvm, connect: isWeb ? wsconnect : connect });
}

/** The most memory this process ever had. */
function peak() {
  return Number(readFileSync("/proc/self/status", "utf8").match(/VmHWM:\s*(\d+)/)?.[1] ?? 0);
}
