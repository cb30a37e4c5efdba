// Headless Chromium: every scenario, and every promise of suite.mjs, in a page over WebSocket.

import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { life } from "./browser-life.mjs";
import { fingerprint } from "./chromium.mjs";
import { control, dist, here, natskv, root, scenarios, tool, wanted } from "./dev.mjs";
import { equal, ok } from "./expect.mjs";
import { FORMS, runsIn } from "./scenarios.mjs";
import { Proof } from "./proof.mjs";
import { serve } from "./serve.mjs";
import { Server } from "./server.mjs";
import { tests } from "./suite.mjs";

const TIMEOUT_MS = 180_000;
const CHROMIUM = process.env.NATSKV_CHROMIUM ?? "/usr/bin/chromium";
const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const skip = existsSync(CHROMIUM) ? false : `no browser at ${CHROMIUM}: apt-get install chromium`;
const all = await scenarios();

describe("a page in Chromium", { timeout: 10 * TIMEOUT_MS }, () => {
  let server;
  let admin;
  let site;
  let secure;
  let browser;
  let page;
  let log = () => {};

  before(async () => {
    if (skip) {
      return;
    }
    [server, secure] = await Promise.all([Server.start(), wanted("promises") ? Proof.start("tls") : undefined]);
    admin = await control(server);
    site = await serve({ "/web/": here, "/natskv/": dist, "/explorer/": join(root, "bindings-wasm/explorer"), "/explorer/natskv/": dist });
    const { chromium } = await tool("playwright-core/index.mjs");
    const trust = secure ? [`--ignore-certificate-errors-spki-list=${await fingerprint(secure.ws_url)}`] : [];
    browser = await chromium.launch({ executablePath: CHROMIUM, args: [...FLAGS, ...trust] });
    page = await browser.newPage();
    page.on("console", (message) => log(message.text()));
    page.on("pageerror", (error) => log(`in the page: ${error.stack}`));
    await page.exposeFunction("natskvServer", (name, ...rest) => (name === "memory" ? rendererBytes() : admin[name](...rest)));
    await page.goto(`${site.url}/web/page.html`);
    await page.waitForFunction(() => window.natskvReady);
  });

  after(async () => {
    await browser?.close();
    site?.end();
    await admin?.end();
    await server?.end();
    await secure?.end();
  });

  for (const form of FORMS.filter(wanted)) {
    describe(`scenarios, ${form}`, () => {
      for (const { name, scenario } of all.filter(({ scenario }) => runsIn(form, scenario))) {
        it(name, { skip, timeout: TIMEOUT_MS }, async () => {
          passed(await page.evaluate((given) => window.natskvScenario(...given), [scenario, form, server.ws]));
        });
      }
    });
  }

  describe("promises", () => {
    for (const [at, test] of wanted("promises") ? tests.entries() : []) {
      it(test.name, { skip, timeout: TIMEOUT_MS }, async (t) => {
        log = (line) => t.diagnostic(line);
        passed(await page.evaluate(([at, url]) => window.natskvTest(at, url), [at, server.ws]));
      });
    }
  });

  life({ executable: CHROMIUM, skip, site: () => site });

  const promise = wanted("promises") ? it : () => {};
  for (const kind of ["users", "token", "nkey", "jwt"]) {
    promise(`logging in: ${kind}`, { skip, timeout: TIMEOUT_MS }, async () => {
      const proof = await Proof.start(kind);
      try {
        passed(await page.evaluate(([credentials, url]) => window.natskvLogin(credentials, url), [proof.credentials, proof.ws_url]));
        const { nkey_seed: seed } = proof.credentials[0];
        if (kind === "nkey") {
          passed(await page.evaluate(([seed, url]) => window.natskvNonsense(seed, url), [seed, proof.ws_url]));
        }
      } finally {
        await proof.end();
      }
    });
  }

  promise("wss:// with a certificate that the browser trusts, and with one that it does not", { skip, timeout: TIMEOUT_MS }, async () => {
    const other = await Proof.start("tls");
    try {
      const known = ["put, get, update, delete", "a value of 1 MiB, and what is too large", "options of watch"];
      for (const name of known) {
        passed(await page.evaluate(([at, url]) => window.natskvTest(at, url), [tests.findIndex((test) => test.name === name), secure.ws_url]));
      }
      const error = await page.evaluate(async (servers) => {
        const { connect } = await import("/natskv/index.js");
        return connect({ servers }).then(() => null, ({ code, message }) => ({ code, message }));
      }, other.ws_url);
      equal(error?.code, "CONNECT_FAILED");
      ok(error.message.includes("certificate"), error.message);
    } finally {
      await other.end();
    }
  });

  promise("the explorer shows what others write, and writes", { skip, timeout: TIMEOUT_MS }, async () => {
    const { connect: natskvConnect, Kvm } = await natskv();
    const nc = await natskvConnect({ servers: server.nats });
    const other = await browser.newPage();
    try {
      const kv = await new Kvm(nc).create("explored", { storage: "memory" });
      await kv.put("before", "1");
      await other.goto(`${site.url}/explorer/index.html?${new URLSearchParams({ server: server.ws, bucket: "explored", write: "mine" })}`);
      await other.waitForFunction(() => window.natskvReady);
      await kv.put("after", "2");
      equal(await other.evaluate(() => window.natskvWrite("3")), 3);
      await kv.delete("before");
      await other.waitForFunction(() => window.natskvDemo.length === 4);
      const seen = await other.evaluate(() => window.natskvDemo.map(({ key, value, revision, operation }) => [key, value, revision, operation]));
      equal(seen, [["before", "1", 1, "PUT"], ["after", "2", 2, "PUT"], ["mine", "3", 3, "PUT"], ["before", "", 4, "DEL"]]);
      await other.fill("input[name=key]", "typed");
      await other.fill("input[name=value]", "<b>4</b>");
      await other.click("form button");
      await other.waitForFunction(() => window.natskvDemo.length === 5);
      equal((await kv.get("typed")).string(), "<b>4</b>");
      const table = await other.innerText("table");
      ok(table.includes("typed") && table.includes("<b>4</b>"), table);
      equal(await other.innerText("#count"), "3 keys");
    } finally {
      await other.close();
      await new Kvm(nc).delete("explored"); // a tab that is closed says nothing: its watch would stay for half a minute
      await nc.close();
    }
  });
});

function passed(failure) {
  if (failure !== null) {
    throw new Error(failure);
  }
}

/** Resident bytes of the page's process; undefined where /proc does not tell. */
async function rendererBytes() {
  const pids = (await readdir("/proc").catch(() => [])).filter((name) => /^\d+$/.test(name));
  let sum = 0;
  for (const pid of pids) {
    const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    if (!command.includes("--type=renderer") || !(await descends(pid))) {
      continue;
    }
    const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
    sum += Number(status.match(/VmRSS:\s*(\d+)/)?.[1] ?? 0) * 1024;
  }
  return sum || undefined;
}

/** Whether the process is one of ours: other suites may run browsers at the same time. */
async function descends(pid) {
  for (let at = pid; at && at !== "0" && at !== "1"; ) {
    if (at === String(process.pid)) {
      return true;
    }
    const stat = await readFile(`/proc/${at}/stat`, "utf8").catch(() => "");
    at = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1];
  }
  return false;
}
