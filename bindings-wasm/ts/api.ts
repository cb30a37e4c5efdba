/** What the package exports in every environment, apart from `connect`. */

export * from "./authenticators.js";
export { KvError, type KvErrorCode, type KvErrorJson } from "./errors.js";
export { KV } from "./kv.js";
export { Kvm } from "./kvm.js";
export * from "./types.js";

declare const NATSKV_VERSION: string;

/** The version of this package. */
export function version(): string {
  return NATSKV_VERSION;
}
