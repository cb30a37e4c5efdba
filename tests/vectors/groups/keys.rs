//! nkeys and credentials files.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use natskv_core::wire::{self, Creds, KeyKind, Seed};
use serde_json::{Value, json};

use super::{Read, answer, hex, only, refused, text, unhex};

pub(super) fn nkey(input: &Value) -> Read {
    only(input, &["op", "seed", "nonce", "type", "raw_public_hex"])?;
    if text(input, "op")? == "encode_public" {
        let key = unhex(text(input, "raw_public_hex")?)?;
        let key = key.try_into().map_err(|_| "`raw_public_hex` is no key")?;
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
