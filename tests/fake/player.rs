//! Plays the steps of a scenario through core, as the runners of the bindings do through theirs.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use natskv_core::{
    BucketConfig, BucketId, Compare, Error, ErrorCode, HandleOptions, KeyPolicy, OnDrift, Outcome, WatchId, WatchItem,
    WatchOptions,
};
use serde_json::{Value, json};

use crate::{
    reply::{Form, contains, described, is_expected, reply},
    stage::Stage,
};

const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Player<S> {
    stage: S,
    bucket: Option<(String, BucketId)>,
    watches: BTreeMap<String, WatchId>,
    caught_up: BTreeSet<String>,
}

impl<S: Stage> Player<S> {
    pub(crate) const fn new(stage: S) -> Self {
        Self { stage, bucket: None, watches: BTreeMap::new(), caught_up: BTreeSet::new() }
    }

    pub(crate) fn play(&mut self, scenario: &Value) -> Result<(), String> {
        let result = self.steps(scenario);
        self.tidy_up().map_err(|error| format!("tidying up: {error}")).and(result)
    }

    fn steps(&mut self, scenario: &Value) -> Result<(), String> {
        if !scenario["bucket"].is_null() {
            let (config, handle) = (scenario["bucket"].to_string(), handle(scenario).map_err(|e| e.to_string())?);
            let opened = self.make(&config, &handle, OnDrift::Error).map_err(|error| error.to_string())?;
            let Outcome::Opened(opened) = opened else { return Err(format!("{opened:?} of a bucket")) };
            self.bucket = Some((opened.status.bucket, opened.bucket));
        }
        for (at, step) in scenario["steps"].as_array().into_iter().flatten().enumerate() {
            self.step(step).map_err(|why| format!("step {}: {why}; the step: {step}", at + 1))?;
        }
        Ok(())
    }

    fn tidy_up(&mut self) -> Result<(), Error> {
        for (_, watch) in std::mem::take(&mut self.watches) {
            self.stage.call(|client, now| client.watch_stop(watch, now));
        }
        let Outcome::Names(names) = self.stage.run(|client, now| client.bucket_names(None, now))? else {
            return Ok(());
        };
        for name in names {
            self.stage.run(|client, now| client.delete_bucket(&name, None, now))?;
        }
        self.stage.run(|client, now| client.flush(None, now)).map(|_| ())
    }

    fn step(&mut self, step: &Value) -> Result<(), String> {
        if let Some(operation) = step.get("do") {
            let operation = &spelled_out(operation);
            let result = self.act(operation);
            return match (result, step.get("error")) {
                (Err(error), Some(expected)) => is_expected(&error, expected),
                (Ok(reply), Some(_)) => Err(format!("no error, but {reply}")),
                (Err(error), None) => Err(format!("failed: {} {error}", error.code.name())),
                (Ok(reply), None) => expect(&reply, &step["expect"]),
            };
        }
        if let Some(name) = step["watch"].as_str() {
            return match (self.watch(step), step.get("error")) {
                (Err(error), Some(expected)) => is_expected(&error, expected),
                (Ok(_), Some(_)) => Err("no error".into()),
                (Err(error), None) => Err(format!("failed: {error}")),
                (Ok(watch), None) => {
                    self.watches.insert(name.to_owned(), watch);
                    Ok(())
                }
            };
        }
        if let Some(name) = step["next"].as_str() {
            return self.next(name, step);
        }
        let name = step["stop"].as_str().ok_or("unknown step")?;
        let watch = self.watches.remove(name).ok_or("no such watch")?;
        self.stage.call(|client, now| client.watch_stop(watch, now));
        match self.stage.call(|client, now| client.watch_next(watch, now)) {
            None => Ok(()),
            Some(item) => Err(format!("{item:?} of a watch that was stopped")),
        }
    }

    fn next(&mut self, name: &str, step: &Value) -> Result<(), String> {
        let watch = *self.watches.get(name).ok_or("no such watch")?;
        let expected = &step["expect"];
        let is_nothing = expected == "NOTHING";
        let patience = if is_nothing { Duration::from_millis(200) } else { PATIENCE };
        match self.stage.next(watch, patience) {
            None if is_nothing => Ok(()),
            None => Err("nothing comes".into()),
            Some(WatchItem::CaughtUp) if expected == "CAUGHT_UP" => {
                if self.caught_up.insert(name.to_owned()) {
                    Ok(())
                } else {
                    Err("caught up twice".into())
                }
            }
            Some(WatchItem::Entry(entry)) if expected.is_object() => expect(&described(&entry), expected),
            Some(WatchItem::Ended(error)) if step.get("error").is_some() => is_expected(&error, &step["error"]),
            Some(item) => Err(format!("got {item:?}")),
        }
    }

    fn watch(&mut self, step: &Value) -> Result<WatchId, Error> {
        let (bucket, filters, options) =
            (self.bucket_of(step)?, texts(&step["filters"]), watch_options(&step["options"]));
        let watch = self.stage.call(|client, now| client.watch(bucket, &strs(&filters), options, now))?;
        self.stage.opened(watch).map(|()| watch)
    }

