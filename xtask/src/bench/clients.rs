//! Who is measured: natskv in each of its runtimes, its peers, and the limits.

/// A client. All but `limit` speak to the server as users' programs do.
#[derive(Debug)]
pub(crate) struct Client {
    /// As on the command line and in the tables.
    pub(crate) name: &'static str,
    /// For people.
    pub(crate) about: &'static str,
    /// Which program it is, with what.
    pub(crate) program: Program,
    /// For a client of ours: those of its kind that it is compared with, the first one first of all.
    pub(crate) beside: &'static [&'static str],
    /// What it cannot surpass.
    pub(crate) limit: &'static str,
    /// The only workloads it has; all that its program has when there are none.
    only: &'static [&'static str],
}

/// How it is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// tests/bench/limit.
    Limit,
    /// A file of tests/bench/python, on this event loop: asyncio, uvloop or none.
    Python { file: &'static str, event_loop: &'static str },
    /// tests/bench/c with the file of this name.
    C { file: &'static str, is_async: bool },
    /// tests/bench/web in Node, with this option.
    Node { client: &'static str, is_web: bool, option: Option<&'static str> },
    /// tests/bench/web in Chromium.
    Page { client: &'static str },
}

impl Client {
    /// Whether it is natskv.
    pub(crate) const fn is_ours(&self) -> bool {
        !self.beside.is_empty()
    }

    /// Whether it can do this workload.
    pub(crate) fn has(&self, workload: &str) -> bool {
        match self.program {
            _ if !self.only.is_empty() => self.only.contains(&workload),
            Program::Limit | Program::C { .. } => workload != "W0",
            Program::Python { file: "natskv_blocking", .. } => !matches!(workload, "W3" | "W4"),
            _ => true,
        }
    }
}

/// The one with this name.
#[cfg(test)]
pub(crate) fn named(name: &str) -> Option<&'static Client> {
    ALL.iter().find(|client| client.name == name)
}

const WIRE: &str = "limit";
const PAGE: &str = "limit-chromium";

const fn peer(name: &'static str, about: &'static str, program: Program) -> Client {
    Client { name, about, program, beside: &[], limit: WIRE, only: &[] }
}

const fn python(file: &'static str, event_loop: &'static str) -> Program {
    Program::Python { file, event_loop }
}

const fn node(client: &'static str, is_web: bool, option: Option<&'static str>) -> Program {
    Program::Node { client, is_web, option }
}

/// In the order of the tables. nats.js needs a flag of Node 20 for its WebSocket.
pub(crate) const ALL: &[Client] = &[
    peer("limit", "frames made beforehand over one socket, replies counted", Program::Limit),
    Client { beside: &["nats-py"], ..peer("python", "natskv, asyncio", python("natskv_asyncio", "asyncio")) },
    peer("nats-py", "nats-py", python("nats_py", "asyncio")),
    Client {
        beside: &["nats-py-uvloop"],
        ..peer("python-uvloop", "natskv, asyncio, uvloop", python("natskv_asyncio", "uvloop"))
    },
    peer("nats-py-uvloop", "nats-py, uvloop", python("nats_py", "uvloop")),
    Client { beside: &["nats-py"], ..peer("python-blocking", "natskv.sync", python("natskv_blocking", "none")) },
    Client {
        beside: &["nats.c", "nats.c-async"],
        ..peer("c", "libnatskv", Program::C { file: "natskv", is_async: false })
    },
    peer("nats.c", "nats.c; many in flight are many threads", Program::C { file: "nats_c", is_async: false }),
    Client {
        only: &["W3"],
        ..peer(
            "nats.c-async",
            "nats.c, js_PublishAsync, which is not Key/Value",
            Program::C { file: "nats_c", is_async: true },
        )
    },
    Client {
        beside: &["nats.js", "nats.js-no-stack"],
        ..peer("node", "natskv in Node, TCP", node("natskv", false, None))
    },
    peer("nats.js", "@nats-io/kv in Node, TCP", node("nats-js", false, None)),
    peer(
        "nats.js-no-stack",
        "the same with --stack-trace-limit=0",
        node("nats-js", false, Some("--stack-trace-limit=0")),
    ),
    Client { beside: &["nats.js-ws"], ..peer("node-ws", "natskv in Node, WebSocket", node("natskv", true, None)) },
    peer("nats.js-ws", "@nats-io/kv in Node, WebSocket", node("nats-js", true, Some("--experimental-websocket"))),
    Client {
        beside: &["nats.js-chromium"],
        limit: PAGE,
        ..peer("chromium", "natskv in a page", Program::Page { client: "natskv" })
    },
    Client { limit: PAGE, ..peer("nats.js-chromium", "@nats-io/kv in a page", Program::Page { client: "nats-js" }) },
    Client {
        limit: PAGE,
        only: &["W1", "W2", "W3", "W4", "W5", "W8p", "W8g"],
        ..peer("limit-chromium", "a page that counts frames", Program::Page { client: "limit" })
    },
];
