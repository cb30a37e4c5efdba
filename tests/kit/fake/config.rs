//! A stream's configuration as servers take it: which fields they know, what they put where nothing is given, and what they refuse.

use serde_json::{Map, Value, json};

use super::connection::overlap;

/// An `error` object of the JetStream API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    code: u16,
    err_code: u32,
    description: String,
}

impl Refusal {
    pub(super) fn new(code: u16, err_code: u32, description: impl Into<String>) -> Self {
        Self { code, err_code, description: description.into() }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({"code": self.code, "err_code": self.err_code, "description": self.description})
    }

    fn invalid(description: impl Into<String>) -> Self {
        Self::new(500, 10052, description)
    }
}

/// What a field is where nobody gave it.
const DEFAULTS: &str = r#"{
    "retention": "limits", "max_consumers": -1, "max_msgs": -1, "max_bytes": -1, "max_age": 0, "max_msgs_per_subject": -1,
    "max_msg_size": -1, "discard": "old", "storage": "file", "num_replicas": 1, "duplicate_window": 120000000000,
    "compression": "none", "allow_direct": false, "mirror_direct": false, "sealed": false, "deny_delete": false, "deny_purge": false,
    "allow_rollup_hdrs": false, "consumer_limits": {}
}"#;

/// Fields without a default that every server knows; then those of API levels 1 and up.
const OPTIONAL: [&str; 11] = [
    "name",
    "description",
    "subjects",
    "no_ack",
    "placement",
    "mirror",
    "sources",
    "first_seq",
    "republish",
    "metadata",
    "discard_new_per_subject",
];
const OF_LEVEL_1: [&str; 2] = ["allow_msg_ttl", "subject_delete_marker_ttl"];
const OF_LEVEL_2: [&str; 4] = ["allow_msg_counter", "allow_atomic", "allow_msg_schedules", "persist_mode"];

/// A stream that is mirrored or sourced from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Upstream {
    pub(super) stream: String,
    pub(super) filter: Option<String>,
    /// `src` and `dest` of the transforms.
    pub(super) transforms: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
pub struct Config {
    /// All fields, as they are told.
    pub(super) fields: Map<String, Value>,
    pub(super) subjects: Vec<String>,
    pub history: u64,
    pub(super) max_bytes: u64,
    pub(super) max_message: u64,
    pub max_age: u64,
    pub(super) allows_direct: bool,
    pub(super) allows_rollup: bool,
    pub allows_ttl: bool,
    pub marker_ttl: u64,
    pub(super) is_sealed: bool,
    pub(super) denies_purge: bool,
    pub(super) duplicate_window: u64,
    pub(super) replicas: usize,
    pub mirror: Option<String>,
    pub(super) sources: Vec<Upstream>,
}

impl Config {
    /// Reads a request's configuration on a server of this API level.
    pub(super) fn read(request: &Map<String, Value>, level: u64, nodes: usize) -> Result<Self, Refusal> {
        let Ok(Value::Object(mut fields)) = serde_json::from_str(DEFAULTS) else {
            unreachable!("the defaults are JSON")
        };
        for (name, value) in request {
            let is_known = fields.contains_key(name)
                || OPTIONAL.contains(&name.as_str())
                || (level >= 1 && OF_LEVEL_1.contains(&name.as_str()))
                || (level >= 2 && OF_LEVEL_2.contains(&name.as_str()));
            if !is_known && level >= 2 {
                return Err(Refusal::new(400, 10025, format!("invalid JSON: json: unknown field {name:?}")));
            }
            if is_known && !value.is_null() {
                fields.insert(name.clone(), value.clone());
            }
        }
        for name in ["max_consumers", "max_msgs", "max_bytes", "max_msgs_per_subject", "max_msg_size"] {
            if fields[name] == 0 {
                fields[name] = json!(-1);
            }
        }
        if fields["num_replicas"] == 0 {
            fields["num_replicas"] = json!(1);
        }
        let max_age = number(&fields, "max_age");
        if request.get("duplicate_window").is_none_or(|window| *window == 0) {
            let window = if max_age > 0 { max_age.min(120_000_000_000) } else { 120_000_000_000 };
            fields.insert("duplicate_window".into(), json!(window));
        }
        if level >= 1 {
            let metadata = fields.entry("metadata").or_insert_with(|| json!({}));
            let wants = if truth(request, "allow_msg_ttl") { "1" } else { "0" };
            for (name, value) in [("level", level.to_string().as_str()), ("ver", "2.15.1"), ("req.level", wants)] {
                metadata[format!("_nats.{name}")] = value.into();
            }
        }
        let config = Self::of(fields);
        config.check(nodes)?;
        Ok(config)
    }

