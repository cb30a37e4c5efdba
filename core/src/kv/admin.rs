//! Buckets as a whole: open, create, update, delete, names, list, status.

use alloc::{
    boxed::Box,
    format,
    string::{String, ToString},
    vec::Vec,
};

use crate::{
    error::{Error, ErrorCode},
    event::{BucketId, Compare, OnDrift, Opened, Outcome},
    js::api::{self, ApiError, ApiFailure},
    json::{Object, Value, object},
    kv::{
        bucket::{Bucket, HandleOptions},
        config::{self, BucketConfig, BucketStatus},
        missing::Tries,
        op::{Cx, Progress},
    },
    mux::Answer,
    shown::Quoted,
    sorted::sort,
};

/// What is asked for, and what it needs.
#[derive(Debug)]
pub(crate) enum Task {
    Open { handle: HandleOptions },
    Status { handle: HandleOptions },
    Create { config: BucketConfig, handle: HandleOptions, compare: Compare, on_drift: OnDrift },
    Update { config: BucketConfig, handle: HandleOptions, creates: bool },
    Delete,
    Names { found: Vec<String> },
    List { found: Vec<BucketStatus> },
}

#[derive(Debug)]
pub(crate) struct Admin {
    task: Task,
    bucket: String,
    step: Step,
    tries: Tries,
    /// In what an existing bucket differs from what was asked for.
    drift: Vec<String>,
    /// Of paged lists: how many were received.
    offset: u64,
}

/// The request in flight.
#[derive(Debug)]
enum Step {
    /// `INFO`: does the server know limit markers?
    Level,
    /// `STREAM.INFO`
    Info,
    /// `STREAM.CREATE`
    Create,
    /// `STREAM.INFO`, since a bucket with another configuration exists: which fields differ?
    Compare,
    /// `STREAM.UPDATE` with this configuration.
    Update(Object),
    /// `STREAM.DELETE`
    Delete,
    /// `STREAM.NAMES`, `STREAM.LIST`
    Page,
}

impl Admin {
    pub(crate) fn start(cx: &mut Cx<'_>, bucket: &str, task: Task) -> Result<Self, Error> {
        let step = match &task {
            Task::Open { .. } | Task::Status { .. } | Task::Update { .. } => Step::Info,
            Task::Create { config, .. } if has_limit_markers(config) => Step::Level,
            Task::Create { .. } => Step::Create,
            Task::Delete => Step::Delete,
            Task::Names { .. } | Task::List { .. } => Step::Page,
        };
        let admin = Self { task, bucket: bucket.into(), step, tries: Tries::default(), drift: Vec::new(), offset: 0 };
        admin.send(cx)?;
        Ok(admin)
    }

    fn send(&self, cx: &mut Cx<'_>) -> Result<(), Error> {
        let api = cx.net.api_prefix.clone();
        let stream = format!("KV_{}", self.bucket);
        let body = |fields: Object| fields.to_string();
        match &self.step {
            Step::Level => cx.query(&api, ".INFO", "", &[]),
            Step::Info | Step::Compare => cx.query(&api, ".STREAM.INFO.", &stream, &[]),
            Step::Create => {
                let (Task::Create { config, .. } | Task::Update { config, .. }) = &self.task else { return Ok(()) };
                cx.change(&api, ".STREAM.CREATE.", &stream, body(config.to_stream()).as_bytes())
            }
            Step::Update(config) => cx.change(&api, ".STREAM.UPDATE.", &stream, body(config.clone()).as_bytes()),
            Step::Delete => cx.change(&api, ".STREAM.DELETE.", &stream, &[]),
            Step::Page => {
                let endpoint = if matches!(self.task, Task::List { .. }) { ".STREAM.LIST" } else { ".STREAM.NAMES" };
                // No subject filter: mirrors have no subjects and would be left out.
                cx.query(&api, endpoint, "", body(object! { "offset" => self.offset }).as_bytes())
            }
        }
    }

    fn go(&mut self, cx: &mut Cx<'_>, step: Step) -> Progress {
        self.step = step;
        self.send(cx).into()
    }

