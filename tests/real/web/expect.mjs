// Assertions that work in Node and in a page alike.

export function ok(value, why = "expected it to hold") {
  if (!value) {
    throw new Error(why);
  }
}

export function equal(actual, expected, what = "") {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== b) {
    throw new Error(`${what ? `${what}: ` : ""}got ${a}, expected ${b}`);
  }
}

/** `reply` has at least what `expected` has; lists are equal in length. */
export function contains(reply, expected, path = "reply") {
  if (Array.isArray(expected)) {
    ok(Array.isArray(reply) && reply.length === expected.length, `${path}: got ${JSON.stringify(reply)}, expected ${JSON.stringify(expected)}`);
    expected.forEach((item, at) => contains(reply[at], item, `${path}[${at}]`));
  } else if (expected !== null && typeof expected === "object") {
    ok(reply !== null && typeof reply === "object", `${path}: got ${JSON.stringify(reply)}, expected ${JSON.stringify(expected)}`);
    for (const [name, value] of Object.entries(expected)) {
      contains(reply[name], value, `${path}.${name}`);
    }
  } else {
    equal(reply, expected, path);
  }
}

/** The error that `promise` rejects with; its code is `code`, and its message has all of `says`. */
export async function rejects(promise, code, ...says) {
  let value;
  try {
    value = await promise;
  } catch (error) {
    if (code !== undefined) {
      equal(error.code ?? `${error.name}: ${error.message}`, code, "code");
    }
    for (const text of says) {
      ok(error.message.includes(text), `the message lacks ${JSON.stringify(text)}: ${error.message}`);
    }
    return error;
  }
  throw new Error(`resolved with ${JSON.stringify(value)}, expected ${code}`);
}

/** `promise`, or an error after `ms`. */
export function within(ms, promise, what = "it") {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took more than ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Waits until `condition` gives something true. For what only the server knows; everything else is an event. */
export async function eventually(condition, what, ms = 5000) {
  const until = performance.now() + ms;
  for (;;) {
    const value = await condition();
    if (value) {
      return value;
    }
    ok(performance.now() < until, `not within ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
