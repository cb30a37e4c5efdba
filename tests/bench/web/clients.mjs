// What is particular to natskv and to nats.js, given the modules that they are in.

/** natskv. */
export function natskv({ connect, Kvm }) {
  return {
    connect: (url) => connect({ servers: url }),
    open: (connection, bucket) => new Kvm(connection).open(bucket),
    close: (connection) => connection.close(),
    isConflict: (error) => error.code === "WRONG_REVISION",
    getMany: async (kv, keys) => [...(await kv.getMany(keys)).values()],
    putMany: async (kv, pairs) => [...(await kv.putMany(pairs)).values()],
  };
}

/** nats.js: `connect` of its transport-node, or nats-core's `wsconnect`. Direct gets have to be asked for. */
export function natsJs({ connect, Kvm }) {
  return {
    connect: (url) => connect({ servers: url }),
    open: (connection, bucket) => new Kvm(connection).open(bucket, { allow_direct: true }),
    close: (connection) => connection.close(),
    isConflict: (error) => error.code === 10071,
    getMany: (kv, keys) => Promise.all(keys.map((key) => kv.get(key))),
    putMany: (kv, pairs) => Promise.all(pairs.map(([key, data]) => kv.put(key, data))),
  };
}
