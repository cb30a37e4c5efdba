// The web's part of the demo in a page of a headless Chromium: page.mjs SERVER ROUNDS OTHER...
// With --serve SERVER it only serves the page, for `cargo xtask demo --stay`, and prints its address.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";

const { NATSKV_DEV, NATSKV_CHROMIUM } = process.env;
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm" };
const FOLDERS = { "/": fileURLToPath(new URL(".", import.meta.url)), "/natskv/": join(NATSKV_DEV, "npm", "natskv", "dist") };

const web = createServer(async (request, response) => {
  const { pathname } = new URL(request.url, "http://localhost");
  const [, folder, name] = /^(\/(?:natskv\/)?)([\w.-]*)$/.exec(pathname) ?? [];
  const file = name === "" ? "page.html" : name;
  try {
    const body = await readFile(join(FOLDERS[folder], file));
    response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "text/plain" }).end(body);
  } catch {
    response.writeHead(404).end("not found");
  }
});
await new Promise((resolve) => web.listen(0, "127.0.0.1", resolve));
const address = `http://127.0.0.1:${web.address().port}/`;

if (process.argv[2] === "--serve") {
  console.log(`${address}?server=${encodeURIComponent(process.argv[3])}`);
} else {
  process.exit(await drive(...process.argv.slice(2)));
}

async function drive(server, rounds, ...others) {
  const { chromium } = createRequire(join(NATSKV_DEV, "node", "x.js"))("playwright-core");
  const browser = await chromium.launch({ executablePath: NATSKV_CHROMIUM, args: ["--no-sandbox"] });
  try {
    const page = await browser.newPage();
    page.on("console", (message) => console.log(message.text()));
    page.on("pageerror", (error) => console.error(error.message));
    await page.goto(`${address}?${new URLSearchParams({ server, me: "page", rounds, others })}`);
    const done = await page.waitForFunction(() => globalThis.demoDone, null, { timeout: 30_000 });
    return (await done.jsonValue()) === "ok" ? 0 : 1;
  } finally {
    await browser.close();
    web.close();
  }
}
