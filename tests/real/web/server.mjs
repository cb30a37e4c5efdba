// A private nats-server: JetStream in a temporary directory, TCP and WebSocket on free loopback ports.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const READY_MS = 10_000;
const GONE_MS = 10_000; // what a client sent when it closed may still be on its way

/** Servers that still run: a test process that ends early takes them along. */
const running = new Set();
process.once("exit", () => running.forEach((server) => server.abandon()));
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => process.exit(1));
}

export class Server {
  /** Starts one. */
  static async start() {
    const server = new Server();
    running.add(server);
    server.folder = await mkdtemp(join(tmpdir(), "natskv-web-"));
    server.port = await freePort();
    server.wsPort = await freePort();
    server.monitorPort = await freePort();
    server.config = join(server.folder, "nats.conf");
    await writeFile(
      server.config,
      `listen: "127.0.0.1:${server.port}"
      http: "127.0.0.1:${server.monitorPort}"
      jetstream { store_dir: "${server.folder}/store" }
      websocket { listen: "127.0.0.1:${server.wsPort}", no_tls: true }`,
    );
    await server.run();
    return server;
  }

  get nats() {
    return `nats://127.0.0.1:${this.port}`;
  }

  get ws() {
    return `ws://127.0.0.1:${this.wsPort}`;
  }

  get monitor() {
    return `http://127.0.0.1:${this.monitorPort}`;
  }

  /** Starts the process, also after `kill`, on the same ports and store. */
  async run() {
    const binary = process.env.NATSKV_SERVER ?? "nats-server";
    this.process = spawn(binary, ["-c", this.config], { stdio: "ignore" });
    const failed = once(this.process, "error").then(([error]) => Promise.reject(error));
    await Promise.race([failed, this.#ready()]);
  }

  /** SIGKILL: no goodbye, nothing flushed. */
  async kill() {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      const gone = once(this.process, "exit");
      this.process.kill("SIGKILL");
      await gone;
    }
  }

  /** Stops the process where it stands; sockets stay open and nothing is answered. */
  async pause() {
    this.process.kill("SIGSTOP");
    while (!/\) T/.test(await readFile(`/proc/${this.process.pid}/stat`, "utf8"))) {
      await new Promise((resolve) => setTimeout(resolve, 1)); // its threads stop one after the other
    }
  }

  async resume() {
    this.process.kill("SIGCONT");
  }

  /** Says that it will shut down, and goes on for a while. */
  async lameDuck() {
    this.process.kill("SIGUSR2");
  }

  /** Kills it; throws when a consumer was left behind on it. */
  async end() {
    const left = this.process.exitCode === null && this.process.signalCode === null ? await this.leftBehind() : [];
    await this.kill();
    running.delete(this);
    await rm(this.folder, { recursive: true, force: true });
    if (left.length > 0) {
      throw new Error(`consumers left behind: ${left}`);
    }
  }

  /** The consumers that stay when what is on its way has arrived. */
  async leftBehind() {
    const until = Date.now() + GONE_MS;
    for (;;) {
      const left = await this.#consumers();
      if (left.length === 0 || Date.now() > until) {
        return left;
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async #consumers() {
    const answer = await fetch(`${this.monitor}/jsz?consumers=true&streams=true`);
    const streams = ((await answer.json()).account_details ?? []).flatMap((account) => account.stream_detail ?? []);
    return streams.flatMap(({ name, consumer_detail }) => (consumer_detail ?? []).map((consumer) => `${name}/${consumer.name}`));
  }

  /** `end`, where nothing can be waited for. */
  abandon() {
    this.process?.kill("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  async #ready() {
    const until = Date.now() + READY_MS;
    while (Date.now() < until) {
      const health = await fetch(`${this.monitor}/healthz`).catch(() => undefined);
      if (health?.ok && (await isListening(this.wsPort))) {
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`nats-server is not ready after ${READY_MS} ms`);
  }
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

function isListening(port) {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    const done = (is) => {
      socket.destroy();
      resolve(is);
    };
    socket.setTimeout(1000, () => done(false));
    socket.once("error", () => done(false));
    socket.once("connect", () => done(true));
  });
}
