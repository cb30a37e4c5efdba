// Where things are: what `cargo xtask` built and installed, and what it passes by the environment.

import { existsSync, symlinkSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

export const here = fileURLToPath(new URL(".", import.meta.url));
export const root = join(here, "../../..");
export const dev = process.env.NATSKV_DEV ?? join(root, "target/dev");
export const dist = join(dev, "npm/natskv/dist");

const tools = join(dev, "node/node_modules");
const beside = join(dev, "npm/node_modules");
if (!existsSync(beside)) {
  symlinkSync(tools, beside); // the package finds its optional peer `ws` there, as in a user's project
}

/** Whether to run "promises", or scenarios in the form "typed" or "execute": all, unless NATSKV_ONLY names one. */
export function wanted(part) {
  return (process.env.NATSKV_ONLY ?? part) === part;
}

/** A module of the npm tools. */
export function tool(path) {
  return import(pathToFileURL(join(tools, path)));
}

/** The package as Node users get it. */
export function natskv() {
  return import(pathToFileURL(join(dist, "node.js")));
}

/** All scenarios, by file name, as they are for a server of the API level that NATSKV_API_LEVEL says (default: the newest). */
export async function scenarios() {
  const folder = join(root, "tests/scenarios");
  const level = Number(process.env.NATSKV_API_LEVEL ?? 99);
  const files = (await readdir(folder)).filter((file) => file.endsWith(".json")).sort();
  const read = async (name) => {
    const scenario = JSON.parse(await readFile(join(folder, name), "utf8"));
    return { name, scenario: spelledOut(scenario.requires > level ? scenario.instead : scenario) };
  };
  return Promise.all(files.map(read));
}

/** The scenario with what it says of many keys in full. */
function spelledOut(scenario) {
  for (const { do: operation, expect } of scenario.steps) {
    if (operation?.many) {
      const values = keysAndValues(operation.many);
      const field = { PUT_MANY: "values_text", GET_MANY: "keys" }[operation.operation] ?? "filters";
      operation[field] = field === "values_text" ? values : Object.keys(values);
      delete operation.many;
    }
    if (expect?.many) {
      expect.entries = Object.entries(keysAndValues(expect.many)).map(([key, value_text]) => ({ key, value_text }));
      delete expect.many;
    }
  }
  return scenario;
}

function keysAndValues({ key, from, to }) {
  const numbers = Array.from({ length: to - from }, (_, at) => String(from + at));
  return Object.fromEntries(numbers.map((number) => [key.replaceAll("#", number), number]));
}

/** What the tests ask of the server, with a connection of its own that outlives the tests'. */
export async function control(server) {
  const { connect, Kvm } = await natskv();
  const nc = await connect({ servers: server.nats, reconnectTimeWait: 20, maxReconnectTimeWait: 100 });
  const kvm = new Kvm(nc);
  const WINDOW = 5000;
  return {
    kill: () => server.kill(),
    start: () => server.run(),
    pause: () => server.pause(),
    resume: () => server.resume(),
    lameDuck: () => server.lameDuck(),
    /** Puts `count` distinct keys with values of 128 bytes. */
    async fill(bucket, count) {
      const kv = await kvm.open(bucket);
      const value = new Uint8Array(128).fill("v".charCodeAt(0));
      for (let from = 0; from < count; from += WINDOW) {
        const size = Math.min(WINDOW, count - from);
        await Promise.all(Array.from({ length: size }, (_, n) => kv.put(`bench.k${String(from + n).padStart(6, "0")}`, value)));
      }
    },
    async consumers(bucket) {
      const { streamInfo } = await (await kvm.open(bucket)).status();
      return streamInfo.state.consumer_count;
    },
    end: () => nc.close(),
  };
}
