// A measure in a page of a Chromium of its own: browser.mjs natskv|nats-js|limit WORKLOAD name=value…   CPU time is that of all
// its processes, in steps of 10 ms each; memory is the page's process'.

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { Chromium } from "../../real/web/chromium.mjs";
import { dist, root } from "../../real/web/dev.mjs";
import { serve } from "../../real/web/serve.mjs";
import { plan, tell } from "./report.mjs";

const PREPARE_MS = 30_000;
const TICKS = 100; // of /proc, a second

const [client, ...words] = process.argv.slice(2);
const asked = plan(words);
const site = await serve({
  "/bench/": fileURLToPath(new URL(".", import.meta.url)),
  "/natskv/": join(dist, "/"),
  "/peer/": join(root, "target/bench/"),
});
const browser = await Chromium.start(process.env.NATSKV_CHROMIUM ?? "chromium");
try {
  const tab = await browser.open(`${site.url}/bench/page.html?${new URLSearchParams({ client, ...asked })}`);
  await tab.until("window.benchReady", PREPARE_MS);
  await measure(tab);
} finally {
  await browser.end();
  site.end();
}

async function measure(tab) {
  if (asked.workload === "W0") {
    return tell({ peak_kb: peak() }); // a page and nothing else
  }
  await tab.evaluate("benchPrepared()");
  if (asked.workload === "W6") {
    console.log("ready");
  }
  const before = cpu();
  const did = await tab.evaluate("benchMeasure()");
  const isFirst = asked.workload === "W11";
  tell({ ...did, at_us: undefined, cpu: isFirst ? undefined : cpu() - before, peak_kb: peak() });
  await tab.evaluate("benchCheck()");
}

/** Seconds that the browser's processes have used. */
function cpu() {
  const ticks = family().map((id) => {
    const [user = 0, system = 0] = stat(id).slice(11, 13);
    return Number(user) + Number(system);
  });
  return ticks.reduce((sum, own) => sum + own, 0) / TICKS;
}

/** The most memory that a page's process ever had. */
function peak() {
  const pages = family().filter((id) => proc(id, "cmdline").includes("--type=renderer"));
  return Math.max(0, ...pages.map((id) => Number(proc(id, "status").match(/VmHWM:\s*(\d+)/)?.[1] ?? 0)));
}

/** The browser and all its descendants. */
function family() {
  const parents = new Map();
  for (const id of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    parents.set(Number(id), Number(stat(id)[1]));
  }
  const found = [browser.process.pid];
  for (const id of found) {
    found.push(...[...parents].filter(([, parent]) => parent === id).map(([child]) => child));
  }
  return found;
}

/** The fields of /proc/ID/stat after the name, which may hold anything. */
function stat(id) {
  return proc(id, "stat").split(") ").at(-1).split(" ");
}

/** A file of /proc/ID; nothing of a process that ended meanwhile. */
function proc(id, file) {
  try {
    return readFileSync(`/proc/${id}/${file}`, "utf8");
  } catch {
    return "";
  }
}
