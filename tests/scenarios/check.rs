//! The form of the scenario files, so that a slip in one is found here and not as five strange failures in five runners.
//! What the operations do is proved by the runners of the bindings, against a real server.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use natskv_core::{ErrorCode, KeyPolicy};
use serde_json::{Map, Value};

const FEWEST: usize = 40;

#[test]
fn there_are_enough_scenarios_and_their_numbers_have_no_gap() {
    let numbers: Vec<usize> = files().iter().map(|file| number(file)).collect();

    assert!(numbers.len() >= FEWEST, "{} scenario files", numbers.len());
    assert_eq!(numbers, (1..=numbers.len()).collect::<Vec<_>>());
}

#[test]
fn every_scenario_has_the_form_that_the_readme_gives() {
    let mut wrong = Vec::new();
    for file in files() {
        let text = fs::read_to_string(&file).expect("a scenario file is readable");
        if let Err(why) = check(&text) {
            wrong.push(format!("{}: {why}", file.display()));
        }
    }

    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn buckets_are_named_by_one_scenario_only() {
    let mut seen = BTreeSet::new();
    for file in files() {
        let text = fs::read_to_string(&file).expect("a scenario file is readable");
        let scenario: Value = serde_json::from_str(&text).expect("a scenario file is JSON");
        let Some(bucket) = scenario["bucket"]["bucket"].as_str() else { continue };
        assert!(seen.insert(bucket.to_owned()), "{}: bucket {bucket} is another scenario's", file.display());
    }
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let entries = fs::read_dir(folder).expect("the scenarios folder");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a folder entry").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files
}

fn number(file: &Path) -> usize {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.split('-').next().and_then(|digits| digits.parse().ok()).unwrap_or_default()
}

type Checked = Result<(), String>;

fn check(text: &str) -> Checked {
    let scenario: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let scenario = object(&scenario)?;
    only(scenario, &["about", "requires", "bucket", "handle", "steps", "instead"])?;
    if text_of(scenario, "about")?.is_empty() {
        return Err("`about` is empty".into());
    }
    match (scenario.get("requires"), scenario.get("instead")) {
        (None, None) => {}
        (Some(level), Some(instead)) if level.as_u64() > Some(0) => {
            let instead = object(instead)?;
            only(instead, &["bucket", "handle", "steps"])?;
            check_play(instead).map_err(|why| format!("instead: {why}"))?;
        }
        _ => return Err("`requires` is a level of 1 or more, and comes with `instead`".into()),
    }
    check_play(scenario)
}

fn check_play(scenario: &Map<String, Value>) -> Checked {
    match scenario.get("bucket") {
        Some(Value::Null) => {}
        Some(config) => {
            text_of(object(config)?, "bucket")?;
        }
        None => return Err("`bucket` is missing".into()),
    }
    check_handle(scenario.get("handle"))?;
    let steps = scenario.get("steps").and_then(Value::as_array).ok_or("`steps` is not a list")?;
    let mut watches = Watches::default();
    for (index, step) in steps.iter().enumerate() {
        check_step(step, scenario["bucket"].is_null(), &mut watches)
            .map_err(|why| format!("step {index}: {why}: {step}"))?;
    }
    if let Some(name) = watches.running.first() {
        return Err(format!("watch {name} is never stopped"));
    }
    if steps.is_empty() { Err("no steps".into()) } else { Ok(()) }
}

/// Names of watches; each is used once, so that a runner need not forget any.
#[derive(Default)]
struct Watches {
    running: BTreeSet<String>,
    ever: BTreeSet<String>,
}

fn check_step(step: &Value, is_bucketless: bool, watches: &mut Watches) -> Checked {
    let step = object(step)?;
    if let Some(operation) = step.get("do") {
        only(step, &["do", "expect", "error"])?;
        let kind = check_operation(object(operation)?, is_bucketless)?;
        return match (step.get("expect"), step.get("error")) {
            (Some(reply), None) => check_reply(kind, object(reply)?),
            (None, Some(error)) => check_error(error),
            (None, None) if matches!(kind, "DELETE" | "PURGE" | "PUT" | "CREATE" | "PUT_MANY") => Ok(()),
            _ => Err("one of `expect` and `error` is needed".into()),
        };
    }
    if step.contains_key("watch") {
        only(step, &["watch", "bucket", "filters", "options", "error"])?;
        let name = text_of(step, "watch")?;
        check_filters(step.get("filters"))?;
        check_options(step.get("options"))?;
        if let Some(error) = step.get("error") {
            return check_error(error);
        }
        watches.running.insert(name.to_owned());
        let is_new = watches.ever.insert(name.to_owned());
        return if is_new { Ok(()) } else { Err("another watch had this name".into()) };
    }
    if step.contains_key("next") {
        only(step, &["next", "expect", "error"])?;
        if !watches.running.contains(text_of(step, "next")?) {
            return Err("no such watch".into());
        }
        return match (step.get("expect"), step.get("error")) {
            (Some(Value::String(word)), None) if word == "CAUGHT_UP" || word == "NOTHING" => Ok(()),
            (Some(entry), None) => check_entry(entry),
            (None, Some(error)) => check_error(error),
            _ => Err("one of `expect` and `error` is needed".into()),
        };
    }
    only(step, &["stop"])?;
    if watches.running.remove(text_of(step, "stop")?) { Ok(()) } else { Err("no such watch".into()) }
}

fn check_operation(operation: &Map<String, Value>, is_bucketless: bool) -> Result<&'static str, String> {
    const VALUE: [&str; 3] = ["value", "value_text", "value_size"];
    let (kind, needed, optional): (&str, &[&str], &[&str]) = match text_of(operation, "operation")? {
        "PUT" => ("PUT", &["key"], &["revision", "ttl", "value", "value_text", "value_size"]),
        "PUT_MANY" => ("PUT_MANY", &[], &["values", "values_text", "many"]),
        "TOUCH" => ("TOUCH", &["key", "ttl"], &[]),
        "GET_MANY" => ("GET_MANY", &[], &["keys", "many"]),
        "ENTRIES" => ("ENTRIES", &[], &["filter", "filters", "many"]),
        "COUNT" => ("COUNT", &[], &["filter", "filters", "many"]),
        "CLEAR" => ("CLEAR", &["prefix"], &[]),
        "GET" => ("GET", &["key"], &["revision"]),
        "ENTRY" => ("ENTRY", &["key"], &[]),
        "CREATE" => ("CREATE", &["key"], &["ttl", "value", "value_text", "value_size"]),
        "UPDATE" => ("UPDATE", &["key", "revision"], &["ttl", "value", "value_text", "value_size"]),
        "DELETE" => ("DELETE", &["key"], &["revision"]),
        "PURGE" => ("PURGE", &["key"], &["revision", "ttl"]),
        "HISTORY" => ("HISTORY", &["key"], &["include_deleted"]),
        "LIST" => ("LIST", &[], &["filter", "filters", "many"]),
        "WATCH" => ("WATCH", &[], &["filter", "filters", "options"]),
        "PURGE_DELETES" => ("PURGE_DELETES", &["older_than"], &[]),
        "STATUS" => ("STATUS", &[], &[]),
        "CREATE_BUCKET" => ("CREATE_BUCKET", &["config"], &["on_drift"]),
        "UPDATE_BUCKET" => ("UPDATE_BUCKET", &["config"], &[]),
        "CREATE_OR_UPDATE_BUCKET" => ("CREATE_OR_UPDATE_BUCKET", &["config"], &[]),
        "DELETE_BUCKET" => ("DELETE_BUCKET", &["bucket"], &[]),
        "OPEN_BUCKET" => ("OPEN_BUCKET", &["bucket"], &[]),
        "BUCKETS" => ("BUCKETS", &[], &[]),
        other => return Err(format!("operation {other} is unknown")),
    };
    if let Some(missing) = needed.iter().find(|field| !operation.contains_key(**field)) {
        return Err(format!("{kind} needs `{missing}`"));
    }
    only(operation, &[&["operation", "bucket", "handle"], needed, optional].concat())?;
    check_handle(operation.get("handle"))?;
    if let Some(many) = operation.get("many") {
        check_many(many)?;
    }
    let is_write = matches!(kind, "PUT" | "CREATE" | "UPDATE");
    if is_write && VALUE.iter().filter(|form| operation.contains_key(**form)).count() != 1 {
        return Err("a write has one value".into());
    }
    for field in ["revision", "ttl", "older_than", "value_size"] {
        if operation.get(field).is_some_and(|number| !number.is_u64()) {
            return Err(format!("`{field}` is not an integer"));
        }
    }
    let is_admin = kind.ends_with("BUCKET") || kind == "BUCKETS";
    if is_bucketless && !is_admin && !operation.contains_key("bucket") {
        return Err("the scenario has no bucket, so the operation must name one".into());
    }
    check_filters(operation.get("filters"))?;
    check_options(operation.get("options"))?;
    if let Some(config) = operation.get("config") {
        object(config)?;
    }
    Ok(kind)
}

