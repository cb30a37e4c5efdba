// A bucket, live: a table of its newest entries, and a form to write into it.
//
//   ?server=ws://127.0.0.1:8080   where to; default: port 8080 of the page's own host
//   &bucket=NAME                  default: demo; made if it is not there
//   &write=KEY                    the one key that programs write through window.natskvWrite(value)
//
// For programs that drive the page: window.natskvDemo is a list of what was seen, {key, value, revision, operation, at}
// (at: milliseconds since 1970), window.natskvPut(key, value) and natskvDelete(key) give the new revision, and
// window.natskvReady is true once all initial entries are shown.

import { connect, Kvm } from "./natskv/index.js";

const MOST_SEEN = 100_000;
const query = new URLSearchParams(location.search);
const server = query.get("server") ?? `ws://${location.hostname}:8080`;
const bucket = query.get("bucket") ?? "demo";
const element = (id) => document.getElementById(id);
const rows = new Map();
let live = 0;

window.natskvDemo = [];
window.natskvReady = false;
element("bucket").textContent = bucket;
document.title = `${bucket} · natskv`;

try {
  await explore();
} catch (error) {
  show("closed");
  trouble(error);
}

async function explore() {
  const nc = await connect({ servers: server, name: "natskv explorer", waitOnFirstConnect: true, onWarning: console.warn, onStatus });
  const kv = await new Kvm(nc).create(bucket);
  offer(kv);
  const forget = () => {
    rows.clear();
    element("entries").replaceChildren();
    live = 0;
  };
  const entries = await kv.watch({ initializedFn: () => (window.natskvReady = true), resetFn: forget });
  setInterval(() => tick(nc), 1000);
  for await (const entry of entries) {
    note(entry);
    place(entry, kv);
  }
}

/** Shows each change of the connection. */
function onStatus({ type, error }) {
  const names = { connect: "connected", disconnect: "disconnected", reconnect: "connected", close: "closed" };
  if (type !== "error" && type !== "ldm") {
    show(names[type] ?? type);
  }
  if (error) {
    console.warn(error.message);
  }
}

/** The form, and the functions for programs. */
function offer(kv) {
  const form = element("write");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(kv.put(form.elements.key.value, form.elements.value.value));
  });
  window.natskvPut = (key, value) => kv.put(key, value);
  window.natskvDelete = (key) => kv.delete(key);
  const only = query.get("write");
  if (only) {
    form.elements.key.value = only;
    window.natskvWrite = (value) => kv.put(only, value);
  }
}

function note(entry) {
  const { key, revision, operation, length } = entry;
  if (window.natskvDemo.push({ key, value: entry.string(), revision, operation, length, at: Date.now() }) > MOST_SEEN) {
    window.natskvDemo.shift();
  }
}

/** Puts the entry on top, in place of the one it replaces. */
function place(entry, kv) {
  const old = rows.get(entry.key);
  old?.row.remove();
  live += (entry.operation === "PUT") - (old?.entry.operation === "PUT");
  const row = element("entries").insertRow(0);
  row.className = entry.operation === "PUT" ? "fresh" : "fresh gone";
  for (const text of [entry.key, entry.string().slice(0, 2000), entry.revision, entry.operation, age(entry)]) {
    row.insertCell().textContent = text;
  }
  const last = row.insertCell();
  if (entry.operation === "PUT") {
    const button = document.createElement("button");
    button.textContent = "delete";
    button.addEventListener("click", () => attempt(kv.delete(entry.key, { previousSeq: entry.revision })));
    last.append(button);
  }
  rows.set(entry.key, { row, entry });
  element("count").textContent = live === 1 ? "1 key" : `${live} keys`;
}

function tick(nc) {
  for (const { row, entry } of rows.values()) {
    row.cells[4].textContent = age(entry);
  }
  const { inBytes, outBytes } = nc.stats();
  element("traffic").textContent = `${kib(inBytes)} in, ${kib(outBytes)} out`;
}

async function attempt(action) {
  element("trouble").hidden = true;
  try {
    await action;
  } catch (error) {
    trouble(error);
  }
}

function trouble(error) {
  element("trouble").textContent = `${error.code ?? error.name}: ${error.message}`;
  element("trouble").hidden = false;
}

function show(state) {
  element("state").dataset.state = state;
  element("state").textContent = `${state}: ${server}`;
}

function age({ created }) {
  const seconds = Math.max(0, Math.round((Date.now() - created) / 1000));
  const [unit, size] = seconds < 60 ? ["s", 1] : seconds < 3600 ? ["min", 60] : seconds < 86_400 ? ["h", 3600] : ["d", 86_400];
  return `${Math.floor(seconds / size)} ${unit}`;
}

function kib(bytes) {
  return `${(bytes / 1024).toFixed(1)} KiB`;
}
