//! Frames, header blocks, CONNECT and -ERR.

use natskv_core::wire::{self, Parsed, ServerError, WebDecoder, WebPiece};
use natskv_core::{Action, Client, Config, Credentials, Instant, Secret};
use serde_json::{Map, Value, json};

use super::{Read, answer, hex, kind, lossy, number, of_core, only, pairs, refused, text, texts, unhex};

const MAX_PAYLOAD: u64 = 1 << 20;
const MAX_CONTROL_LINE: u64 = 4096;

pub(super) fn encode(input: &Value) -> Read {
    let op = text(input, "op")?;
    let bytes = match op {
        "pub" => return publish(input),
        "sub" => {
            only(input, &["op", "subject", "queue", "sid"])?;
            wire::subscribe(text(input, "subject")?, input["queue"].as_str(), number(input, "sid")?)
        }
        "unsub" => {
            only(input, &["op", "sid", "max"])?;
            wire::unsubscribe(number(input, "sid")?, input["max"].as_u64())
        }
        "ping" => sent_by_client(b"")?,
        "pong" => sent_by_client(b"PING\r\n")?,
        other => return Err(format!("op {other} is unknown")),
    };
    answer(json!({"bytes": lossy(&bytes)}))
}

fn publish(input: &Value) -> Read {
    const KNOWN: [&str; 9] = [
        "op",
        "subject",
        "subject_len",
        "reply",
        "payload",
        "payload_len",
        "headers",
        "max_payload",
        "max_control_line",
    ];
    only(input, &KNOWN)?;
    if input["max_control_line"].as_u64().is_some_and(|max| max != MAX_CONTROL_LINE) {
        return Err(format!("core knows no other control line than {MAX_CONTROL_LINE}"));
    }
    let long = |name: &str| input[name].as_u64().map(|length| "x".repeat(length as usize));
    let of =
        |name: &str, length: &str| long(length).or_else(|| input[name].as_str().map(str::to_owned)).unwrap_or_default();
    let (subject, payload) = (of("subject", "subject_len"), of("payload", "payload_len"));
    let max_payload = input["max_payload"].as_u64().unwrap_or(MAX_PAYLOAD) as usize;
    match wire::publish(&subject, input["reply"].as_str(), &pairs(input, "headers")?, payload.as_bytes(), max_payload) {
        Ok(bytes) => answer(json!({"bytes": lossy(&bytes)})),
        Err(error) => refused(error),
    }
}

/// What a client that was just connected writes: its PING behind CONNECT, or what it answers to `then`.
fn sent_by_client(then: &[u8]) -> Result<Vec<u8>, String> {
    let now = Instant::default();
    let mut client = Client::new(Config::default(), [7; 32], now).map_err(|error| error.to_string())?;
    let Some(Action::Connect { conn, .. }) = client.poll_action() else {
        return Err("the client does not connect".into());
    };
    client.transport_open(conn, now);
    client.receive(conn, b"INFO {\"headers\":true,\"max_payload\":1048576}\r\n", now);
    let first = written(&mut client);
    if then.is_empty() {
        let behind_connect = first.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        return Ok(first[behind_connect..].to_vec());
    }
    client.receive(conn, b"PONG\r\n", now);
    written(&mut client);
    client.receive(conn, then, now);
    Ok(written(&mut client))
}

fn written(client: &mut Client) -> Vec<u8> {
    let (mut all, mut bytes) = (Vec::new(), Vec::new());
    while client.poll_transmit(&mut bytes).is_some() {
        all.extend_from_slice(&bytes);
    }
    while client.poll_action().is_some() {}
    while client.poll_event().is_some() {}
    all
}

pub(super) fn parse(input: &Value) -> Read {
    only(input, &["chunks"])?;
    let chunks: Vec<&[u8]> = texts(input, "chunks")?.into_iter().map(str::as_bytes).collect();
    let events: Vec<Value> = wire::parse(&chunks).iter().map(event).collect();
    answer(json!({ "events": events }))
}

fn event(parsed: &Parsed) -> Value {
    match parsed {
        Parsed::Info(json) => json!({"info": serde_json::from_str(json).unwrap_or(Value::Null)}),
        Parsed::Ping => json!({"ping": true}),
        Parsed::Pong => json!({"pong": true}),
        Parsed::Ok => json!({"ok": true}),
        Parsed::Err(text) => json!({ "err": text }),
        Parsed::ProtocolError(_) => json!({"protocol_error": true}),
        Parsed::Message { subject, sid, reply, headers, payload } => {
            let mut message = Map::new();
            message.insert("subject".into(), lossy(subject));
            message.insert("sid".into(), lossy(sid));
            message.insert("reply".into(), reply.as_deref().map_or(Value::Null, lossy));
            message.insert("payload".into(), lossy(payload));
            if !headers.is_empty() {
                let block = block(headers);
                message.extend(block.as_object().cloned().unwrap_or_default());
            }
            json!({ "msg": message })
        }
    }
}

