// A machine that sleeps: its programs stand still, and its connections are dead when they go on, without a word.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, it } from "node:test";

import { here, wanted } from "./dev.mjs";
import { equal, ok, within } from "./expect.mjs";
import { Server } from "./server.mjs";

const TIMEOUT_MS = 60_000;
/** More than what counts as a sleep. */
const SLEEP_MS = 8000;

describe("Node on a machine that sleeps", () => {
  const promise = wanted("promises") ? it : () => {};
  promise("a program that stood still finds out that its connection is dead, and makes another", { timeout: TIMEOUT_MS }, async () => {
    const server = await Server.start();
    const middle = await network(server.port);
    const program = spawn(process.execPath, [join(here, "sleeper.mjs"), middle.url], { stdio: ["ignore", "pipe", "inherit"] });
    const lines = createInterface(program.stdout)[Symbol.asyncIterator]();
    const next = async () => JSON.parse((await within(10_000, lines.next(), "a change of the connection")).value);
    try {
      equal((await next()).type, "connecting");
      equal((await next()).type, "connect");
      program.kill("SIGSTOP");
      middle.forget();
      await new Promise((resolve) => setTimeout(resolve, SLEEP_MS));
      program.kill("SIGCONT");
      const lost = await next();
      equal(lost.type, "disconnect");
      ok(lost.why.includes("after waking"), lost.why);
      equal((await next()).type, "reconnecting");
      equal((await next()).type, "reconnect");
    } finally {
      program.kill("SIGKILL");
      middle.end();
      await server.end();
    }
  });
});

/** A way to the port that can forget its connections: they stay open, and nothing gets through any more. */
async function network(port) {
  const sockets = new Set();
  const listener = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    for (const [from, to] of [[near, far], [far, near]]) {
      sockets.add(from);
      from.on("error", () => {});
      from.on("close", () => (sockets.delete(from), to.destroy()));
      from.pipe(to);
    }
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  return {
    url: `nats://127.0.0.1:${listener.address().port}`,
    forget() {
      for (const socket of sockets) {
        socket.unpipe();
        socket.resume();
      }
    },
    end() {
      listener.close();
      sockets.forEach((socket) => socket.destroy());
    },
  };
}
