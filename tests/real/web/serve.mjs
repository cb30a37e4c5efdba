// A static server for pages on loopback, with the strict Content-Security-Policy that the README promises to work with.

import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".wasm": "application/wasm" };
const POLICY = "default-src 'self'; img-src 'self' data:; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self' ws://127.0.0.1:* wss://localhost:*";

/** The folder whose path is the longest that `pathname` begins with. */
function find(folders, pathname) {
  const [prefix] = Object.keys(folders).filter((prefix) => pathname.startsWith(prefix)).sort((a, b) => b.length - a.length);
  return join(folders[prefix] ?? "", pathname.slice(prefix?.length ?? 0));
}

/** `folders` maps the beginning of a path to a folder; gives `{ url, end }`. */
export async function serve(folders) {
  const server = createServer(async (request, response) => {
    const path = find(folders, normalize(new URL(request.url, "http://127.0.0.1").pathname));
    try {
      const body = await readFile(path);
      response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "text/plain", "content-security-policy": POLICY });
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    end: () => (server.closeAllConnections(), server.close()),
  };
}
