//! What a scenario says of many keys in few words (tests/scenarios/README.md), spelled out.

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

type Object = Map<String, Value>;

/// Puts keys and values in place of each `many`.
pub(crate) fn spell_out(scenario: &mut Object) -> Result<()> {
    for step in scenario["steps"].as_array_mut().context("steps is not a list")? {
        if let Some(many) = step.pointer_mut("/do").and_then(|operation| operation.as_object_mut()?.remove("many")) {
            let values = keys_and_values(&many)?;
            let operation = &mut step["do"];
            match operation["operation"].as_str().unwrap_or_default() {
                "PUT_MANY" => operation["values_text"] = Value::Object(values),
                "GET_MANY" => operation["keys"] = values.keys().cloned().collect(),
                _ => operation["filters"] = values.keys().cloned().collect(),
            }
        }
        if let Some(many) = step.pointer_mut("/expect").and_then(|expect| expect.as_object_mut()?.remove("many")) {
            let values = keys_and_values(&many)?;
            step["expect"]["entries"] =
                values.iter().map(|(key, text)| json!({"key": key, "value_text": text})).collect();
        }
    }
    Ok(())
}

fn keys_and_values(many: &Value) -> Result<Object> {
    let key = many["key"].as_str().context("many has no key")?;
    let (from, to) = many["from"].as_u64().zip(many["to"].as_u64()).context("many has no from and to")?;
    Ok((from..to).map(|n| (key.replace('#', &n.to_string()), n.to_string().into())).collect())
}
