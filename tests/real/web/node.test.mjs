// Node: every scenario and every promise of suite.mjs, over TCP and over WebSocket.

import { after, before, describe, it } from "node:test";

import { control, natskv, scenarios, wanted } from "./dev.mjs";
import "./node-auth.mjs";
import "./node-cluster.mjs";
import "./node-sleep.mjs";
import "./node-tls.mjs";
import { FORMS, runScenario, runsIn } from "./scenarios.mjs";
import { Server } from "./server.mjs";
import { runTest, tests } from "./suite.mjs";

const TIMEOUT_MS = 120_000;
const module = await natskv();
const all = await scenarios();

for (const transport of ["nats", "ws"]) {
  describe(`Node over ${transport}://`, { timeout: 10 * TIMEOUT_MS }, () => {
    let server;
    let context;

    before(async () => {
      server = await Server.start();
      const memory = async () => process.memoryUsage().rss;
      context = { natskv: module, url: server[transport], server: await control(server), memory };
    });

    after(async () => {
      await context?.server.end();
      await server?.end();
    });

    for (const form of FORMS.filter(wanted)) {
      describe(`scenarios, ${form}`, () => {
        for (const { name, scenario } of all.filter(({ scenario }) => runsIn(form, scenario))) {
          it(name, { timeout: TIMEOUT_MS }, async () => {
            const nc = await module.connect({ servers: context.url });
            try {
              await runScenario(scenario, module, nc, form);
            } finally {
              await nc.close();
            }
          });
        }
      });
    }

    describe("promises", () => {
      for (const test of wanted("promises") ? tests : []) {
        it(test.name, { timeout: TIMEOUT_MS }, (t) => runTest(test, { ...context, log: (line) => t.diagnostic(line) }));
      }
    });
  });
}
