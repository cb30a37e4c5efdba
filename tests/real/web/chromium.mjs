// Chromium by its own protocol, for what playwright hides: it makes every page believe that it is seen and has the focus, so
// that none is ever frozen or throttled.

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";

import { tool } from "./dev.mjs";
import { eventually } from "./expect.mjs";

const START_MS = 30_000;
const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--remote-debugging-port=0"];

/** By which Chromium knows a server's key that it is to trust. */
export async function fingerprint(url) {
  const { hostname: host, port } = new URL(url);
  const socket = connect({ host, port, rejectUnauthorized: false });
  await once(socket, "secureConnect");
  const { publicKey } = socket.getPeerX509Certificate();
  socket.destroy();
  return createHash("sha256").update(publicKey.export({ type: "spki", format: "der" })).digest("base64");
}

export class Chromium {
  #id = 0;
  #waiting = new Map();

  static async start(executable, flags = []) {
    const browser = new Chromium();
    browser.folder = await mkdtemp(join(tmpdir(), "natskv-chromium-"));
    const { WebSocket } = await tool("ws/wrapper.mjs");
    browser.process = spawn(executable, [...FLAGS, `--user-data-dir=${browser.folder}`, ...flags], { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    browser.process.stderr.on("data", (text) => (said += text));
    const address = () => said.match(/listening on (ws:\S+)/)?.[1];
    browser.socket = new WebSocket(await eventually(address, "the browser's start", START_MS), { perMessageDeflate: false });
    await new Promise((resolve, reject) => browser.socket.once("open", resolve).once("error", reject));
    browser.socket.on("message", (text) => {
      const { id, result, error } = JSON.parse(text);
      const { resolve, reject } = browser.#waiting.get(id) ?? {};
      browser.#waiting.delete(id);
      error ? reject?.(new Error(error.message)) : resolve?.(result);
    });
    return browser;
  }

  send(method, params = {}, sessionId = undefined) {
    return new Promise((resolve, reject) => {
      const id = ++this.#id;
      this.#waiting.set(id, { resolve, reject });
      this.socket.send(JSON.stringify({ id, method, params, sessionId }));
    });
  }

  /** A new tab; it covers the one before, which is then hidden. */
  async open(url) {
    const { targetId } = await this.send("Target.createTarget", { url });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    return new Tab(this, targetId, sessionId);
  }

  async end() {
    const gone = new Promise((resolve) => this.process.once("exit", resolve));
    this.process.kill("SIGKILL");
    await gone;
    await rm(this.folder, { recursive: true, force: true, maxRetries: 10 });
  }
}

class Tab {
  constructor(browser, target, session) {
    Object.assign(this, { browser, target, session });
  }

  send(method, params) {
    return this.browser.send(method, params, this.session);
  }

  /** The value of an expression in the page. */
  async evaluate(expression) {
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true });
    if (exceptionDetails) {
      throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    }
    return result.value;
  }

  /** Waits for an expression to become true; a page that is being replaced has no value. */
  until(expression, ms) {
    return eventually(() => this.evaluate(expression).catch(() => false), expression, ms);
  }

  /** Brings the tab to the front. */
  show() {
    return this.browser.send("Target.activateTarget", { targetId: this.target });
  }

  close() {
    return this.browser.send("Target.closeTarget", { targetId: this.target });
  }
}
