// The web's part of the demo in a headless Chromium: page.mjs SERVER ROUNDS OTHER... drives the page of bindings-wasm/explorer.
// page.mjs --serve SERVER only serves that page, for `cargo xtask demo --stay`, and prints its address.

import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { dist, root, tool } from "../real/web/dev.mjs";
import { serve } from "../real/web/serve.mjs";

const LIMIT_MS = 30_000;
const site = await serve({
  "/explorer/": join(root, "bindings-wasm/explorer/"),
  "/explorer/natskv/": join(dist, "/"),
  "/demo/": fileURLToPath(new URL(".", import.meta.url)),
});
const address = (server) => `${site.url}/explorer/index.html?${new URLSearchParams({ server, bucket: "demo" })}`;

if (process.argv[2] === "--serve") {
  console.log(address(process.argv[3]));
} else {
  await drive(...process.argv.slice(2));
  site.end();
}

async function drive(server, rounds, ...others) {
  const { chromium } = await tool("playwright-core/index.mjs");
  const browser = await chromium.launch({ executablePath: process.env.NATSKV_CHROMIUM, args: ["--no-sandbox"] });
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(LIMIT_MS);
    page.on("console", (message) => console.log(message.text()));
    page.on("pageerror", (error) => console.error(error.message));
    await page.goto(address(server));
    await page.waitForFunction(() => window.natskvReady);
    const late = setTimeout(() => browser.close(), LIMIT_MS);
    await page.evaluate(play, { me: "page", rounds: Number(rounds), others });
    clearTimeout(late);
  } finally {
    await browser.close();
  }
}

/** Runs in the page. */
async function play(plan) {
  const { part } = await import("/demo/part.mjs");
  const follow = (take) => {
    const seen = window.natskvDemo;
    seen.forEach(take);
    seen.push = (entry) => {
      take(entry);
      return Array.prototype.push.call(seen, entry);
    };
  };
  await part({ put: window.natskvPut, follow }, plan, console.log);
}
