/** Arguments as JavaScript gives them, checked before they cross into wasm, where every number is a number. */

import { invalid } from "./errors.js";
import type { Duration, Payload } from "./types.js";

const NANOS_PER_MILLI = 1_000_000;
const CENTURY = 100 * 366 * 24 * 3_600_000;
const UNITS: Record<string, number> = { ns: 1e-6, us: 1e-3, µs: 1e-3, μs: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const PART = /(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/gy;

const encoder = new TextEncoder();

/** Milliseconds of a duration; undefined where none is given or it is 0. */
export function millis(name: string, duration: Duration | null | undefined): number | undefined {
  if (duration == null || duration === 0) {
    return undefined;
  }
  const ms = typeof duration === "string" ? parse(duration) : duration;
  if (typeof ms !== "number" || !(ms >= 0)) {
    throw invalid(`${name}: ${shown(duration)} is no duration; milliseconds or a string such as "10s" would be right`);
  }
  if (ms > CENTURY) {
    throw invalid(`${name}: ${shown(duration)} is longer than 100 years`);
  }
  return ms || undefined;
}

/** Whole nanoseconds, as the JSON forms want them. */
export function nanos(name: string, duration: Duration): number {
  return Math.round((millis(name, duration) ?? 0) * NANOS_PER_MILLI);
}

function parse(text: string): number {
  if (text === "0") {
    return 0;
  }
  let sum = 0;
  PART.lastIndex = 0;
  while (PART.lastIndex < text.length || text === "") {
    const part = PART.exec(text);
    if (!part) {
      return Number.NaN;
    }
    sum += Number(part[1]) * UNITS[part[2]!]!;
  }
  return sum;
}

/** A revision given by the user. */
export function revision(name: string, value: number): number {
  if (typeof value !== "number" || value < 0 || (value % 1 !== 0 && value <= Number.MAX_SAFE_INTEGER)) {
    throw invalid(`${name}: ${shown(value)} is no revision; a whole number, 0 or above, would be right`);
  }
  return safe(value, name);
}

/** A number that JavaScript can hold exactly. */
export function safe(value: number, name = "revision"): number {
  if (value > Number.MAX_SAFE_INTEGER) {
    throw tooLarge(value, name);
  }
  return value;
}

export function tooLarge(value: number, name = "revision"): RangeError {
  return new RangeError(`${name}: ${value} is beyond 2^53 - 1, the largest whole number that JavaScript holds exactly`);
}

export function text(name: string, value: string): string {
  if (typeof value !== "string") {
    throw invalid(`${name}: ${shown(value)} must be a string`);
  }
  return value;
}

export function payload(value: Payload): Uint8Array {
  if (typeof value === "string") {
    return encoder.encode(value);
  }
  if (value instanceof Uint8Array) {
    return value;
  }
  throw invalid(`value: ${shown(value)} must be a Uint8Array or a string`);
}

/** Values one after the other. */
export function joined(values: Uint8Array[]): Uint8Array {
  const all = new Uint8Array(values.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const value of values) {
    all.set(value, at);
    at += value.length;
  }
  return all;
}

/** One filter or a list of them; none: all keys. */
export function filters(value: string | string[] | null | undefined): string[] {
  if (value == null) {
    return [];
  }
  const list = Array.isArray(value) ? value : [value];
  if (list.length === 0) {
    throw invalid("key: an empty list of filters matches nothing; leave it out for all keys");
  }
  return list.map((filter) => text("key", filter));
}

function shown(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : typeof value === "number" ? String(value) : typeof value;
}
