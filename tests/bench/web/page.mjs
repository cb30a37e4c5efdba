// A measure in a page: browser.mjs opens it with ?client=natskv|nats-js|limit&workload=…&url=…&keys=…&seconds=… and calls the two
// functions one after the other.

import { numbers } from "./report.mjs";

const { client, workload, url, keys, seconds } = Object.fromEntries(new URLSearchParams(location.search));
const plan = { workload, url, keys: Number(keys), seconds: Number(seconds) };
const prepared = workload === "W0" ? undefined : prepare();
prepared?.catch(() => {}); // told by whoever awaits it
let did;

async function prepare() {
  if (client === "limit") {
    return (await import("./limit.mjs")).prepare(plan);
  }
  const [{ prepare }, apis, module] = await Promise.all([
    import("./workloads.mjs"),
    import("./clients.mjs"),
    import(client === "natskv" ? "/natskv/index.js" : "/peer/nats-js.js"),
  ]);
  return prepare(client === "natskv" ? apis.natskv(module) : apis.natsJs(module), plan);
}

/** Resolves when the measure may begin. */
window.benchPrepared = async () => {
  await prepared;
  return true;
};

window.benchMeasure = async () => {
  did = await (await prepared).measure();
  return numbers(did);
};

window.benchCheck = async () => {
  await did.isRight();
  await (await prepared).end();
};

window.benchReady = true;
