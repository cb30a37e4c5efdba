//! tests/scenarios/*.json and tests/vectors/errors.json as C data for the C runner, whose structs are in
//! tests/real/c/scenarios.h: flattened, so that C needs no JSON parser.

use std::{collections::BTreeMap, fmt::Write, fs, path::Path};

use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use crate::c_execute;
use crate::many;

type Object = Map<String, Value>;

/// The text of scenarios_table.c, for a server of this API level.
pub(crate) fn generate(scenarios_dir: &Path, level: u64) -> Result<String> {
    let mut table = Table::default();
    let mut files: Vec<_> = fs::read_dir(scenarios_dir)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let mut list = String::new();
    for path in &files {
        let name = path.file_stem().and_then(|name| name.to_str()).context("a scenario's name is not text")?;
        let json = fs::read_to_string(path)?;
        list += &table.scenario(name, &json, level).with_context(|| format!("scenario {name}"))?;
    }
    let mut text = String::from(
        "/* Made by xtask/src/c_table.rs from tests/scenarios and tests/vectors/errors.json. */\n#include \"scenarios.h\"\n\n",
    );
    text += &table.data;
    writeln!(
        text,
        "const struct scenario scenarios[] = {{\n{list}}};\nconst size_t scenario_count = {};\n",
        files.len()
    )?;
    let errors = scenarios_dir.parent().context("no folder above the scenarios")?.join("vectors/errors.json");
    text += &codes(&fs::read_to_string(errors)?)?;
    Ok(text)
}

fn codes(errors: &str) -> Result<String> {
    let errors: Value = serde_json::from_str(errors)?;
    let rows = errors["errors"].as_array().context("errors.json has no errors")?;
    let mut text = String::from("const struct code_row code_rows[] = {\n");
    for row in rows {
        let name = row["name"].as_str().context("an error without name")?;
        writeln!(text, "    {{NATSKV_{name}, {}, \"NATSKV_{name}\"}},", row["number"])?;
    }
    writeln!(text, "}};\nconst size_t code_row_count = {};", rows.len())?;
    Ok(text)
}

/// Arrays and functions that the steps point to, in the order in which C must see them.
#[derive(Default)]
struct Table {
    data: String,
    names: usize,
    /// The bucket of each watch that is of another than the scenario's.
    watched: BTreeMap<String, String>,
}

impl Table {
    fn scenario(&mut self, name: &str, json: &str, level: u64) -> Result<String> {
        let mut scenario: Object = serde_json::from_str(json)?;
        if scenario.get("requires").and_then(Value::as_u64).is_some_and(|needed| needed > level) {
            scenario = scenario["instead"].as_object().context("instead is not an object")?.clone();
        }
        many::spell_out(&mut scenario)?;
        self.watched.clear();
        let mut fields = Fields::new();
        fields.add("name", literal(name));
        if let Some(config) = scenario["bucket"].as_object() {
            self.config(config, &mut fields)?;
        }
        handle(&scenario, &mut fields)?;
        let steps = scenario["steps"].as_array().context("no steps")?;
        let mut list = Vec::new();
        for (at, step) in steps.iter().enumerate() {
            let step = step.as_object().context("a step is not an object")?;
            list.push(self.step(step).with_context(|| format!("step {}", at + 1))?);
        }
        fields.add("steps", self.array("struct step", &list)?);
        fields.add("step_count", steps.len());
        let executable = steps.iter().any(|step| step["do"].as_object().is_some_and(c_execute::has_form));
        fields.add("is_executable", u8::from(executable));
        Ok(format!("    {},\n", fields.end()))
    }

