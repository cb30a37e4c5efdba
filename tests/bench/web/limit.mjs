// What a page can do at all: frames made beforehand over one WebSocket, replies only counted. W1 to W5, W8.

const INBOX = "_LIMIT_PAGE.r";
const DELIVERY = "_LIMIT_PAGE_DELIVERY";
const LARGE = 4;
const FRAMES = 20_000;
const ascii = new TextEncoder();

/** As in workloads.mjs. */
export async function prepare(plan) {
  const wire = await Wire.open(plan.url);
  const names = Array.from({ length: Math.min(plan.keys, FRAMES) }, (_, number) => `bench.k${digits(number)}`);
  const large = Array.from({ length: LARGE }, (_, number) => `bench.large${number}`);
  const put = (bucket, key, number, size) => `PUB $KV.${bucket}.${key} ${INBOX} ${size}\r\n${digits(number).padEnd(size, "x")}\r\n`;
  const get = (bucket, key) => `PUB $JS.API.DIRECT.GET.KV_${bucket}.$KV.${bucket}.${key} ${INBOX} 0\r\n\r\n`;
  const frames = {
    W1: () => names.map((key, number) => put("puts", key, number, 128)),
    W2: () => names.map((key) => get("bench", key)),
    W3: () => names.map((key, number) => put("puts", key, number, 128)),
    W4: () => names.map((key) => get("bench", key)),
    W8p: () => large.map((key, number) => put("large", key, number, 1 << 20)),
    W8g: () => large.map((key) => get("large", key)),
  }[plan.workload];
  const window = { W3: 256, W4: 256 }[plan.workload] ?? 1;
  const end = () => wire.close();
  if (plan.workload === "W5") {
    return { measure: () => snapshot(wire, plan.keys), end };
  }
  if (!frames) {
    throw new Error(`the limit in a page has no ${plan.workload}`);
  }
  const requests = new Requests(frames());
  await pipelined(wire, requests, window, plan.seconds / 5);
  return { measure: () => pipelined(wire, requests, window, plan.seconds), end };
}

function digits(number) {
  return String(number).padStart(6, "0");
}

/** Requests of one length, so that any run of them is one slice. */
class Requests {
  #at = 0;

  constructor(texts) {
    this.count = texts.length;
    this.bytes = ascii.encode(texts.join(""));
    this.size = this.bytes.length / texts.length;
  }

  /** The next ones, at most as many as asked for. */
  next(count) {
    const from = this.#at;
    const until = Math.min(from + count, this.count);
    this.#at = until % this.count;
    return this.bytes.subarray(from * this.size, until * this.size);
  }
}

/** So many in flight until the time is over. */
function pipelined(wire, requests, window, seconds) {
  const start = performance.now();
  const waits = [];
  let [sent, done, before] = [0, 0, start];
  return new Promise((resolve, reject) => {
    const send = (count) => {
      for (let left = count; left > 0; ) {
        const bytes = requests.next(left);
        wire.send(bytes);
        left -= bytes.length / requests.size;
      }
      sent += count;
    };
    wire.onMessages = (count, isRefused) => {
      if (isRefused) {
        return reject(new Error("wrong: a request was refused"));
      }
      done += count;
      const now = performance.now();
      if (window === 1) {
        waits.push(now - before);
        before = now;
      }
      if (now - start < seconds * 1000) {
        send(count);
      } else if (done === sent) {
        resolve({ ops: done, seconds: (now - start) / 1000, waits, isRight: () => {} });
      }
    };
    send(window);
  });
}

function snapshot(wire, keys) {
  const start = performance.now();
  const config = {
    stream_name: "KV_bench",
    action: "create",
    config: {
      name: "limit-page", deliver_policy: "last_per_subject", ack_policy: "none", deliver_subject: DELIVERY, max_deliver: 1,
      filter_subject: "$KV.bench.>", mem_storage: true, num_replicas: 1,
    },
  };
  const body = JSON.stringify(config);
  return new Promise((resolve) => {
    let came = -1; // the first message is the answer to the request
    wire.onMessages = (count) => {
      came += count;
      if (came >= keys) {
        resolve({ ops: keys, seconds: (performance.now() - start) / 1000, isRight: () => {} });
      }
    };
    wire.send(ascii.encode(`SUB ${DELIVERY} 2\r\nPUB $JS.API.CONSUMER.CREATE.KV_bench.limit-page.$KV.bench.> ${INBOX} ${body.length}\r\n${body}\r\n`));
  });
}

/** A WebSocket that counts messages. */
class Wire {
  onMessages = () => {};
  #rest = new Uint8Array(0);
  /** Bytes of a message that are still to come. */
  #missing = 0;

  static async open(url) {
    const wire = new Wire();
    wire.socket = new WebSocket(url);
    wire.socket.binaryType = "arraybuffer";
    await new Promise((resolve, reject) => {
      wire.socket.onerror = () => reject(new Error("no connection"));
      wire.socket.onopen = () => wire.send(ascii.encode(`CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}\r\nSUB ${INBOX} 1\r\nPING\r\n`));
      wire.socket.onmessage = ({ data }) => new TextDecoder().decode(data).includes("PONG\r\n") && resolve();
    });
    wire.socket.onmessage = ({ data }) => wire.#take(new Uint8Array(data));
    return wire;
  }

  send(bytes) {
    this.socket.send(bytes);
  }

  close() {
    this.socket.close();
  }

  #take(chunk) {
    let bytes = chunk;
    if (this.#rest.length > 0) {
      bytes = new Uint8Array(this.#rest.length + chunk.length);
      bytes.set(this.#rest);
      bytes.set(chunk, this.#rest.length);
    }
    let [at, count, isRefused] = [0, 0, false];
    while (at < bytes.length) {
      if (this.#missing > 0) {
        const here = Math.min(this.#missing, bytes.length - at);
        this.#missing -= here;
        at += here;
        count += this.#missing === 0 ? 1 : 0;
        continue;
      }
      const end = bytes.indexOf(10, at);
      if (end < 0) {
        break;
      }
      const kind = bytes[at];
      if (kind === 77 || kind === 72) {
        let size = 0;
        for (let digit = end - 2, unit = 1; bytes[digit] !== 32; digit--, unit *= 10) {
          size += (bytes[digit] - 48) * unit;
        }
        this.#missing = size + 2;
        isRefused ||= kind === 72 && bytes[end + 9] === 32; // "NATS/1.0 404"
      } else if (kind === 80 && bytes[at + 1] === 73) {
        this.send(ascii.encode("PONG\r\n"));
      }
      at = end + 1;
    }
    this.#rest = bytes.slice(at);
    if (count > 0) {
      this.onMessages(count, isRefused);
    }
  }
}
