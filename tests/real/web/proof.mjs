// Servers of every kind that a client must get into, by the program proof-server: `proof-server` without arguments tells of them.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { join } from "node:path";

import { root } from "./dev.mjs";
import { within } from "./expect.mjs";

const PROGRAM = process.env.NATSKV_PROOF_SERVER ?? join(root, "target/debug/proof-server");
const START_MS = 30_000;

export class Proof {
  #process;
  #lines;
  #gone;

  /** Starts one; what it tells of itself (`url`, `ws_url`, `credentials`, `ca` …) is its fields. */
  static async start(...kinds) {
    const proof = new Proof();
    proof.#process = spawn(PROGRAM, kinds, { stdio: ["pipe", "pipe", "inherit"] });
    proof.#gone = new Promise((resolve) => proof.#process.once("exit", resolve));
    proof.#lines = createInterface(proof.#process.stdout)[Symbol.asyncIterator]();
    return Object.assign(proof, await proof.#answer());
  }

  /** One of its commands, such as "kill", and the answer. */
  async tell(command) {
    this.#process.stdin.write(`${command}\n`);
    const answer = await this.#answer();
    if (answer.error) {
      throw new Error(`${command}: ${answer.error}`);
    }
    return answer;
  }

  /** The credential of this name. */
  credential(name) {
    return this.credentials.find((credential) => credential.as === name);
  }

  async end() {
    this.#process.stdin.end();
    await this.#gone;
  }

  async #answer() {
    const { value } = await within(START_MS, this.#lines.next(), "proof-server's answer");
    if (value === undefined) {
      throw new Error("proof-server has ended; what it said is above");
    }
    return JSON.parse(value);
  }
}