fn block(bytes: &[u8]) -> Value {
    let headers = wire::Headers::parse(bytes);
    if headers.is_malformed() {
        return json!({"malformed": true, "raw_kept": headers.block() == bytes});
    }
    let pairs: Vec<Value> = headers.iter().map(|(name, value)| json!([name, lossy(value)])).collect();
    let description = headers.status().map(|_| lossy(headers.description()));
    json!({"status": headers.status(), "description": description, "headers": pairs})
}

pub(super) fn web_frame(input: &Value) -> Read {
    only(input, &["op", "payload", "mask_hex", "hex", "frames_text"])?;
    match text(input, "op")? {
        "encode" => {
            let mask = unhex(text(input, "mask_hex")?)?.try_into().map_err(|_| "a mask has four bytes")?;
            let mut frame = Vec::new();
            wire::web_frame(&mut frame, text(input, "payload")?.as_bytes(), mask);
            answer(json!({"hex": hex(&frame)}))
        }
        "decode" => {
            let (bytes, mut decoder) = (unhex(text(input, "hex")?)?, WebDecoder::default());
            match decoder.next(&mut bytes.as_slice()) {
                Ok(Some(WebPiece::Data(payload))) => {
                    answer(json!({"opcode": 2, "fin": !decoder.is_fragmented(), "payload": lossy(payload)}))
                }
                Ok(Some(WebPiece::Close(code, reason))) => {
                    answer(json!({"opcode": 8, "close_code": code, "reason": reason}))
                }
                Ok(other) => Err(format!("the frame is {other:?}")),
                Err(error) => refused(error),
            }
        }
        "stream" => {
            let (mut stream, mut decoder) = (Vec::new(), WebDecoder::default());
            for text in texts(input, "frames_text")? {
                let length = u8::try_from(text.len()).map_err(|error| error.to_string())?;
                stream.extend([0x82, length].iter().chain(text.as_bytes()));
            }
            let (mut rest, mut chunks) = (stream.as_slice(), Vec::new());
            while let Some(piece) = decoder.next(&mut rest).map_err(|error| error.to_string())? {
                let WebPiece::Data(payload) = piece else { return Err(format!("{piece:?} in a stream of data")) };
                chunks.push(payload);
            }
            let events: Vec<Value> = wire::parse(&chunks).iter().map(event).collect();
            answer(json!({ "events": events }))
        }
        other => Err(format!("op {other} is unknown")),
    }
}

pub(super) fn header_encode(input: &Value) -> Read {
    only(input, &["headers"])?;
    match wire::encode_headers(&pairs(input, "headers")?) {
        Ok(block) => answer(json!({"block": lossy(&block), "len": block.len()})),
        Err(error) => refused(error),
    }
}

pub(super) fn header_parse(input: &Value) -> Read {
    only(input, &["block"])?;
    answer(block(text(input, "block")?.as_bytes()))
}

pub(super) fn connect(input: &Value) -> Read {
    only(input, &["info", "url", "user", "pass", "token", "jwt", "nkey_seed", "name", "no_echo", "tls"])?;
    let given = |name: &str| input[name].as_str().map(str::to_owned);
    let secret = |name: &str| input[name].as_str().map(Secret::from);
    let config = Config {
        credentials: Credentials {
            user: given("user"),
            password: secret("pass"),
            token: secret("token"),
            jwt: secret("jwt"),
            nkey_seed: secret("nkey_seed"),
            ..Credentials::default()
        },
        name: given("name"),
        echo: input["no_echo"] != true,
        tls: input["tls"] == true,
        ..Config::default()
    };
    let mut connect = match wire::connect(&input["info"].to_string(), &config, input["url"].as_str()) {
        Ok(connect) => of_core(&connect),
        Err(error) => return refused(error),
    };
    // "lang/version are placeholders" in the vectors; here, that they are texts
    for (name, placeholder) in [("lang", "rust-kv"), ("version", "0.1.0")] {
        if connect[name].as_str().is_some_and(|text| !text.is_empty()) {
            connect[name] = placeholder.into();
        }
    }
    answer(json!({ "connect": connect }))
}

pub(super) fn server_error(input: &Value) -> Read {
    only(input, &["line"])?;
    let line = format!("{}\r\n", text(input, "line")?);
    let [Parsed::Err(text)] = &wire::parse(&[line.as_bytes()])[..] else { return Err(format!("{line:?} is no -ERR")) };
    let error = ServerError::parse(text);
    let mut details = Vec::new();
    match &error {
        ServerError::PublishDenied { subject } => details.push(subject.as_str()),
        ServerError::SubscribeDenied { subject, queue } => {
            details.push(subject);
            details.extend(queue.as_deref());
        }
        _ => {}
    }
    answer(json!({"kind": kind(error.to_error(text).code, &details), "server_closes": error.closes()}))
}
