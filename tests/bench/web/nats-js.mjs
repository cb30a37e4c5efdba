// nats.js as a page gets it, for esbuild to bundle.

export { Kvm } from "@nats-io/kv";
export { wsconnect as connect } from "@nats-io/nats-core";