    fn step(&mut self, step: &Object) -> Result<String> {
        let mut fields = Fields::new();
        if let Some(operation) = step.get("do") {
            let operation = operation.as_object().context("do is not an object")?;
            fields.add("kind", "STEP_DO");
            self.operation(operation, &mut fields)?;
            if let Some(expect) = step.get("expect") {
                self.reply(operation, expect.as_object().context("expect is not an object")?, &mut fields)?;
            }
            if c_execute::has_form(operation) {
                self.execute(operation, step, &mut fields)?;
            }
        } else if let Some(watch) = step.get("watch") {
            fields.add("kind", "STEP_WATCH");
            fields.add("watch", text(watch)?);
            if let Some(bucket) = step.get("bucket") {
                fields.add("bucket", text(bucket)?);
                self.watched.insert(watch.to_string(), text(bucket)?);
            }
            self.filters(step, &mut fields)?;
            options(step, &mut fields)?;
        } else if let Some(watch) = step.get("next") {
            fields.add("kind", "STEP_NEXT");
            fields.add("watch", text(watch)?);
            if let Some(bucket) = self.watched.get(&watch.to_string()) {
                fields.add("bucket", bucket);
            }
            match step.get("expect") {
                None => {}
                Some(Value::String(word)) => match word.as_str() {
                    "CAUGHT_UP" | "NOTHING" => fields.add("next", format!("NEXT_{word}")),
                    _ => bail!("expects {word}"),
                },
                Some(entry) => self.entries(std::slice::from_ref(entry), &mut fields)?,
            }
        } else {
            fields.add("kind", "STEP_STOP");
            fields.add("watch", text(step.get("stop").context("an unknown kind of step")?)?);
        }
        if let Some(error) = step.get("error") {
            self.error(error, &mut fields)?;
        }
        Ok(fields.end())
    }

    fn execute(&mut self, operation: &Object, step: &Object, fields: &mut Fields) -> Result<()> {
        let (json, fill) = c_execute::request(operation);
        let reply = c_execute::reply(operation, step)?;
        let texts: Vec<String> = reply.texts.iter().map(|text| literal(text)).collect();
        fields.add("json", literal(&json));
        fields.add("json_fill", fill);
        fields.add("reply_count", texts.len());
        fields.add("reply", self.array("char *const", &texts)?);
        if let Some(count) = reply.entries {
            fields.add("reply_entries", format!("{{1, {count}}}"));
        }
        Ok(())
    }

    fn operation(&mut self, operation: &Object, fields: &mut Fields) -> Result<()> {
        for (name, value) in operation {
            match name.as_str() {
                "operation" => fields.add("verb", format!("DO_{}", value.as_str().context("operation is not text")?)),
                "bucket" => fields.add("bucket", text(value)?),
                "key" | "prefix" => fields.add("key", text(value)?),
                "on_drift" => {
                    let word = value.as_str().context("on_drift is not text")?.to_uppercase();
                    fields.add("on_drift", format!("NATSKV_DRIFT_{word}"));
                }
                "value" | "value_text" | "value_size" => fields.add("value", bytes(name, value)?),
                "revision" => {
                    fields.add("has_revision", 1);
                    fields.add("revision", number(value)?);
                }
                "ttl" => fields.add("ttl_ms", millis(value)?),
                "older_than" => fields.add("older_than_ms", millis(value)?),
                "include_deleted" => fields.add("include_deleted", flag(value)?),
                "config" => self.config(value.as_object().context("config is not an object")?, fields)?,
                "filter" | "filters" | "keys" | "values" | "values_text" | "options" | "handle" => {}
                _ => bail!("an unknown field {name}"),
            }
        }
        self.items(operation, fields)?;
        self.filters(operation, fields)?;
        handle(operation, fields)?;
        options(operation, fields)
    }

    /// The keys and values of PUT_MANY.
    fn items(&mut self, operation: &Object, fields: &mut Fields) -> Result<()> {
        let mut items = Vec::new();
        for (name, form) in [("values", "value"), ("values_text", "value_text")] {
            for (key, value) in operation.get(name).and_then(Value::as_object).into_iter().flatten() {
                let mut item = Fields::new();
                item.add("key", literal(key));
                let bytes = content(form, value)?;
                item.add("value", c_string(&bytes));
                item.add("len", bytes.len());
                items.push(item.end());
            }
        }
        if !items.is_empty() {
            fields.add("item_count", items.len());
            fields.add("items", self.array("natskv_item", &items)?);
        }
        Ok(())
    }

    fn reply(&mut self, operation: &Object, expect: &Object, fields: &mut Fields) -> Result<()> {
        match operation["operation"].as_str().context("operation is not text")? {
            "GET" | "ENTRY" => return self.entries(&[Value::Object(expect.clone())], fields),
            "STATUS" => return self.status(expect, fields),
            _ => {}
        }
        for (name, value) in expect {
            match name.as_str() {
                "revision" => fields.add("new_revision", wanted(value)?),
                "purged" | "count" => fields.add("number", wanted(value)?),
                "as_of" => fields.add("as_of", wanted(value)?),
                "results" => self.results(value.as_object().context("results is not an object")?, fields)?,
                "key_policy" => fields.add("key_policy", policy(value)?),
                "read_only" => fields.add("read_only", given(value)?),
                "drift" => {
                    let (texts, count) = self.texts(value)?;
                    fields.add("has_drift", 1);
                    fields.add("drift", texts);
                    fields.add("drift_count", count);
                }
                "entries" => self.entries(value.as_array().context("entries is not a list")?, fields)?,
                "keys" | "buckets" => {
                    let (names, count) = self.texts(value)?;
                    fields.add("has_names", 1);
                    fields.add("names", names);
                    fields.add("name_count", count);
                }
                _ => bail!("expects an unknown field {name}"),
            }
        }
        Ok(())
    }

