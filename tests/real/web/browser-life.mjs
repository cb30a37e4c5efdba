// The life of a page: reloaded, left, closed, frozen, hidden, offline. It leaves nothing behind on the server and comes back by
// itself. The pages are the explorer, as users have it, and one that each test tells what to do.

import { after, before, describe, it } from "node:test";

import { Chromium } from "./chromium.mjs";
import { control, natskv, wanted } from "./dev.mjs";
import { equal, eventually, ok } from "./expect.mjs";
import { Proof } from "./proof.mjs";
import { Server } from "./server.mjs";

const TIMEOUT_MS = 120_000;
/** How long the server keeps a consumer nobody listens to, and what it may take to notice. */
const INACTIVE_MS = 30_000 + 10_000;

/** Timers of hidden pages run once a minute, after 3 s already instead of 5 min. */
const SLOW = "--enable-features=IntensiveWakeUpThrottling:grace_period_seconds/3";

/** A name that leads here, and that Chromium does not take for this machine. */
const INSECURE = "natskv.example";

/** `site()` gives what `serve` gave, once it runs. */
export function life({ executable, skip, site }) {
  const promise = wanted("promises") ? (name, run) => it(name, { skip, timeout: TIMEOUT_MS }, run) : () => {};

  describe("the life of a page", { timeout: 5 * TIMEOUT_MS }, () => {
    let server;
    let admin;
    let nc;
    let browser;

    before(async () => {
      if (skip || !wanted("promises")) {
        return;
      }
      const { connect } = await natskv();
      server = await Server.start();
      [admin, nc, browser] = await Promise.all([control(server), connect({ servers: server.nats }), Chromium.start(executable, [SLOW, `--host-resolver-rules=MAP ${INSECURE} 127.0.0.1`])]);
    });

    after(async () => {
      await browser?.end();
      await nc?.close();
      await admin?.end();
      await server?.end();
    });

    /** The explorer on a bucket of its own. */
    async function explorer(bucket) {
      const { Kvm } = await natskv();
      const kv = await new Kvm(nc).create(bucket, { storage: "memory" });
      await kv.put("before", "1");
      const page = await browser.open(`${site().url}/explorer/index.html?${new URLSearchParams({ server: server.ws, bucket })}`);
      await page.until("window.natskvReady", 20_000);
      equal(await admin.consumers(bucket), 1, "consumers");
      const sees = (key, ms) => page.until(`window.natskvDemo.some((entry) => entry.key === ${JSON.stringify(key)})`, ms);
      const gone = (ms = 3000) => eventually(async () => (await admin.consumers(bucket)) === 0, "the consumer's end", ms);
      return { kv, page, sees, gone };
    }

    const connections = async () => {
      const { connections } = await (await fetch(`${server.monitor}/connz`)).json();
      return connections.filter(({ name }) => name === "natskv explorer").length;
    };
    const disconnected = () => eventually(async () => (await connections()) === 0, "the connection's end");

    promise("a page that is reloaded, left or closed takes its consumer along", async () => {
      const { page, gone } = await explorer("left");
      await page.send("Page.reload");
      await page.until("window.natskvReady", 20_000);
      equal(await admin.consumers("left"), 1, "consumers after a reload");
      await page.close();
      await gone();
      await disconnected();
    });

    promise("a page that was put aside whole comes back with what it missed", async () => {
      const { kv, page, sees, gone } = await explorer("aside");
      await page.evaluate("addEventListener('pageshow', ({ persisted }) => (window.isBack = persisted))");
      await page.send("Page.navigate", { url: "about:blank" });
      await disconnected();
      await kv.put("meanwhile", "2");
      await page.evaluate("history.back()").catch(() => {}); // the page that asks for it is gone before it can answer
      await page.until("window.isBack === true");
      await sees("meanwhile");
      await page.close();
      await gone();
    });

    promise("a frozen page leaves at once, its consumer in time, and it thaws with what it missed", async () => {
      const { kv, page, sees, gone } = await explorer("frozen");
      for (const [key, isLong] of [["short", false], ["long", true]]) {
        await page.send("Page.setWebLifecycleState", { state: "frozen" });
        await disconnected();
        await kv.put(key, "while frozen");
        if (isLong) {
          await gone(INACTIVE_MS);
        }
        await page.send("Page.setWebLifecycleState", { state: "active" });
        await sees(key, 3000);
        equal(await admin.consumers("frozen"), 1, "consumers");
      }
      const seen = await page.evaluate("natskvDemo.map(({ key, revision }) => `${key} ${revision}`)");
      equal(seen, ["before 1", "short 2", "long 3"], "each once");
      await page.close();
      await gone();
    });

    promise("a hidden page, whose timers are slow, misses nothing and keeps its connection", async () => {
      const { kv, page, gone } = await explorer("hidden");
      const cover = await browser.open("about:blank");
      await page.until("document.visibilityState === 'hidden'");
      await page.evaluate("window.ticks = []; setInterval(() => ticks.push(performance.now()), 50); 0");
      for (let n = 0; n < 25; n++) {
        await kv.put("n", String(n));
        await page.until(`natskvDemo.at(-1).value === "${n}"`);
        await new Promise((resolve) => setTimeout(resolve, 1000)); // the time of two missed heartbeats after the grace
      }
      const ticks = await page.evaluate("ticks.filter((at) => at > performance.now() - 15_000).length");
      ok(ticks <= 2, `timers were not slow: ${ticks} in the last 15 s`);
      ok((await page.evaluate("document.querySelector('#state').textContent")).startsWith("connected"));
      equal(await connections(), 1);
      await cover.close();
      await page.close();
      await gone();
    });

    promise("where a page may not sign, it says so", async () => {
      const proof = await Proof.start("nkey");
      try {
        const page = await browser.open(site().url.replace("127.0.0.1", INSECURE).concat("/web/page.html"));
        await page.until("window.natskvReady", 20_000);
        equal(await page.evaluate("isSecureContext"), false);
        const { nkey_seed: seed } = proof.credential("nkey");
        const error = await page.evaluate(`(async () => {
          const { connect, nkeyAuthenticator } = await import("/natskv/index.js");
          const connecting = connect({ servers: "${proof.ws_url}", authenticator: nkeyAuthenticator("${seed}") });
          return connecting.then(() => null, ({ code, message }) => ({ code, message }));
        })()`);
        equal(error?.code, "UNSUPPORTED");
        ok(error.message.includes("crypto.subtle") && error.message.includes("https://"), error.message);
        await page.close();
      } finally {
        await proof.end();
      }
    });

    promise("going online ends the wait for the next attempt; a page that is shown looks at its connection", async () => {
      const page = await browser.open(`${site().url}/web/page.html`);
      await page.until("window.natskvReady", 20_000);
      const options = JSON.stringify({ servers: server.ws, reconnectTimeWait: "1h", maxReconnectTimeWait: "1h", pingInterval: "1h", timeout: 1000 });
      await page.evaluate(`(async () => {
        window.dials = 0;
        window.WebSocket = class extends WebSocket {
          constructor(url) {
            super(url);
            window.dials++;
          }
        };
        const { connect } = await import("/natskv/index.js");
        window.seen = [];
        window.nc = await connect({ ...${options}, onStatus: (status) => seen.push(status) });
      })()`);
      const network = (offline) => page.send("Network.emulateNetworkConditions", { offline, latency: 0, downloadThroughput: -1, uploadThroughput: -1 });
      const reconnects = (count) => page.until(`seen.filter(({ type }) => type === "reconnect").length === ${count}`, 3000);
      await page.send("Network.enable", {});
      await new Promise((resolve) => setTimeout(resolve, 1100)); // what is lost sooner counts as a failed attempt
      await server.kill();
      await page.until("dials === 2"); // the attempt at once, which finds nobody; the next is an hour away
      await server.run();
      await network(true);
      await page.until("!navigator.onLine");
      await network(false);
      await reconnects(1);

      await server.pause();
      try {
        const cover = await browser.open("about:blank");
        await page.until("document.visibilityState === 'hidden'");
        await cover.close();
        await page.show();
        await page.until("seen.at(-1).type === 'reconnecting'");
        const { error } = await page.evaluate("(({ error }) => ({ error: error.message }))(seen.at(-2))");
        ok(error.includes("after waking"), error);
      } finally {
        await server.resume();
      }
      await page.evaluate("nc.close()");
      await page.close();
    });
  });
}