    pub(crate) fn on_retry(&self, cx: &mut Cx<'_>) -> Progress {
        self.send(cx).into()
    }

    pub(crate) fn on_answer(&mut self, cx: &mut Cx<'_>, answer: &Answer<'_>) -> Progress {
        let fields = match answer {
            Answer::Failed(error) => return error.clone().into(),
            Answer::NoResponders => {
                let text = format!(
                    "no responders on {}.>: JetStream is not enabled here, or has no leader",
                    cx.net.api_prefix
                );
                return self
                    .tries
                    .again(|| Error::new(ErrorCode::NoResponders, text))
                    .map_or_else(Progress::from, Progress::Later);
            }
            Answer::Reply { payload, .. } => match api::answer(payload) {
                Ok(fields) => fields,
                Err(ApiFailure::Refused(error)) => return self.on_refused(cx, &error),
                Err(ApiFailure::Malformed(error)) => return error.into(),
            },
        };
        match self.step {
            Step::Level => {
                let level =
                    fields.get("api").and_then(|api| api.get("level")).and_then(Value::as_u64).unwrap_or_default();
                if level < 1 { limit_markers_unsupported().into() } else { self.go(cx, Step::Create) }
            }
            Step::Info => self.on_info(cx, &fields),
            Step::Create | Step::Update(_) => self.opened(cx, &fields),
            Step::Compare => self.on_existing(cx, &fields),
            Step::Delete => Progress::Done(Ok(Outcome::Unit)),
            Step::Page => self.on_page(cx, &fields),
        }
    }

    fn on_refused(&mut self, cx: &mut Cx<'_>, error: &ApiError) -> Progress {
        // A server that is still removing a deleted stream's folder cannot make one of the same name (seen on 2.15.1).
        let is_folder_busy = error.err_code == 10049 && matches!(self.step, Step::Create);
        if error.is_retryable() || is_folder_busy {
            return self.tries.again(|| error.to_error()).map_or_else(Progress::from, Progress::Later);
        }
        match (&self.step, error.err_code, &self.task) {
            (Step::Info, 10059, Task::Update { creates: true, .. }) => self.go(cx, Step::Create),
            (Step::Create, 10058, Task::Create { .. }) => self.go(cx, Step::Compare),
            (_, 10059, _) => {
                let text = format!("bucket not found: {}: {} (10059)", Quoted(&self.bucket), error.description);
                error.to_error().saying(text).into()
            }
            _ => {
                let own = error.to_error();
                own.about(format_args!("bucket {}", Quoted(&self.bucket))).into()
            }
        }
    }

    fn on_info(&mut self, cx: &mut Cx<'_>, info: &Object) -> Progress {
        match &self.task {
            Task::Status { handle } => match Bucket::opened(&self.bucket, &cx.net.api_prefix, *handle, info) {
                Ok(bucket) => Progress::Done(Ok(Outcome::Status(Box::new(BucketStatus::of_info(&bucket, info))))),
                Err(error) => error.into(),
            },
            Task::Update { config, handle, .. } => {
                let Some(existing) = info.get("config").and_then(Value::as_object) else {
                    return Error::protocol("STREAM.INFO has no config").into();
                };
                if let Err(error) = Bucket::opened(&self.bucket, &cx.net.api_prefix, *handle, info) {
                    return error.into(); // a stream that is no bucket stays as it is
                }
                let stream = updated(existing, config);
                self.go(cx, Step::Update(stream))
            }
            _ => self.opened(cx, info),
        }
    }

    fn on_existing(&mut self, cx: &mut Cx<'_>, info: &Object) -> Progress {
        let Task::Create { config, compare, on_drift, .. } = &self.task else { return self.opened(cx, info) };
        let existing = info.get("config").and_then(Value::as_object).cloned().unwrap_or_default();
        let differences = config.differences(&existing, *compare == Compare::Given);
        if !differences.is_empty() && *on_drift == OnDrift::Error {
            let text = format!(
                "bucket {} exists with a different configuration: {}",
                Quoted(&self.bucket),
                differences.join(", ")
            );
            return Error::new(ErrorCode::BucketExists, text).into();
        }
        if !differences.is_empty() && *on_drift == OnDrift::Update {
            let stream = updated(&existing, config);
            self.drift = differences;
            return self.go(cx, Step::Update(stream));
        }
        self.drift = differences;
        self.opened(cx, info)
    }

