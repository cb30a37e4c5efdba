// The page's side of browser.test.mjs: runs what it is told to, and gives the error's text or null.

import * as natskv from "/natskv/index.js";

import { nonsense, tryLogin } from "./login.mjs";
import { runScenario } from "./scenarios.mjs";
import { runTest, tests } from "./suite.mjs";

const asked = (name) => (...rest) => window.natskvServer(name, ...rest);

async function outcome(action) {
  try {
    await action();
    return null;
  } catch (error) {
    return error.stack ?? String(error);
  }
}

window.natskvScenario = (scenario, form, url) =>
  outcome(async () => {
    const nc = await natskv.connect({ servers: url });
    try {
      await runScenario(scenario, natskv, nc, form);
    } finally {
      await nc.close();
    }
  });

window.natskvTest = (at, url) =>
  outcome(() => {
    const server = Object.fromEntries(["kill", "start", "pause", "resume", "lameDuck", "fill", "consumers"].map((name) => [name, asked(name)]));
    const memory = async () => (await window.natskvServer("memory")) ?? undefined;
    return runTest(tests[at], { natskv, url, server, memory, log: (line) => console.log(line) });
  });

/** Each of the credentials that proof-server tells of. */
window.natskvLogin = (credentials, url) =>
  outcome(async () => {
    for (const credential of credentials) {
      await tryLogin(credential, url, natskv);
    }
  });

window.natskvNonsense = (seed, url) => outcome(() => nonsense(url, natskv, seed));

window.natskvReady = true;
