// Getting in, in Node over TCP and WebSocket: each kind of credential, the wrong ones beside the right ones, and what happens to a
// connection whose rights end.

import { after, before, describe, it } from "node:test";
import { inspect } from "node:util";

import { natskv, tool, wanted } from "./dev.mjs";
import { equal, eventually, ok, rejects } from "./expect.mjs";
import { nonsense, tryLogin } from "./login.mjs";
import { Proof } from "./proof.mjs";

const TIMEOUT_MS = 60_000;
const module = await natskv();
const { connect } = module;
const peer = await tool("@nats-io/nats-core/lib/mod.js").catch(() => undefined);

describe("Node, logging in", { timeout: 10 * TIMEOUT_MS }, () => {
  const promise = (name, run, skip = false) => (wanted("promises") ? it(name, { timeout: TIMEOUT_MS, skip }, run) : undefined);
  const proofs = {};

  before(async () => {
    if (wanted("promises")) {
      await Promise.all(["users", "token", "nkey", "jwt"].map(async (kind) => (proofs[kind] = await Proof.start(kind))));
    }
  });

  after(() => Promise.all(Object.values(proofs).map((proof) => proof.end())));

  for (const [transport, field] of [["nats", "url"], ["ws", "ws_url"]]) {
    for (const kind of ["users", "token", "nkey", "jwt"]) {
      promise(`${kind} over ${transport}://`, async () => {
        for (const credential of proofs[kind].credentials) {
          await tryLogin(credential, proofs[kind][field], module);
        }
      });
    }
  }

  promise("credentials in the URL", async () => {
    for (const [kind, login] of [["users", ({ user, password }) => `${user}:${encodeURIComponent(password)}`], ["token", ({ token }) => encodeURIComponent(token)]]) {
      for (const credential of proofs[kind].credentials.filter(({ as }) => as !== "nobody")) {
        const servers = proofs[kind].url.replace("://", `://${login(credential)}@`);
        const connecting = connect({ servers, user: "ignored", pass: "since the URL wins" });
        if (credential.accepted) {
          const nc = await connecting;
          equal(nc.getServer(), proofs[kind].url, "no credentials in it");
          await nc.close();
        } else {
          await rejects(connecting, "AUTH");
        }
      }
    }
  });

  promise("what makes no sense is refused in words", () => nonsense(proofs.nkey.url, module, proofs.nkey.credential("nkey").nkey_seed));

  promise("a connection shows nothing of what opened it", async () => {
    const { creds_text: creds, jwt, nkey_seed: seed } = proofs.jwt.credential("JWT and seed");
    const nc = await connect({ servers: proofs.jwt.url, creds });
    const shown = inspect(nc, { depth: 10, showHidden: true }) + JSON.stringify(nc.info) + JSON.stringify(nc);
    ok(!shown.includes(seed) && !shown.includes(jwt), "a secret is in it");
    await nc.close();
  });

  promise("an authenticator is asked before each connection, and told why", async () => {
    const [reasons, told] = [[], []];
    const proof = await Proof.start("jwt");
    try {
      const { creds_text: lasting } = proof.credential("JWT and seed");
      const { creds_text: brief } = await proof.tell("user 3");
      const answers = [brief, lasting, lasting];
      const authenticator = (nonce, reason) => {
        reasons.push(reason);
        return { creds: answers.shift() };
      };
      const nc = await connect({ servers: proof.url, authenticator, onStatus: (status) => told.push(status) });
      await eventually(() => told.some(({ type }) => type === "reconnect"), "life after expiry", 10_000);
      equal(reasons, ["first", "expired"]);
      ok(told.find(({ type }) => type === "disconnect").error.message.toLowerCase().includes("expired"));
      await proof.tell("restart");
      await eventually(() => told.filter(({ type }) => type === "reconnect").length === 2, "life after a restart", 10_000);
      equal(reasons, ["first", "expired", "reconnect"]);
      answers.push(brief, brief, brief);
      await proof.tell("restart");
      const end = await nc.closed();
      equal(end.code, "AUTH", "what was refused twice is not tried a third time");
      // Within the second of its expiry a server takes a JWT and refuses it right after.
      ok(["reconnect,refused", "reconnect,expired"].includes(`${reasons.slice(3)}`), `${reasons}`);
    } finally {
      await proof.end();
    }
  });

  promise("rights that are taken away end the connection", async () => {
    for (const kind of ["users", "token", "nkey", "jwt"]) {
      const proof = await Proof.start(kind);
      try {
        const [credential] = proof.credentials;
        const { user, password, token, nkey_seed: seed, creds_text: creds } = credential;
        const nc = await connect({ servers: proof.url, ...(creds ? { creds } : token ? { token } : user ? { user, pass: password } : { authenticator: module.nkeyAuthenticator(seed) }) });
        await proof.tell("revoke");
        const end = await nc.closed();
        equal(end?.code, "AUTH", kind);
      } finally {
        await proof.end();
      }
    }
  });

  const lacks = peer ? false : "@nats-io/nats-core is not installed";
  promise("authenticators that @nats-io/nats-core made", async () => {
    const bytes = (text) => new TextEncoder().encode(text);
    const { user, password } = proofs.users.credential("user and password");
    const { nkey_seed: seed } = proofs.nkey.credential("nkey");
    const { creds_text: creds, jwt, nkey_seed: jwtSeed } = proofs.jwt.credential("JWT and seed");
    const cases = [
      ["users", peer.usernamePasswordAuthenticator(user, password)],
      ["token", peer.tokenAuthenticator(proofs.token.credential("token").token)],
      ["nkey", peer.nkeyAuthenticator(bytes(seed))],
      ["jwt", peer.credsAuthenticator(bytes(creds))],
      ["jwt", peer.jwtAuthenticator(jwt, bytes(jwtSeed))],
      ["jwt", peer.jwtAuthenticator(proofs.jwt.credential("bearer JWT").jwt)],
    ];
    for (const [kind, authenticator] of cases) {
      await (await connect({ servers: proofs[kind].url, authenticator })).close();
    }
    await rejects(connect({ servers: proofs.nkey.url, authenticator: peer.nkeyAuthenticator(bytes(jwtSeed)) }), "AUTH");
  }, lacks);
});
