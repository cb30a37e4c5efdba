// Ways to log in, the same in Node and in a page: each credential in every spelling that JavaScript has for it. Right ones get in and
// wrong ones are refused, without a word of what was secret.

import { ok, rejects } from "./expect.mjs";

const SECRET_FIELDS = ["password", "token", "nkey_seed", "jwt", "creds_text"];

/** All spellings of a credential of proof-server, by name. */
export function spellings({ user, password, token, nkey, nkey_seed: seed, jwt, creds_text: creds }, natskv) {
  const later = (value) => async () => value;
  const bytes = (text) => new TextEncoder().encode(text);
  if (user !== undefined) {
    return {
      options: { user, pass: password },
      authenticator: { authenticator: natskv.usernamePasswordAuthenticator(user, password) },
      "authenticator that asks": { authenticator: natskv.usernamePasswordAuthenticator(later(user), () => password) },
      "two authenticators": { authenticator: [() => ({ user }), async () => ({ pass: password }), () => {}] },
    };
  }
  if (token !== undefined) {
    return {
      option: { token },
      authenticator: { authenticator: natskv.tokenAuthenticator(token) },
      "authenticator that asks": { authenticator: natskv.tokenAuthenticator(later(token)) },
    };
  }
  if (creds !== undefined) {
    return {
      "creds as text": { creds },
      "creds as bytes": { creds: bytes(creds) },
      credsAuthenticator: { authenticator: natskv.credsAuthenticator(bytes(creds)) },
      "credsAuthenticator that asks": { authenticator: natskv.credsAuthenticator(later(creds)) },
      jwtAuthenticator: { authenticator: natskv.jwtAuthenticator(jwt, bytes(seed)) },
      "jwtAuthenticator that asks": { authenticator: natskv.jwtAuthenticator(later(jwt), later(seed)) },
      "JWT and a signer": { authenticator: () => ({ jwt, sign: signer(seed) }) },
      "a JWT signed for the nonce": { authenticator: async (nonce) => ({ jwt, sig: base64(nonce ? await signer(seed)(nonce) : [0]) }) },
    };
  }
  if (jwt !== undefined) {
    return {
      jwtAuthenticator: { authenticator: natskv.jwtAuthenticator(jwt) },
      "as nats-core does it": { authenticator: () => ({ jwt, nkey: "", sig: "" }) },
    };
  }
  if (seed !== undefined) {
    return {
      nkeyAuthenticator: { authenticator: natskv.nkeyAuthenticator(bytes(seed)) },
      "nkeyAuthenticator that asks": { authenticator: natskv.nkeyAuthenticator(later(seed)) },
      "nkey and a signer": { authenticator: () => ({ nkey, sign: signer(seed) }) },
      "nkey and a signer that gives text": { authenticator: () => ({ nkey, sign: async (nonce) => base64(await signer(seed)(nonce)) }) },
      "as nats-core does it": { authenticator: async (nonce) => ({ nkey, sig: nonce ? base64(await signer(seed)(nonce)) : "" }) },
    };
  }
  return { nothing: {}, "an authenticator that says nothing": { authenticator: () => {} } };
}

/** Tries each spelling of a credential; throws unless all get in, or all are refused. */
export async function tryLogin(credential, servers, natskv, extra = {}) {
  for (const [spelling, options] of Object.entries(spellings(credential, natskv))) {
    const connecting = natskv.connect({ servers, ...options, ...extra });
    try {
      if (credential.accepted) {
        const nc = await connecting;
        await nc.flush();
        await nc.close();
        continue;
      }
      const error = await rejects(connecting, "AUTH");
      const said = `${error.stack} ${JSON.stringify(error)} ${JSON.stringify(error.toJSON())}`;
      for (const field of SECRET_FIELDS.filter((field) => credential[field])) {
        ok(!said.includes(credential[field]), `the error tells ${field}`);
      }
    } catch (error) {
      error.message = `${credential.as}, ${spelling}: ${error.message}`;
      throw error;
    }
  }
}

/** Who is asked to sign by himself, not knowing of natskv: ed25519 of a seed's text. */
export function signer(seed) {
  return async (nonce) => {
    const prefix = Uint8Array.from([0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20, ...base32(seed).slice(2, 34)]);
    const key = await crypto.subtle.importKey("pkcs8", prefix, "Ed25519", false, ["sign"]);
    return new Uint8Array(await crypto.subtle.sign("Ed25519", key, new TextEncoder().encode(nonce)));
  };
}

function base32(text) {
  const bits = [...text].map((char) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(char).toString(2).padStart(5, "0")).join("");
  return Array.from({ length: Math.floor(bits.length / 8) }, (_, at) => Number.parseInt(bits.slice(at * 8, at * 8 + 8), 2));
}

function base64(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** Options and answers that make no sense are refused in words. */
export async function nonsense(servers, { connect, nkeyAuthenticator, jwtAuthenticator }, seed) {
  const cases = [
    [{ authenticator: "me" }, "INVALID_ARGUMENT", "authenticator"],
    [{ user: "me", authenticator: () => ({ user: "me" }) }, "INVALID_ARGUMENT", "not both"],
    [{ user: "me", token: "x" }, "INVALID_ARGUMENT", "exclude"],
    [{ pass: "x" }, "INVALID_ARGUMENT", "user"],
    [{ creds: "no such thing" }, "INVALID_ARGUMENT"],
    [{ creds: 5 }, "INVALID_ARGUMENT", "creds"],
    [{ authenticator: () => ({ password: "x" }) }, "AUTH", '"password"', "pass"],
    [{ authenticator: () => ({ user: 5 }) }, "AUTH", '"user"'],
    [{ authenticator: () => Promise.reject(new Error("the vault is closed")) }, "AUTH", "the vault is closed"],
    [{ authenticator: nkeyAuthenticator(`${seed.slice(0, -1)}?`) }, "INVALID_ARGUMENT", "seed"],
    [{ authenticator: nkeyAuthenticator(`SA${seed.slice(2)}`) }, "INVALID_ARGUMENT", "seed"],
    [{ authenticator: jwtAuthenticator("a.b.c", "no seed") }, "INVALID_ARGUMENT", "seed"],
    [{ authenticator: () => new Promise(() => {}), timeout: 300 }, "CONNECT_FAILED"],
  ];
  for (const [options, code, ...says] of cases) {
    const error = await rejects(connect({ servers, ...options }), code, ...says);
    ok(!error.message.includes(seed.slice(2, -1)), "the seed is in the message");
  }
}