    /// A bucket, also where its creation meets the server's tidying: nats-server 2.15.1 removes the folder above the last deleted
    /// stream a moment after it said so, and refuses with 10049 meanwhile.
    fn make(&mut self, config: &str, handle: &HandleOptions, on_drift: OnDrift) -> Result<Outcome, Error> {
        let config = BucketConfig::from_json(config)?;
        for _ in 0..20 {
            let made = self
                .stage
                .run(|client, now| client.create_bucket(&config, handle, Compare::Given, on_drift, None, now));
            match made {
                Err(error) if error.api_code == 10049 => {
                    self.stage.run(|client, now| client.flush(None, now))?;
                }
                other => return other,
            }
        }
        self.stage.run(|client, now| client.create_bucket(&config, handle, Compare::Given, on_drift, None, now))
    }

    /// The bucket that a step is about.
    fn bucket_of(&mut self, step: &Value) -> Result<BucketId, Error> {
        let own = self.bucket.as_ref();
        if let (None, None, Some((_, bucket))) = (step.get("bucket"), step.get("handle"), own) {
            return Ok(*bucket);
        }
        let name =
            step["bucket"].as_str().or_else(|| own.map(|(name, _)| name.as_str())).unwrap_or_default().to_owned();
        let handle = handle(step)?;
        match self.stage.run(|client, now| client.open(&name, &handle, None, now))? {
            Outcome::Opened(opened) => Ok(opened.bucket),
            other => panic!("{other:?} of open"),
        }
    }

    fn act(&mut self, op: &Value) -> Result<Value, Error> {
        let kind = op["operation"].as_str().unwrap_or_default();
        let outcome = match kind {
            "CREATE_BUCKET" => {
                let on_drift = match op["on_drift"].as_str() {
                    Some("ignore") => OnDrift::Ignore,
                    Some("update") => OnDrift::Update,
                    _ => OnDrift::Error,
                };
                self.make(&op["config"].to_string(), &handle(op)?, on_drift)?
            }
            "UPDATE_BUCKET" | "CREATE_OR_UPDATE_BUCKET" => {
                let (config, handle) = (BucketConfig::from_json(&op["config"].to_string())?, handle(op)?);
                self.stage.run(|client, now| {
                    if kind == "UPDATE_BUCKET" {
                        return client.update_bucket(&config, &handle, None, now);
                    }
                    client.create_or_update_bucket(&config, &handle, None, now)
                })?
            }
            "DELETE_BUCKET" => self.stage.run(|client, now| client.delete_bucket(text(op, "bucket"), None, now))?,
            "OPEN_BUCKET" => {
                let handle = handle(op)?;
                self.stage.run(|client, now| client.open(text(op, "bucket"), &handle, None, now))?
            }
            "BUCKETS" => self.stage.run(|client, now| client.bucket_names(None, now))?,
            _ => self.verb(kind, op)?,
        };
        let keys = items(op).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        let form = match kind {
            "HISTORY" if op["include_deleted"] != true => Form::Values,
            "LIST" => Form::List("keys"),
            "BUCKETS" => Form::List("buckets"),
            "PUT_MANY" => Form::Results(&keys),
            _ => Form::Plain,
        };
        Ok(self.stage.call(|client, _| reply(client, &form, outcome)))
    }

    fn verb(&mut self, kind: &str, op: &Value) -> Result<Outcome, Error> {
        let b = self.bucket_of(op)?;
        let (key, ttl, revision) = (text(op, "key"), nanos(&op["ttl"]), op["revision"].as_u64());
        let filters = [texts(&op["filters"]), texts(&op["filter"])].concat();
        let value = || value(op);
        if kind == "WATCH" {
            return self.picture(b, &filters, watch_options(&op["options"]));
        }
        self.stage.run(|c, now| match (kind, revision) {
            ("PUT", None) => c.put(b, key, &value(), ttl, None, now),
            ("PUT" | "UPDATE", revision) => c.update(b, key, &value(), revision.unwrap_or_default(), ttl, None, now),
            ("CREATE", _) => c.create(b, key, &value(), ttl, None, now),
            ("TOUCH", _) => c.touch(b, key, ttl.unwrap_or_default(), None, now),
            ("GET", revision) => c.get(b, key, revision, None, now),
            ("ENTRY", _) => c.entry(b, key, None, now),
            ("DELETE", revision) => c.delete(b, key, revision, None, now),
            ("PURGE", revision) => c.purge(b, key, revision, ttl, None, now),
            ("HISTORY", _) => c.history(b, key, None, now),
            ("LIST", _) => c.keys(b, &strs(&filters), None, now),
            ("ENTRIES", _) => c.entries(b, &strs(&filters), None, now),
            ("COUNT", _) => c.count(b, &strs(&filters), None, now),
            ("GET_MANY", _) => c.get_many(b, &strs(&texts(&op["keys"])), None, now),
            ("PUT_MANY", _) => {
                let items = items(op);
                let items: Vec<(&str, &[u8])> = items.iter().map(|(key, value)| (key.as_str(), &value[..])).collect();
                c.put_many(b, &items, None, now)
            }
            ("CLEAR", _) => c.clear(b, text(op, "prefix"), None, now),
            ("PURGE_DELETES", _) => c.purge_deletes(b, nanos(&op["older_than"]).unwrap_or_default(), None, now),
            ("STATUS", _) => c.status(b, None, now),
            (other, _) => panic!("operation {other:?} is unknown"),
        })
    }