fn check_reply(kind: &str, reply: &Map<String, Value>) -> Checked {
    match kind {
        "PUT" | "CREATE" | "UPDATE" | "DELETE" | "PURGE" | "TOUCH" => only(reply, &["revision"]),
        "GET" | "ENTRY" => check_entry(&Value::Object(reply.clone())),
        "HISTORY" | "WATCH" | "ENTRIES" | "GET_MANY" => {
            only(reply, &["entries", "many", "as_of"])?;
            match reply.get("many") {
                Some(many) => check_many(many),
                None => list(reply, "entries")?.iter().try_for_each(check_entry),
            }
        }
        "PUT_MANY" => {
            only(reply, &["results"])?;
            let results = object(&reply["results"])?.values();
            if results.clone().all(|result| result.is_u64() || check_error(result).is_ok()) {
                Ok(())
            } else {
                Err("a result is a revision or an error".into())
            }
        }
        "COUNT" => only(reply, &["count"]),
        "LIST" => {
            only(reply, &["keys"])?;
            check_sorted(list(reply, "keys")?)
        }
        "BUCKETS" => {
            only(reply, &["buckets"])?;
            check_sorted(list(reply, "buckets")?)
        }
        "PURGE_DELETES" | "CLEAR" => only(reply, &["purged"]),
        "STATUS" => {
            const FIELDS: [&str; 9] =
                ["bucket", "values", "history", "ttl", "storage", "replicas", "compressed", "metadata", "key_policy"];
            only(reply, &FIELDS)
        }
        "DELETE_BUCKET" => only(reply, &[]),
        _ => only(reply, &["key_policy", "read_only", "drift"]),
    }
}

