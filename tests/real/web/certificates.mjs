// Certificates for one run, made with openssl: an authority, servers of the right and the wrong kind, a client, and a stranger's.

import { execFile } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
const HERE = "DNS:localhost,IP:127.0.0.1";

/** Makes them; `path(name)` gives a file such as `server.crt`, `server.key`, `ca.crt`. */
export async function certificates() {
  const folder = await mkdtemp(join(tmpdir(), "natskv-tls-"));
  const path = (name) => join(folder, name);
  const openssl = (...args) => run("openssl", args);
  const authority = (name) =>
    openssl("req", "-x509", ...KEY, "-keyout", path(`${name}.key`), "-out", path(`${name}.crt`), "-days", "2", "-subj", `/CN=natskv ${name}`);
  await Promise.all([authority("ca"), authority("stranger")]);
  const signed = async (name, by, extensions, days = 2) => {
    await writeFile(path(`${name}.ext`), extensions);
    await openssl("req", "-new", ...KEY, "-keyout", path(`${name}.key`), "-out", path(`${name}.csr`), "-subj", `/CN=${name}`);
    const sign = ["-in", path(`${name}.csr`), "-CA", path(`${by}.crt`), "-CAkey", path(`${by}.key`), "-CAcreateserial", "-CAserial", path(`${name}.srl`)];
    await openssl("x509", "-req", ...sign, "-out", path(`${name}.crt`), "-extfile", path(`${name}.ext`), "-days", String(days));
  };
  await signed("server", "ca", `subjectAltName=${HERE}`);
  await signed("expired", "ca", `subjectAltName=${HERE}`, -1);
  await signed("other", "ca", "subjectAltName=DNS:other.example");
  await signed("client", "ca", "extendedKeyUsage=clientAuth");
  await signed("intruder", "stranger", "extendedKeyUsage=clientAuth");
  /** By which Chromium knows a key that it is to trust. */
  const fingerprint = async (name) => {
    const { publicKey } = new X509Certificate(await readFile(path(`${name}.crt`)));
    return createHash("sha256").update(publicKey.export({ type: "spki", format: "der" })).digest("base64");
  };
  /** nats-server's configuration for a certificate. */
  const block = (name, more = "") => `tls { cert_file: "${path(`${name}.crt`)}", key_file: "${path(`${name}.key`)}", timeout: 5 ${more} }`;
  return { path, fingerprint, block, end: () => rm(folder, { recursive: true, force: true }) };
}
