/** Ways to log in, under the names that `@nats-io/nats-core` has for them. What is a function is asked before each connection. */

import type { Authenticator } from "./types.js";

/** A value, or who gives it when it is needed. */
export type Asked<T> = T | (() => T | Promise<T>);

/** User and password. */
export function usernamePasswordAuthenticator(user: Asked<string>, pass?: Asked<string>): Authenticator {
  return async () => ({ user: await asked(user), ...(pass !== undefined && { pass: await asked(pass) }) });
}

/** A token. */
export function tokenAuthenticator(token: Asked<string>): Authenticator {
  return async () => ({ auth_token: await asked(token) });
}

/** An nkey, by its seed `SU…`. */
export function nkeyAuthenticator(seed: Asked<Uint8Array | string>): Authenticator {
  return async () => ({ seed: await asked(seed) });
}

/** A user's JWT, with the seed that signs for it; without one where it is a bearer JWT. */
export function jwtAuthenticator(jwt: Asked<string>, seed?: Asked<Uint8Array | string>): Authenticator {
  return async () => ({ jwt: await asked(jwt), ...(seed !== undefined && { seed: await asked(seed) }) });
}

/** The text of a credentials file. */
export function credsAuthenticator(creds: Asked<Uint8Array | string>): Authenticator {
  return async () => ({ creds: await asked(creds) });
}

function asked<T extends string | Uint8Array>(value: Asked<T>): T | Promise<T> {
  return typeof value === "function" ? value() : value;
}