    fn results(&mut self, results: &Object, fields: &mut Fields) -> Result<()> {
        let mut list = Vec::new();
        for (key, result) in results {
            let mut want = Fields::new();
            want.add("key", literal(key));
            match result.as_str() {
                Some(kind) => want.add("code", format!("NATSKV_{kind}")),
                None => want.add("revision", number(result)?),
            }
            list.push(want.end());
        }
        fields.add("result_count", list.len());
        fields.add("results", self.array("struct want_result", &list)?);
        Ok(())
    }

    fn entries(&mut self, entries: &[Value], fields: &mut Fields) -> Result<()> {
        let mut list = Vec::new();
        for entry in entries {
            let mut want = Fields::new();
            for (name, value) in entry.as_object().context("an entry is not an object")? {
                match name.as_str() {
                    "key" | "raw_key" | "operation" => want.add(name, text(value)?),
                    "ttl" => want.add("ttl_ms", format!("{{1, {}}}", millis(value)?)),
                    "value" | "value_text" => {
                        want.add("has_value", 1);
                        want.add("value", bytes(name, value)?);
                    }
                    "length" | "revision" | "delta" => want.add(name, wanted(value)?),
                    _ => bail!("an entry with an unknown field {name}"),
                }
            }
            list.push(want.end());
        }
        fields.add("has_entries", 1);
        fields.add("entries", self.array("struct want_entry", &list)?);
        fields.add("entry_count", list.len());
        Ok(())
    }

    fn status(&mut self, expect: &Object, fields: &mut Fields) -> Result<()> {
        let mut want = Fields::new();
        for (name, value) in expect {
            match name.as_str() {
                "bucket" | "storage" => want.add(name, text(value)?),
                "values" | "history" | "replicas" => want.add(name, wanted(value)?),
                "ttl" => want.add("ttl_ms", format!("{{1, {}}}", millis(value)?)),
                "compressed" => want.add("compressed", given(value)?),
                "key_policy" => want.add("key_policy", policy(value)?),
                "metadata" => {
                    let (pairs, count) = self.pairs(value)?;
                    want.add("metadata", pairs);
                    want.add("metadata_count", count);
                }
                _ => bail!("a status with an unknown field {name}"),
            }
        }
        let array = self.array("struct want_status", &[want.end()])?;
        fields.add("status", array);
        Ok(())
    }

    fn error(&mut self, error: &Value, fields: &mut Fields) -> Result<()> {
        let Some(details) = error.as_object() else {
            fields.add("code", format!("NATSKV_{}", error.as_str().context("error is not text")?));
            return Ok(());
        };
        for (name, value) in details {
            match name.as_str() {
                "kind" => fields.add("code", format!("NATSKV_{}", value.as_str().context("kind is not text")?)),
                "revision" => fields.add("error_revision", wanted(value)?),
                "api_code" => fields.add("api_code", wanted(value)?),
                "says" => {
                    let (says, count) = self.texts(value)?;
                    fields.add("says", says);
                    fields.add("says_count", count);
                }
                _ => bail!("an error with an unknown field {name}"),
            }
        }
        Ok(())
    }

    fn filters(&mut self, of: &Object, fields: &mut Fields) -> Result<()> {
        let filters = match (of.get("filter"), of.get("filters").or_else(|| of.get("keys"))) {
            (Some(one), _) => Value::Array(vec![one.clone()]),
            (None, Some(list)) => list.clone(),
            (None, None) => return Ok(()),
        };
        let (list, count) = self.texts(&filters)?;
        fields.add("filters", list);
        fields.add("filter_count", count);
        Ok(())
    }

    /// A function that sets the fields of a `natskv_config`; the JSON text where the struct's types cannot hold what is given.
    fn config(&mut self, config: &Object, fields: &mut Fields) -> Result<()> {
        let mut body = String::new();
        for (name, value) in config {
            match self.config_field(name, value)? {
                Some(lines) => body += &lines,
                None => {
                    fields.add("config_json", literal(&Value::Object(config.clone()).to_string()));
                    return Ok(());
                }
            }
        }
        let name = self.name("config");
        writeln!(self.data, "static void {name}(natskv_config *config)\n{{\n{body}}}\n")?;
        fields.add("config", name);
        Ok(())
    }

