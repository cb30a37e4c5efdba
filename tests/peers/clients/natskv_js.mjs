// natskv for JavaScript, in Node. Its folder is the first argument, that of npm packages the second.

import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { Client, serve } from "./serve.mjs";

const { connect, Kvm, version } = await import(pathToFileURL(join(process.argv[2], "node.js")));

const { Base64KeyCodec } = createRequire(join(process.argv[3], "resolve.js"))("@nats-io/kv");

await serve(
  new Client({
    connect: (url) => connect({ servers: url }),
    Kvm,
    version: version?.() ?? "",
    codec: (name) => (name === "own" ? { key: Base64KeyCodec() } : name),
    open: { check: true },
  }),
);
