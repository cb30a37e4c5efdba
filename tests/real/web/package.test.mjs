// The package itself: names of errors, declarations, size.

import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";

import { dev, dist, here, natskv, root } from "./dev.mjs";
import { equal, ok } from "./expect.mjs";

const COMPILE_MS = 60_000;
/** What it is now, and may not exceed; the goal is 65 kB, what the peer's bundle takes. */
const LARGEST_GZIP = 186_000;
const run = promisify(execFile);

describe("the npm package", () => {
  it("names every error of tests/vectors/errors.json, and no other", async () => {
    const { errors } = JSON.parse(await readFile(join(root, "tests/vectors/errors.json"), "utf8"));
    const declaration = await readFile(join(dist, "errors.d.ts"), "utf8");
    const [union] = declaration.match(/KvErrorCode = ([^;]*);/).slice(1);
    equal([...union.matchAll(/"(\w+)"/g)].map(([, name]) => name).sort(), errors.map(({ name }) => name).sort());
  });

  it("has the version of the workspace", async () => {
    const manifest = await readFile(join(root, "Cargo.toml"), "utf8");
    const [, version] = manifest.match(/^version = "(.*)"/m);
    equal((await natskv()).version(), version);
    equal(JSON.parse(await readFile(join(dist, "../package.json"), "utf8")).version, version);
  });

  it("has declarations that a strict program compiles against", { timeout: COMPILE_MS }, async () => {
    const tsc = join(dev, "node/node_modules/typescript/bin/tsc");
    await run(process.execPath, [tsc, "--project", join(here, "types")]).catch(({ stdout }) => ok(false, stdout));
  });

  it("is found by its name once it is packed and installed", { timeout: COMPILE_MS }, async () => {
    const project = await mkdtemp(join(tmpdir(), "natskv-pack-"));
    try {
      const folder = join(project, "node_modules/natskv");
      await mkdir(folder, { recursive: true });
      const { stdout } = await run("npm", ["pack", "--silent", "--pack-destination", project, join(dist, "..")], { cwd: project });
      await run("tar", ["xzf", join(project, stdout.trim()), "-C", folder, "--strip-components=1"]);
      const program = `
        import { connect, Kvm, KvError, version } from "natskv";
        const error = await connect({ servers: "nats://127.0.0.1:1" }).catch((error) => error);
        console.log(error instanceof KvError, error.code, typeof Kvm, version(), import.meta.resolve("natskv/natskv_bg.wasm").split("/").pop());`;
      await writeFile(join(project, "program.mjs"), program);
      const said = await run(process.execPath, [join(project, "program.mjs")]);
      equal(said.stdout.trim(), `true CONNECT_FAILED function ${(await natskv()).version()} natskv_bg.wasm`);
    } finally {
      await rm(project, { recursive: true, force: true });
    }
  });

  it("says nothing of free(), and of nothing that is not in the package", async () => {
    const files = (await readdir(dist)).filter((file) => file.endsWith(".d.ts"));
    for (const file of files) {
      const text = await readFile(join(dist, file), "utf8");
      ok(!/\bfree\b/.test(text), `${file} mentions free`);
      for (const [, module] of text.matchAll(/from "\.\/(\w+)\.js"/g)) {
        ok(files.includes(`${module}.d.ts`), `${file} leads to ${module}, which is not shipped`);
      }
    }
  });

  it("keeps node's modules out of the page's bundle", async () => {
    const bundle = await readFile(join(dist, "index.js"), "utf8");
    ok(!bundle.includes("node:") && !bundle.includes('from "ws"') && !bundle.includes('import("ws")'));
  });

  it(`takes at most ${LARGEST_GZIP} bytes of gzip in a page`, async () => {
    const sizes = await Promise.all(["natskv_bg.wasm", "index.js"].map(async (file) => gzipSync(await readFile(join(dist, file)), { level: 9 }).length));
    const sum = sizes.reduce((a, b) => a + b);
    ok(sum <= LARGEST_GZIP, `${sum} bytes`);
  });
});