    fn config_field(&mut self, name: &str, value: &Value) -> Result<Option<String>> {
        let set = |field: &str, value: String| Ok(Some(format!("    config->{field} = {value};\n")));
        match (name, value) {
            ("bucket" | "description", Value::String(_)) => set(name, text(value)?),
            ("max_value_size" | "history" | "max_bytes", Value::Number(n)) => set(name, n.to_string()),
            ("max_bucket_size", Value::Number(n)) => set("max_bytes", n.to_string()),
            ("num_replicas" | "replicas", Value::Number(n)) => set("replicas", n.to_string()),
            ("ttl", Value::Number(_)) => set("ttl_ms", millis(value)?),
            ("limit_marker_ttl", Value::Number(_)) => set("limit_marker_ttl_ms", millis(value)?),
            ("storage", Value::String(kind)) => match kind.as_str() {
                "file" => set(name, "NATSKV_STORAGE_FILE".into()),
                "memory" => set(name, "NATSKV_STORAGE_MEMORY".into()),
                _ => Ok(None),
            },
            ("key_codec", Value::String(codec)) if matches!(codec.as_str(), "base64" | "path" | "escape") => {
                set(name, policy(value)?)
            }
            ("compression", Value::Bool(is_on)) => set(name, u8::from(*is_on).to_string()),
            ("compression", Value::String(kind)) if kind == "s2" => set(name, "1".into()),
            ("compression", Value::String(kind)) if kind == "none" => set(name, "0".into()),
            ("metadata", Value::Object(_)) => {
                let (pairs, count) = self.pairs(value)?;
                Ok(Some(format!("    config->metadata = {pairs};\n    config->metadata_count = {count};\n")))
            }
            ("republish", Value::Object(republish)) => {
                let mut lines = String::new();
                for (name, value) in republish {
                    let value = if name == "headers_only" { flag(value)?.to_string() } else { text(value)? };
                    writeln!(lines, "    config->republish_{name} = {value};")?;
                }
                Ok(Some(lines))
            }
            ("mirror", Value::Object(_)) => {
                let Some(source) = self.source(value)? else { return Ok(None) };
                Ok(Some(format!("    config->mirror = {};\n", self.array("natskv_source", &[source])?)))
            }
            ("sources", Value::Array(sources)) => {
                let sources: Option<Vec<String>> =
                    sources.iter().map(|source| self.source(source)).collect::<Result<_>>()?;
                let Some(sources) = sources else { return Ok(None) };
                let array = self.array("natskv_source", &sources)?;
                Ok(Some(format!("    config->sources = {array};\n    config->source_count = {};\n", sources.len())))
            }
            _ => Ok(None),
        }
    }

    fn source(&mut self, source: &Value) -> Result<Option<String>> {
        let mut fields = Fields::new();
        for (name, value) in source.as_object().context("a source is not an object")? {
            match name.as_str() {
                "name" | "filter_subject" | "opt_start_time" => fields.add(name, text(value)?),
                "opt_start_seq" => fields.add(name, number(value)?),
                "subject_transforms" => {
                    let mut list = Vec::new();
                    for transform in value.as_array().context("subject_transforms is not a list")? {
                        list.extend([text(&transform["src"])?, text(&transform["dest"])?]);
                    }
                    fields.add("transform_count", list.len() / 2);
                    fields.add("transforms", self.array("char *const", &list)?);
                }
                _ => return Ok(None),
            }
        }
        Ok(Some(fields.end()))
    }

    /// An array of strings, and how many.
    fn texts(&mut self, list: &Value) -> Result<(String, usize)> {
        let list: Vec<String> = list.as_array().context("not a list")?.iter().map(text).collect::<Result<_>>()?;
        Ok((self.array("char *const", &list)?, list.len()))
    }

    /// An array of names and values in turn, and how many pairs.
    fn pairs(&mut self, object: &Value) -> Result<(String, usize)> {
        let object = object.as_object().context("not an object")?;
        let mut list = Vec::new();
        for (name, value) in object {
            list.extend([literal(name), text(value)?]);
        }
        Ok((self.array("char *const", &list)?, object.len()))
    }