    /// What a watch gives until it is caught up.
    fn picture(&mut self, bucket: BucketId, filters: &[String], options: WatchOptions) -> Result<Outcome, Error> {
        let watch = self.stage.call(|client, now| client.watch(bucket, &strs(filters), options, now))?;
        self.stage.opened(watch)?;
        let mut entries = Vec::new();
        loop {
            match self.stage.next(watch, PATIENCE) {
                Some(WatchItem::Entry(entry)) => entries.push(entry),
                Some(WatchItem::CaughtUp) => break,
                Some(WatchItem::Ended(error)) => return Err(error),
                Some(WatchItem::Reset) => return Err(Error::new(ErrorCode::Internal, "a reset")),
                None => return Err(Error::new(ErrorCode::Timeout, "nothing comes")),
            }
        }
        self.stage.call(|client, now| client.watch_stop(watch, now));
        Ok(Outcome::Entries(entries))
    }
}

fn expect(reply: &Value, expected: &Value) -> Result<(), String> {
    if expected.is_null() {
        return Ok(());
    }
    let mut expected = expected.clone();
    if let Some(many) = expected.as_object_mut().and_then(|expected| expected.remove("many")) {
        let entries = keys_and_values(&many).into_iter().map(|(key, text)| json!({ "key": key, "value_text": text }));
        expected["entries"] = entries.collect();
    }
    if contains(reply, &expected) { Ok(()) } else { Err(format!("got {reply}")) }
}

/// An operation with what it says of many keys in full.
fn spelled_out(operation: &Value) -> Value {
    let mut operation = operation.clone();
    let Some(many) = operation.as_object_mut().and_then(|operation| operation.remove("many")) else { return operation };
    let pairs = keys_and_values(&many);
    match operation["operation"].as_str() {
        Some("PUT_MANY") => operation["values_text"] = pairs.into_iter().map(|(k, v)| (k, Value::from(v))).collect(),
        Some("GET_MANY") => operation["keys"] = pairs.into_iter().map(|(key, _)| key).collect(),
        _ => operation["filters"] = pairs.into_iter().map(|(key, _)| key).collect(),
    }
    operation
}

fn keys_and_values(many: &Value) -> Vec<(String, String)> {
    let (key, from, to) = (text(many, "key"), many["from"].as_u64(), many["to"].as_u64());
    let range = from.unwrap_or_default()..to.unwrap_or_default();
    range.map(|number| (key.replace('#', &number.to_string()), number.to_string())).collect()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// One text, or a list of them.
fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().into_iter().flatten().chain(value.is_string().then_some(value));
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn strs(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

fn nanos(value: &Value) -> Option<Duration> {
    value.as_u64().map(Duration::from_nanos)
}

fn value(op: &Value) -> Vec<u8> {
    match (op["value_text"].as_str(), op["value_size"].as_u64()) {
        (Some(text), _) => text.into(),
        (None, Some(size)) => vec![b'x'; size as usize],
        (None, None) => STANDARD.decode(text(op, "value")).expect("base64"),
    }
}

/// put_many's keys and values.
fn items(op: &Value) -> Vec<(String, Vec<u8>)> {
    let pairs = |name: &str| op[name].as_object().into_iter().flatten().collect::<Vec<_>>();
    let of_text = |(key, value): (&String, &Value)| (key.clone(), Vec::from(value.as_str().unwrap_or_default()));
    let of_base64 = |(key, value): (&String, &Value)| {
        (key.clone(), STANDARD.decode(value.as_str().unwrap_or_default()).expect("base64"))
    };
    let values = pairs("values").into_iter().map(of_base64);
    values.chain(pairs("values_text").into_iter().map(of_text)).collect()
}

fn handle(step: &Value) -> Result<HandleOptions, Error> {
    let is = |name: &str| step["handle"][name].as_bool().unwrap_or_default();
    Ok(HandleOptions {
        keys: step["handle"]["keys"].as_str().map(KeyPolicy::parse).transpose()?,
        leader_reads: is("leader_reads"),
        read_only: is("read_only"),
        reserved_keys: is("reserved_keys"),
    })
}

fn watch_options(options: &Value) -> WatchOptions {
    let is = |name: &str| options[name].as_bool().unwrap_or_default();
    WatchOptions {
        include_history: is("include_history"),
        ignore_deletes: is("ignore_deletes"),
        meta_only: is("meta_only"),
        updates_only: is("updates_only"),
        resume_from_revision: options["resume_from_revision"].as_u64(),
        timeout: None,
    }
}
