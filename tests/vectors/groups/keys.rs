//! nkeys and credentials files.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use natskv_core::wire::{self, Creds, KeyKind, Seed};
use serde_json::{Value, json};

use super::{Read, answer, only, refused, text};

pub(super) fn nkey(input: &Value) -> Read {
    only(input, &["op", "seed", "nonce", "type", "raw_public_hex"])?;
    if text(input, "op")? == "encode_public" {
        let key = unhex(text(input, "raw_public_hex")?)?;
        return answer(json!({"public": wire::encode_public(kind(text(input, "type")?)?, &key)}));
    }
    let seed = match Seed::parse(text(input, "seed")?) {
        Ok(seed) => seed,
        Err(error) => return refused(error),
    };
    if seed.encode().as_str() != text(input, "seed")? {
        return Err("the seed's text does not come back".into());
    }
    match text(input, "op")? {
        "decode_seed" => answer(json!({})),
        "public_from_seed" => answer(json!({
            "public": wire::encode_public(seed.kind(), &seed.public()), "raw_public_hex": hex(&seed.public()),
            "raw_seed_hex": hex(seed.bytes()), "type": seed.kind().name(),
        })),
        "sign" => answer(json!({"sig": BASE64.encode(seed.sign(text(input, "nonce")?.as_bytes()))})),
        other => Err(format!("op {other} is unknown")),
    }
}

pub(super) fn creds(input: &Value) -> Read {
    only(input, &["text"])?;
    match Creds::parse(text(input, "text")?) {
        Ok(creds) => answer(json!({"jwt": creds.jwt, "seed": creds.seed})),
        Err(error) => refused(error),
    }
}

fn kind(name: &str) -> Result<KeyKind, String> {
    match name {
        "user" => Ok(KeyKind::User),
        "account" => Ok(KeyKind::Account),
        "operator" => Ok(KeyKind::Operator),
        other => Err(format!("the key type {other} is unknown here")),
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn unhex<const N: usize>(text: &str) -> Result<[u8; N], String> {
    let bytes: Option<Vec<u8>> =
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect();
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| format!("{text:?} is not {N} bytes in hex"))
}