    fn of(fields: Map<String, Value>) -> Self {
        let texts = |name: &str| -> Vec<String> {
            let list = fields.get(name).and_then(Value::as_array);
            list.into_iter().flatten().filter_map(|text| text.as_str().map(String::from)).collect()
        };
        Self {
            subjects: texts("subjects"),
            history: number(&fields, "max_msgs_per_subject"),
            max_bytes: number(&fields, "max_bytes"),
            max_message: number(&fields, "max_msg_size"),
            max_age: number(&fields, "max_age"),
            allows_direct: truth(&fields, "allow_direct"),
            allows_rollup: truth(&fields, "allow_rollup_hdrs"),
            allows_ttl: truth(&fields, "allow_msg_ttl"),
            marker_ttl: number(&fields, "subject_delete_marker_ttl"),
            is_sealed: truth(&fields, "sealed"),
            denies_purge: truth(&fields, "deny_purge"),
            duplicate_window: number(&fields, "duplicate_window"),
            replicas: number(&fields, "num_replicas") as usize,
            mirror: fields.get("mirror").and_then(|mirror| mirror["name"].as_str()).map(String::from),
            sources: fields.get("sources").and_then(Value::as_array).into_iter().flatten().map(upstream).collect(),
            fields,
        }
    }

    fn check(&self, nodes: usize) -> Result<(), Refusal> {
        const LEAST: u64 = 100_000_000;
        if (1..LEAST).contains(&self.max_age) {
            return Err(Refusal::invalid("max age needs to be >= 100ms"));
        }
        if self.max_age > 0 && self.duplicate_window > self.max_age {
            return Err(Refusal::invalid("duplicates window can not be larger then max age"));
        }
        if (1..1_000_000_000).contains(&self.marker_ttl) {
            return Err(Refusal::invalid("subject delete marker TTL must be at least 1 second"));
        }
        if self.replicas > 1 && nodes < self.replicas {
            return Err(Refusal::new(500, 10074, "replicas > 1 not supported in non-clustered mode"));
        }
        Ok(())
    }

    /// Whether a request asks for what is there: the server's own metadata aside.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let plain = |config: &Self| {
            let mut fields = config.fields.clone();
            if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
                metadata.retain(|name, _| !name.starts_with("_nats."));
            }
            if fields.get("metadata").is_none_or(|metadata| *metadata == json!({})) {
                fields.remove("metadata");
            }
            fields
        };
        plain(self) == plain(other)
    }

    /// Why a stream of the configuration `self` cannot become `new`.
    pub(super) fn check_update(&self, new: &Self) -> Result<(), Refusal> {
        let is_undone = |name: &str| truth(&self.fields, name) && !truth(&new.fields, name);
        if self.fields["storage"] != new.fields["storage"] {
            return Err(Refusal::invalid("stream configuration update can not change storage type"));
        }
        if is_undone("deny_delete") || is_undone("deny_purge") {
            return Err(Refusal::invalid("stream configuration update can not cancel deny message deletes"));
        }
        if is_undone("allow_msg_ttl") {
            return Err(Refusal::invalid("message TTL status can not be disabled"));
        }
        if self.mirror != new.mirror {
            return Err(Refusal::new(400, 10055, "stream mirror configuration can not be updated"));
        }
        Ok(())
    }

    /// Whether another stream's subjects are in the way.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.subjects.iter().any(|own| other.subjects.iter().any(|theirs| overlap(own, theirs)))
    }
}

fn upstream(source: &Value) -> Upstream {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let transforms = source["subject_transforms"].as_array();
    Upstream {
        stream: text(&source["name"]),
        filter: source["filter_subject"].as_str().map(String::from),
        transforms: transforms.into_iter().flatten().map(|pair| (text(&pair["src"]), text(&pair["dest"]))).collect(),
    }
}

/// A number that counts as 0 where it is absent or negative.
fn number(fields: &Map<String, Value>, name: &str) -> u64 {
    fields.get(name).and_then(Value::as_u64).unwrap_or_default()
}

fn truth(fields: &Map<String, Value>, name: &str) -> bool {
    fields.get(name).and_then(Value::as_bool).unwrap_or_default()
}
