// natskv for JavaScript at the doors that `cargo xtask test access` tries: `access.mjs` in Node, `access.mjs browser` in a page of
// Chromium. Reads a door a line, knocks, and answers with a line: the code, and all that the client shows of itself.
// A line `{"trusted": [wss URLs]}` at the start names the servers whose certificates the browser is to trust.

import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";

import { Chromium, fingerprint } from "../real/web/chromium.mjs";
import { dist, natskv, root } from "../real/web/dev.mjs";
import { serve } from "../real/web/serve.mjs";
import { knock } from "./knock.mjs";

const CHROMIUM = process.env.NATSKV_CHROMIUM ?? "/usr/bin/chromium";
const lines = createInterface(process.stdin)[Symbol.asyncIterator]();
const hear = async () => JSON.parse((await lines.next()).value ?? "null");
const tell = (answer) => console.log(JSON.stringify(answer));

if (process.argv[2] === "browser") {
  await inChromium();
} else {
  const module = await natskv();
  const show = (value) => `${inspect(value, { depth: 10, showHidden: true })} ${JSON.stringify(value)}`;
  await hear();
  for (let door; (door = await hear()); ) {
    tell(await knock(module, door, show));
  }
}

async function inChromium() {
  const { trusted } = await hear();
  const keys = await Promise.all(trusted.map(fingerprint));
  const browser = await Chromium.start(CHROMIUM, [`--ignore-certificate-errors-spki-list=${keys}`]);
  const site = await serve({ "/natskv/": dist, "/access/": fileURLToPath(new URL(".", import.meta.url)), "/real/": `${root}/tests/real` });
  try {
    const page = await browser.open(`${site.url}/access/knock.html`);
    await page.until("window.natskvReady", 30_000);
    for (let door; (door = await hear()); ) {
      tell(await page.evaluate(`natskvKnock(${JSON.stringify(door)})`));
    }
  } finally {
    await browser.end();
    site.end();
  }
}
