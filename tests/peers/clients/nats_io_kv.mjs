// @nats-io/kv over @nats-io/transport-node. The folder of npm packages is the first argument.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

import { Absent, Client, serve } from "./serve.mjs";

const require = createRequire(join(process.argv[2], "resolve.js"));
const { connect } = require("@nats-io/transport-node");
const { Base64KeyCodec, Kvm, NoopKvCodecs } = require("@nats-io/kv");

/** Its own codec, and those of natskv that are done token by token, written from their description. */
const CODECS = {
  own: Base64KeyCodec(),
  base64: {
    encode: (token) => Buffer.from(token).toString("base64url"),
    decode: (token) => Buffer.from(token, "base64url").toString(),
  },
  escape: {
    encode: (token) => [...Buffer.from(token)].map(escaped).join(""),
    decode: (token) => decodeURIComponent(token.replaceAll("=", "%")),
  },
};

function escaped(byte) {
  const char = String.fromCharCode(byte);
  return /[A-Za-z0-9_/-]/.test(char) ? char : `=${byte.toString(16).toUpperCase().padStart(2, "0")}`;
}

function codec(name) {
  if (!CODECS[name]) {
    throw new Absent(`codec ${name}`);
  }
  return { ...NoopKvCodecs(), key: CODECS[name] };
}

await serve(
  new Client({
    connect: (url) => connect({ servers: url, reconnectTimeWait: 100, maxReconnectAttempts: -1 }),
    Kvm,
    version: JSON.parse(readFileSync(join(process.argv[2], "node_modules/@nats-io/kv/package.json"), "utf8")).version,
    codec,
    open: { allow_direct: true },
  }),
);
