// A program that is stopped for a while, as all are on a machine that sleeps: connects to the URL it is given, and writes each
// change of the connection as a line of JSON.

import { natskv } from "./dev.mjs";

const { connect } = await natskv();
const tell = ({ type, error }) => console.log(JSON.stringify({ type, why: error?.message }));
// Pings often enough that a timer falls into the sleep, and with such patience that they alone would notice nothing.
await connect({ servers: process.argv[2], timeout: 500, pingInterval: 2000, maxPingOut: 1000, onStatus: tell });
