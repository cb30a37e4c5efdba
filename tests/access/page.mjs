// The page's side of access.mjs.

import * as natskv from "/natskv/index.js";

import { knock } from "./knock.mjs";

/** As much of a value as a page can print. */
const show = (value) => `${value} ${JSON.stringify(value)} ${Object.getOwnPropertyNames(Object(value)).map((name) => `${name}: ${value[name]}`)}`;

window.natskvKnock = (door) => knock(natskv, door, show);
window.natskvReady = true;
