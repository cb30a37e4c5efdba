// A program as users write it. It is compiled, never run: what is wrong here is wrong in the declarations.

import {
  type Authenticator,
  connect,
  credsAuthenticator,
  jwtAuthenticator,
  type KV,
  type KvCodecs,
  type KvEntries,
  type KvEntry,
  KvError,
  type KvErrorCode,
  type KvStatus,
  Kvm,
  type KvWatchEntry,
  KvWatchInclude,
  type NatsConnection,
  nkeyAuthenticator,
  type QueuedIterator,
  tokenAuthenticator,
  usernamePasswordAuthenticator,
  version,
  wsconnect,
} from "natskv";

export async function program(signal: AbortSignal): Promise<void> {
  await using nc: NatsConnection = await connect({ servers: ["ws://127.0.0.1:8080"], timeout: "5s", pingInterval: 10_000, signal });
  const other = await wsconnect({ servers: "wss://example.org", user: "me", pass: "secret", onWarning: (message) => console.warn(message) });
  await connect({ servers: "ws://127.0.0.1", authenticator: () => ({ user: "me", pass: "secret" }) });
  const seed = new TextEncoder().encode("SU…");
  const ways: Authenticator[] = [
    usernamePasswordAuthenticator("me", () => "secret"),
    tokenAuthenticator(async () => "secret"),
    nkeyAuthenticator(seed),
    jwtAuthenticator("a.b.c", () => seed),
    credsAuthenticator(seed),
    (nonce, reason) => ({ jwt: reason === "expired" ? "new" : "old", sign: (nonce) => new Uint8Array(nonce.length), sig: nonce ?? "" }),
  ];
  await connect({ servers: "tls://localhost", authenticator: ways, tls: { caFile: "ca.pem", cert: seed, handshakeFirst: true, minVersion: "TLSv1.3" } });
  await connect({ servers: "nats://localhost", creds: seed, onStatus: ({ type }) => console.log(type), tls: null });
  const kvm = new Kvm(nc);
  const kv: KV = await kvm.create("bucket", { history: 5, ttl: "1h", storage: "memory", metadata: { a: "b" }, timeout: 1000 });
  await kvm.open("bucket", { check: true, signal });
  await kvm.update("bucket", { description: "text" });
  await kvm.createFromJson({ bucket: "json", ttl: 1_000_000_000 });

  const revision: number = await kv.put("key", new Uint8Array([1]), { timeout: "1s", signal });
  await kv.update("key", "text", revision);
  await kv.update("key", "text", revision, 500);
  await kv.create("other", "text", "10s", { signal });
  await kv.create("other", "text", { markerTTL: "10s", signal });
  await kv.keys({ timeout: 100 });
  const entry: KvEntry | null = await kv.get("key", { revision });
  const created: Date | undefined = entry?.created;
  const parsed = entry?.json<{ n: number }>().n;
  await kv.delete("key", { previousSeq: revision });
  await kv.purge("key", { ttl: "1h" });
  console.log(created, parsed, version());

  const codec: KvCodecs = { key: { encode: (token) => btoa(token), decode: (token) => atob(token) } };
  const other2 = await kvm.create("coded", { codec: "base64", leaderReads: true, onDrift: "ignore" });
  await kvm.open("coded", { codec, keyPolicy: "permissive", readOnly: true, reservedKeys: false });
  console.log(other2.keyPolicy === "base64", other2.readOnly, other2.drift.join());
  await kv.put("key", "text", { ttl: "1h" });
  await kv.update("key", "text", revision, { ttl: 60_000, signal });
  await kv.touch("key", "1h");
  const many: KvEntries = await kv.getMany(["a", "b.*"]);
  const asOf: number | undefined = many.asOf;
  const left: number | undefined = many.get("a")?.remainingTTL ?? many.get("a")?.ttl;
  for (const [key, result] of await kv.putMany({ a: "1", b: new Uint8Array() })) {
    const text: string = result instanceof KvError ? result.code : result.toFixed();
    console.log(key, text, asOf, left);
  }
  await kv.putMany(new Map([["a", "1"]]));
  await kv.putMany([["a", "1"]]);
  for await (const { expires, rawKey } of await kv.entries(["a.>"])) {
    console.log(expires?.getTime(), rawKey, await kv.count("a.>"));
  }
  await kv.clear("a", { onProgress: (done, total) => console.log(done / total) });
  await kv.purgeDeletes("1h", { onProgress: (done, total) => console.log(done / total) });

  const watch: QueuedIterator<KvWatchEntry> = await kv.watch({ key: ["a.>", "b"], include: KvWatchInclude.AllHistory, ignoreDeletes: true });
  for await (const { key, value, isUpdate, operation } of watch) {
    const bytes: Uint8Array = value;
    const isPut: boolean = operation === "PUT";
    console.log(key, bytes.length, isUpdate, isPut);
    break;
  }
  await using keys = await kv.keys("a.*", { timeout: 100 });
  for await (const key of keys) {
    console.log(key.toUpperCase());
  }
  const stream: ReadableStream<KvWatchEntry> = (await kv.history({ key: "a" })).readable();
  await stream.cancel();
  const names: string[] = await kvm.names().next();
  for await (const status of kvm.list()) {
    const all: KvStatus = status;
    console.log(names, all.values, all.streamInfo);
  }
  try {
    await kv.execute({ operation: "GET", key: "key" });
  } catch (error) {
    if (error instanceof KvError) {
      const code: KvErrorCode = error.code;
      console.log(code, error.apiCode, error.revision, error.maybeApplied, error.toJSON().kind);
    }
  }
  for await (const status of nc.status()) {
    if (status.type === "close") {
      console.log(status.error?.code);
    }
  }
  await other.drain();
  const end: void | Error = await other.closed();
  console.log(end, nc.info?.max_payload, nc.stats().inBytes, await nc.rtt());

  // @ts-expect-error: a misspelt option
  await connect({ severs: "ws://127.0.0.1" });
  // @ts-expect-error: values are bytes or text
  await kv.put("key", { n: 1 });
}
