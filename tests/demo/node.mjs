// The web's part of the demo in Node, for machines without a browser: node.mjs SERVER ROUNDS OTHER...
import { pathToFileURL } from "node:url";
import { join } from "node:path";
import { part } from "./part.mjs";

const [server, rounds, ...others] = process.argv.slice(2);
const entry = join(process.env.NATSKV_DEV, "npm", "natskv", "dist", "node.js");
const natskv = await import(pathToFileURL(entry).href);
setTimeout(() => fail("not done after 30 s"), 30_000).unref();
part(natskv, { server, me: "node", rounds: Number(rounds), others }, console.log).catch((error) => fail(error.stack));

function fail(why) {
  console.error(why);
  process.exit(1);
}