fn check_entry(entry: &Value) -> Checked {
    let entry = object(entry)?;
    only(entry, &["key", "raw_key", "value", "value_text", "length", "revision", "operation", "delta", "ttl"])?;
    text_of(entry, "key")?;
    let operation = entry.get("operation").and_then(Value::as_str).unwrap_or("PUT");
    if !matches!(operation, "PUT" | "DEL" | "PURGE") {
        return Err(format!("operation {operation} of an entry is unknown"));
    }
    let is_complete = entry.get("revision").is_some_and(Value::is_u64);
    if is_complete { Ok(()) } else { Err("an entry has a revision".into()) }
}

fn check_error(error: &Value) -> Checked {
    let kind = match error {
        Value::String(kind) => kind.as_str(),
        error => {
            let error = object(error)?;
            only(error, &["kind", "revision", "api_code", "says"])?;
            if error.contains_key("says") && !list(error, "says")?.iter().all(Value::is_string) {
                return Err("`says` is a list of texts".into());
            }
            text_of(error, "kind")?
        }
    };
    let is_known = ErrorCode::ALL.iter().any(|code| code.name() == kind);
    if is_known { Ok(()) } else { Err(format!("error {kind} is unknown")) }
}

fn check_handle(handle: Option<&Value>) -> Checked {
    let Some(handle) = handle else { return Ok(()) };
    let handle = object(handle)?;
    only(handle, &["keys", "leader_reads", "read_only", "reserved_keys"])?;
    handle.get("keys").map_or(Ok(()), |keys| {
        KeyPolicy::parse(keys.as_str().unwrap_or_default()).map(|_| ()).map_err(|error| error.to_string())
    })
}

/// Keys and values that follow from a number.
fn check_many(many: &Value) -> Checked {
    let many = object(many)?;
    only(many, &["key", "from", "to"])?;
    let digits = |name: &str| many.get(name).and_then(Value::as_u64).map(|number| number.to_string().len());
    if !text_of(many, "key")?.contains('#') {
        return Err("the key of `many` has no `#`".into());
    }
    if digits("from").is_some() && digits("from") == digits("to") {
        Ok(())
    } else {
        Err("`from` and `to` of `many` are numbers with as many digits, so that their order is that of texts".into())
    }
}

fn check_filters(filters: Option<&Value>) -> Checked {
    let Some(filters) = filters else { return Ok(()) };
    let filters = filters.as_array().ok_or("`filters` is not a list")?;
    let is_sound = !filters.is_empty() && filters.iter().all(Value::is_string);
    if is_sound { Ok(()) } else { Err("`filters` is a list of texts, not empty".into()) }
}

fn check_options(options: Option<&Value>) -> Checked {
    let Some(options) = options else { return Ok(()) };
    let options = object(options)?;
    only(options, &["include_history", "ignore_deletes", "meta_only", "updates_only", "resume_from_revision"])?;
    let is_sound = options.iter().all(|(name, value)| match name.as_str() {
        "resume_from_revision" => value.is_u64(),
        _ => value.is_boolean(),
    });
    if is_sound { Ok(()) } else { Err("an option has the wrong type".into()) }
}

fn check_sorted(names: &[Value]) -> Checked {
    let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
    if names.is_sorted() { Ok(()) } else { Err("names are compared sorted".into()) }
}

fn object(value: &Value) -> Result<&Map<String, Value>, String> {
    value.as_object().ok_or_else(|| format!("{value} is not an object"))
}

fn list<'a>(object: &'a Map<String, Value>, field: &str) -> Result<&'a [Value], String> {
    object.get(field).and_then(Value::as_array).map(Vec::as_slice).ok_or_else(|| format!("`{field}` is not a list"))
}

fn text_of<'a>(object: &'a Map<String, Value>, field: &str) -> Result<&'a str, String> {
    object.get(field).and_then(Value::as_str).ok_or_else(|| format!("`{field}` is not a text"))
}

fn only(object: &Map<String, Value>, allowed: &[&str]) -> Checked {
    match object.keys().find(|name| !allowed.contains(&name.as_str())) {
        Some(name) => Err(format!("field `{name}` is unknown")),
        None => Ok(()),
    }
}
