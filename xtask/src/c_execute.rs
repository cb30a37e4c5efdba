//! What `natskv_execute` is given for a step of a scenario, and the texts that its reply has: C finds these in the reply's text,
//! in their order, and so needs no JSON parser. Core writes the fields of an object in the order of their names.

use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

type Object = Map<String, Value>;

/// Operations that only the typed API has, beside those on whole buckets.
const TYPED_ONLY: [&str; 2] = ["ENTRY", "STATUS"];

/// What stands in a reply.
#[derive(Default)]
pub(crate) struct Reply {
    /// In this order.
    pub(crate) texts: Vec<String>,
    /// How many entries there are, where that is known.
    pub(crate) entries: Option<usize>,
}

/// Whether `execute` takes the operation.
pub(crate) fn has_form(operation: &Object) -> bool {
    let name = operation["operation"].as_str().unwrap_or_default();
    !name.contains("BUCKET") && !TYPED_ONLY.contains(&name) && !operation.contains_key("options")
}

/// The operation's JSON; and where the value is given by its size, how many 'x' and `"}` are to follow.
pub(crate) fn request(operation: &Object) -> (String, u64) {
    let mut request = operation.clone();
    request.remove("bucket");
    request.remove("handle");
    let size = request.remove("value_size").and_then(|size| size.as_u64()).unwrap_or(0);
    let mut json = Value::Object(request).to_string();
    if size > 0 {
        json.truncate(json.len() - 1);
        json += ",\"value_text\":\"";
    }
    (json, size)
}

/// What the reply to the operation of `step` must have.
pub(crate) fn reply(operation: &Object, step: &Object) -> Result<Reply> {
    if let Some(error) = step.get("error") {
        return Ok(Reply { texts: error_texts(error)?, entries: None });
    }
    let mut reply = Reply::default();
    let expect = step.get("expect").map(|expect| expect.as_object().context("expect is not an object")).transpose()?;
    reply.texts.extend(expect.and_then(|expect| expect.get("as_of")).map(|as_of| format!("\"as_of\":{as_of}")));
    reply.texts.push("\"bucket\":".into());
    let Some(expect) = expect else { return Ok(reply) };
    match operation["operation"].as_str().unwrap_or_default() {
        "GET" => reply.add(expect),
        "PUT_MANY" => reply.results(expect)?,
        "HISTORY" | "ENTRIES" | "GET_MANY" => entries(expect)?.for_each(|entry| reply.add(entry)),
        "WATCH" => entries(expect)?.filter(|entry| !is_marker(entry)).for_each(|entry| reply.add(entry)),
        _ => reply.texts.extend(expect.iter().map(|(name, value)| format!("\"{name}\":{value}"))),
    }
    if expect.contains_key("entries") {
        reply.entries.get_or_insert(0);
    }
    Ok(reply)
}

impl Reply {
    /// The texts of an entry; not its length, which these cannot count and the value tells too.
    fn add(&mut self, entry: &Object) {
        *self.entries.get_or_insert(0) += 1;
        for name in ["delta", "key", "operation", "revision"] {
            self.texts.extend(entry.get(name).map(|value| format!("\"{name}\":{value}")));
        }
        let text = entry.get("value_text").and_then(Value::as_str).map(|text| STANDARD.encode(text));
        let value = text.or_else(|| Some(entry.get("value")?.as_str()?.to_owned()));
        self.texts.extend(value.map(|value| format!("\"value\":\"{value}\"")));
    }

    /// The texts of what PUT_MANY says of each key.
    fn results(&mut self, expect: &Object) -> Result<()> {
        for (key, result) in expect["results"].as_object().context("results is not an object")? {
            match result {
                Value::String(kind) => {
                    self.texts.extend([format!("{}:{{", json!(key)), format!("\"kind\":\"{kind}\"")])
                }
                revision => self.texts.push(format!("{}:{revision}", json!(key))),
            }
        }
        Ok(())
    }
}

/// `{"error":{"code","description","err_code"},"kind","revision","type"}`
fn error_texts(error: &Value) -> Result<Vec<String>> {
    let Some(details) = error.as_object() else { return Ok(vec![format!("\"kind\":{error}")]) };
    let mut texts = Vec::new();
    for text in details.get("says").and_then(Value::as_array).into_iter().flatten() {
        let quoted = text.to_string();
        texts.push(quoted[1..quoted.len() - 1].to_owned());
    }
    texts.extend(details.get("api_code").map(|code| format!("\"err_code\":{code}")));
    texts.push(format!("\"kind\":{}", details.get("kind").context("an error without kind")?));
    texts.extend(details.get("revision").map(|revision| format!("\"revision\":{revision}")));
    Ok(texts)
}

fn entries(expect: &Object) -> Result<impl Iterator<Item = &Object>> {
    let entries = match expect.get("entries") {
        Some(entries) => entries.as_array().context("entries is not a list")?.as_slice(),
        None => &[],
    };
    Ok(entries.iter().filter_map(Value::as_object))
}

fn is_marker(entry: &Object) -> bool {
    entry.get("operation").is_some_and(|operation| operation != "PUT")
}
