// One knock, the same in Node and in a page.

import { signer } from "../real/web/login.mjs";

/** Connects, writes and reads. `show` prints whatever it is given, in full. */
export async function knock(natskv, door, show) {
  const told = [];
  try {
    const note = (what) => told.push(show(what), String(what?.error?.stack));
    const nc = await natskv.connect({ ...options(door, natskv), onStatus: note, onWarning: note });
    try {
      note(nc);
      note(nc.info);
      note(nc.stats());
      const kvm = new natskv.Kvm(nc);
      const { bucket = "access", opens } = door;
      const kv = opens ? await kvm.open(bucket, { check: true }) : await kvm.create(bucket, { storage: "memory" });
      await kv.put("k", "v");
      if ((await kv.get("k")).string() !== "v") {
        throw new Error("another value");
      }
    } finally {
      await nc.close();
    }
    return { code: "OK", shown: told.join(" ") };
  } catch (error) {
    told.push(error.stack, show(error), JSON.stringify(error.toJSON?.()));
    return { code: error.code ?? "INTERNAL", shown: told.join(" ") };
  }
}

/** What `connect` takes. */
function options({ url, user, password, token, nkey_seed: seed, nkey, jwt, creds_text: creds, sign, signs_with: elsewhere, inbox_prefix: inboxPrefix, ...tls }, natskv) {
  const given = { servers: url, timeout: 5000, user, pass: password, token, creds, inboxPrefix, tls: tlsOptions(tls) };
  if (sign) {
    return { ...given, authenticator: () => ({ ...(jwt ? { jwt } : { nkey }), sign: signer(elsewhere) }) };
  }
  const bytes = (text) => text && new TextEncoder().encode(text);
  if (jwt) {
    return { ...given, authenticator: natskv.jwtAuthenticator(jwt, bytes(seed)) };
  }
  return seed ? { ...given, authenticator: natskv.nkeyAuthenticator(bytes(seed)) } : given;
}

function tlsOptions({ tls, ca: caFile, certificate: certFile, key: keyFile, tls_first: handshakeFirst, tls_hostname: servername }) {
  if (globalThis.window || !(tls || caFile || handshakeFirst)) {
    return undefined; // a browser decides by itself
  }
  const all = { caFile, certFile, keyFile, handshakeFirst, servername };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}