    fn opened(&mut self, cx: &mut Cx<'_>, info: &Object) -> Progress {
        let (config, handle) = match &self.task {
            Task::Create { config, handle, .. } | Task::Update { config, handle, .. } => (Some(config), *handle),
            Task::Open { handle } => (None, *handle),
            Task::Status { .. } | Task::Delete | Task::Names { .. } | Task::List { .. } => {
                (None, HandleOptions::default())
            }
        };
        let bucket = match Bucket::opened(&self.bucket, &cx.net.api_prefix, handle, info) {
            Ok(bucket) => bucket,
            Err(error) => return error.into(),
        };
        if config.is_some_and(has_limit_markers)
            && !matches!(self.step, Step::Compare)
            && bucket.allows_ttl != Some(true)
        {
            return limit_markers_unsupported().into(); // 2.10 drops the field without a word
        }
        let status = BucketStatus::of_info(&bucket, info);
        let is_same =
            |known: &Bucket| known.name == bucket.name && known.options == bucket.options && known.keys == bucket.keys;
        let index = cx.buckets.iter().position(is_same).unwrap_or(cx.buckets.len());
        match cx.buckets.get_mut(index) {
            // The handles of earlier opens see the same bucket.
            Some(known) => *known = bucket.succeeding(known, info),
            None => cx.buckets.push(bucket),
        }
        let drift = core::mem::take(&mut self.drift);
        let opened = Opened { bucket: BucketId(index as u32), status, drift };
        Progress::Done(Ok(Outcome::Opened(Box::new(opened))))
    }

    fn on_page(&mut self, cx: &mut Cx<'_>, fields: &Object) -> Progress {
        let page = fields.get("streams").and_then(Value::as_array).unwrap_or_default();
        let total = fields.get("total").and_then(Value::as_u64).unwrap_or_default();
        self.offset += page.len() as u64;
        match &mut self.task {
            Task::List { found } => found.extend(page.iter().filter_map(|stream| {
                let info = stream.as_object()?;
                let name = info.get("config")?.get("name")?.as_str()?.strip_prefix("KV_")?;
                let bucket = Bucket::bound(name, &cx.net.api_prefix, HandleOptions::default());
                Some(BucketStatus::of_info(&bucket, info))
            })),
            Task::Names { found } => {
                found.extend(page.iter().filter_map(|name| Some(name.as_str()?.strip_prefix("KV_")?.to_string())));
            }
            _ => {}
        }
        if !page.is_empty() && self.offset < total {
            return self.go(cx, Step::Page);
        }
        Progress::Done(Ok(match &mut self.task {
            // A page may repeat what the one before had, when buckets were made in between.
            Task::List { found } => {
                sort(found, |a, b| a.bucket.cmp(&b.bucket));
                found.dedup_by(|a, b| a.bucket == b.bucket);
                Outcome::Statuses(core::mem::take(found))
            }
            Task::Names { found } => {
                sort(found, Ord::cmp);
                found.dedup();
                Outcome::Names(core::mem::take(found))
            }
            _ => Outcome::Unit,
        }))
    }
}

/// An existing stream's configuration with the fields that are given.
fn updated(existing: &Object, config: &BucketConfig) -> Object {
    let mut stream = config::for_update(existing);
    config.apply(&mut stream);
    stream
}

fn has_limit_markers(config: &BucketConfig) -> bool {
    config.limit_marker_ttl.is_some_and(|ttl| !ttl.is_zero())
}

fn limit_markers_unsupported() -> Error {
    Error::new(ErrorCode::Unsupported, "limit_marker_ttl: the server does not know it; 2.11 or later does")
}
