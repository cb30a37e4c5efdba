/** TLS by node:tls: options as users give them, and errors in words that say what was wrong. Not in the browser's bundle. */

import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import type { ConnectionOptions } from "node:tls";

import type { TlsOptions } from "../types.js";

const FILES = ["ca", "cert", "key"] as const;
/** Codes of node's errors that TLS is the cause of; those of certificates have no common prefix. */
const TLS = /^(ERR_(SSL|TLS|OSSL)|EPROTO|CERT_|CRL_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|INVALID_|HOSTNAME_|PATH_LENGTH|ERROR_IN_)/;
/** What a server says of the client's certificate. */
const REFUSED = /_ALERT_(UNKNOWN_CA|.*CERTIFICATE)/;
const UNTRUSTED = /^(UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO)/;
const WHY: Record<string, string> = {
  ECONNREFUSED: "refused",
  ECONNRESET: "reset",
  EPIPE: "reset",
  ENOTFOUND: "unreachable",
  EAI_AGAIN: "unreachable",
  EHOSTUNREACH: "unreachable",
  ENETUNREACH: "unreachable",
};

/** Node's options for a server of this name. Files are read each time, so that renewed certificates are taken up by a reconnect. */
export function tlsOptions(tls: TlsOptions | undefined, name: string): ConnectionOptions {
  const { handshakeFirst: _, ...options }: TlsOptions = { host: name, ...(!isIP(name) && { servername: name }), ...tls };
  for (const what of FILES) {
    const file = options[`${what}File`];
    delete options[`${what}File`];
    if (file != null) {
      options[what] = readFile(`tls.${what}File`, file);
    }
  }
  return options as ConnectionOptions;
}

function readFile(option: string, file: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new Error(`${option}: ${(error as Error).message}`);
  }
}

/** An error of a socket as `Listener.closed` wants it. */
export function trouble(error: NodeJS.ErrnoException & { reason?: string }): [why: string, isTls: boolean] {
  const code = error.code ?? "";
  if (!TLS.test(code)) {
    return [WHY[code] ?? error.message, false];
  }
  const text = error.reason && code !== "ERR_TLS_CERT_ALTNAME_INVALID" ? error.reason : error.message;
  const hint = UNTRUSTED.test(code)
    ? ": neither tls.ca, tls.caFile nor the default authorities have signed the server's certificate"
    : REFUSED.test(code)
      ? ": the server wants a client certificate (tls.cert or tls.certFile, and its key) that it trusts"
      : /wrong version number/.test(text)
        ? ": the server spoke in clear, so it has no handshake_first"
        : "";
  return [text + hint, true];
}