    /// A constant array, by its name; C has no empty ones, so those are NULL.
    fn array(&mut self, of: &str, items: &[String]) -> Result<String> {
        if items.is_empty() {
            return Ok("NULL".into());
        }
        let name = self.name("data");
        writeln!(self.data, "static const {of} {name}[] = {{\n    {},\n}};\n", items.join(",\n    "))?;
        Ok(name)
    }

    fn name(&mut self, kind: &str) -> String {
        self.names += 1;
        format!("{kind}_{}", self.names)
    }
}

/// A designated initialiser.
struct Fields(String);

impl Fields {
    fn new() -> Self {
        Self(String::from("{"))
    }

    fn add(&mut self, name: &str, value: impl std::fmt::Display) {
        let comma = if self.0.len() > 1 { ", " } else { "" };
        self.0 += &format!("{comma}.{name} = {value}");
    }

    fn end(self) -> String {
        self.0 + "}"
    }
}

fn options(of: &Object, fields: &mut Fields) -> Result<()> {
    let Some(options) = of.get("options") else { return Ok(()) };
    let mut flags = Fields::new();
    for (name, value) in options.as_object().context("options is not an object")? {
        match name.as_str() {
            "include_history" | "ignore_deletes" | "meta_only" | "updates_only" => flags.add(name, flag(value)?),
            "resume_from_revision" => flags.add(name, number(value)?),
            _ => bail!("an unknown option {name}"),
        }
    }
    fields.add("flags", flags.end());
    Ok(())
}

/// A `struct handle`.
fn handle(of: &Object, fields: &mut Fields) -> Result<()> {
    let Some(handle) = of.get("handle") else { return Ok(()) };
    let mut options = Fields::new();
    options.add("is_given", 1);
    for (name, value) in handle.as_object().context("handle is not an object")? {
        match name.as_str() {
            "keys" => options.add("key_policy", policy(value)?),
            "leader_reads" | "read_only" | "reserved_keys" => options.add(name, flag(value)?),
            _ => bail!("an unknown field {name} of handle"),
        }
    }
    fields.add("handle", options.end());
    Ok(())
}

fn policy(value: &Value) -> Result<String> {
    Ok(format!("NATSKV_KEYS_{}", value.as_str().context("a key policy is not text")?.to_uppercase()))
}

fn given(value: &Value) -> Result<&'static str> {
    Ok(if flag(value)? == 1 { "GIVEN_TRUE" } else { "GIVEN_FALSE" })
}

fn text(value: &Value) -> Result<String> {
    Ok(literal(value.as_str().with_context(|| format!("{value} is not text"))?))
}

fn flag(value: &Value) -> Result<u8> {
    Ok(value.as_bool().with_context(|| format!("{value} is not a truth value"))?.into())
}

fn number(value: &Value) -> Result<String> {
    Ok(format!("{}u", value.as_u64().with_context(|| format!("{value} is not a number"))?))
}

/// A `struct want_u64`.
fn wanted(value: &Value) -> Result<String> {
    Ok(format!("{{1, {}}}", number(value)?))
}

/// Nanoseconds of JSON as milliseconds of C.
fn millis(value: &Value) -> Result<String> {
    let ns = value.as_i64().with_context(|| format!("{value} is not a number of nanoseconds"))?;
    ensure!(ns % 1_000_000 == 0, "{ns} ns is no whole number of milliseconds, which is all that C can say");
    Ok((ns / 1_000_000).to_string())
}

/// A `struct bytes`.
fn bytes(name: &str, value: &Value) -> Result<String> {
    if name == "value_size" {
        return Ok(format!("{{NULL, {}}}", number(value)?));
    }
    let bytes = content(name, value)?;
    Ok(format!("{{{}, {}}}", c_string(&bytes), bytes.len()))
}

/// The bytes of `value` or `value_text`.
fn content(name: &str, value: &Value) -> Result<Vec<u8>> {
    let given = value.as_str().with_context(|| format!("{value} is not text"))?;
    Ok(if name == "value" { STANDARD.decode(given)? } else { given.as_bytes().to_vec() })
}

fn literal(text: &str) -> String {
    c_string(text.as_bytes())
}

/// A C string literal of any bytes. Octal, since hexadecimal escapes have no end; `?` too, because of trigraphs.
fn c_string(bytes: &[u8]) -> String {
    let mut literal = String::from("\"");
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => literal.extend(['\\', char::from(byte)]),
            b' '..=b'~' if byte != b'?' => literal.push(char::from(byte)),
            _ => literal += &format!("\\{byte:03o}"),
        }
    }
    literal + "\""
}
