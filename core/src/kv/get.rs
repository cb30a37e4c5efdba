//! get, entry, get at a revision.
//!
//! The usual way is a direct get by subject, which any replica answers: one request, one message. Where the bucket does not allow
//! it, the stream's leader is asked (STREAM.MSG.GET); a bucket opened without asking finds that out by a 503.

use alloc::{
    format,
    string::{String, ToString},
};

use serde_json::json;

use crate::{
    error::{Error, ErrorCode},
    event::Outcome,
    js::{
        api::{self, ApiFailure},
        direct::{DirectMeta, StoredMessage},
        status::{Context, Meaning, meaning},
    },
    kv::{
        bucket::Bucket,
        entry::Entry,
        missing::{self, Tries},
        op::{Cx, Progress},
    },
    mux::{Answer, Ask, Owner},
    proto::headers::Headers,
};

/// Longer keys go into the payload: the subject names them after 60 bytes of its own, and a line has 4096.
const MAX_KEY_IN_SUBJECT: usize = 1500;

#[derive(Debug)]
pub(crate) struct Get {
    bucket: usize,
    /// None: the key is the end of the request's subject.
    key: Option<String>,
    revision: Option<u64>,
    /// Markers count as found.
    takes_markers: bool,
    step: Step,
    tries: Tries,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Direct,
    Leader,
    Checking,
}

impl Get {
    /// Which bucket it is about.
    pub(crate) fn bucket(&self) -> usize {
        self.bucket
    }

    pub(crate) fn start(
        cx: &mut Cx<'_>,
        bucket: usize,
        key: &str,
        revision: Option<u64>,
        takes_markers: bool,
    ) -> Result<Self, Error> {
        let mut get = Self { bucket, key: None, revision, takes_markers, step: Step::Direct, tries: Tries::default() };
        let opened = &cx.buckets[bucket];
        if opened.allows_direct && revision.is_none() && key.len() <= MAX_KEY_IN_SUBJECT {
            let ask = Ask::default();
            cx.slots.current = cx.net.request(Owner::Op(cx.op), &opened.get_subject(key), ask)?;
            return Ok(get);
        }
        get.key = Some(key.into());
        get.ask(cx)?;
        Ok(get)
    }

    /// Asks with the key, or the revision, in the payload.
    fn ask(&mut self, cx: &mut Cx<'_>) -> Result<(), Error> {
        let Bucket { api_prefix, stream, read_prefix, allows_direct, .. } = cx.buckets[self.bucket].clone();
        let key = self.key.as_deref().unwrap_or_default();
        let body = match self.revision {
            Some(revision) => json!({"seq": revision}),
            None => json!({"last_by_subj": format!("{read_prefix}{key}")}),
        };
        self.step = if allows_direct { Step::Direct } else { Step::Leader };
        let endpoint = if allows_direct { ".DIRECT.GET." } else { ".STREAM.MSG.GET." };
        cx.query(&api_prefix, endpoint, &stream, body.to_string().as_bytes())
    }

    pub(crate) fn on_answer(&mut self, cx: &mut Cx<'_>, request: u64, answer: &Answer<'_>) -> Progress {
        match (self.step, answer) {
            (Step::Direct | Step::Leader, Answer::Failed(error)) => error.clone().into(),
            (Step::Direct, Answer::Reply { headers, payload }) => match headers.status() {
                None => self.finish(cx, request, headers, payload),
                Some(status) => match meaning(status, headers.description(), false, Context::DirectGet) {
                    Meaning::NotFound => self.not_found(cx, request).into(),
                    Meaning::NotSupported => {
                        let text = format!("direct get: {status} {}", String::from_utf8_lossy(headers.description()));
                        Error::new(ErrorCode::Unsupported, text).into()
                    }
                    _ => self.retry(cx, request, true),
                },
            },
            (Step::Leader, Answer::NoResponders) => self.retry(cx, request, false),
            (Step::Direct, Answer::NoResponders) => {
                self.remember_key(cx, request);
                self.step = Step::Checking;
                missing::ask(cx, self.bucket).map_or_else(Progress::from, |()| Progress::Pending)
            }
            (Step::Leader, Answer::Reply { payload, .. }) => self.on_leader(cx, request, payload),
            (Step::Checking, answer) => match missing::judge(cx, self.bucket, answer) {
                Err(error) => error.into(),
                Ok(is_there) if is_there && !cx.buckets[self.bucket].allows_direct => {
                    self.ask(cx).map_or_else(Progress::from, |()| Progress::Pending)
                }
                Ok(is_there) => self.retry(cx, request, is_there),
            },
        }
    }

    pub(crate) fn on_retry(&mut self, cx: &mut Cx<'_>) -> Progress {
        self.ask(cx).map_or_else(Progress::from, |()| Progress::Pending)
    }

    fn retry(&mut self, cx: &Cx<'_>, request: u64, is_there: bool) -> Progress {
        self.remember_key(cx, request);
        let error = || missing::no_responders(cx.net.subject(request), is_there);
        self.tries.again(error).map_or_else(Progress::from, Progress::Later)
    }

    /// The request goes; the key it named is needed on.
    fn remember_key(&mut self, cx: &Cx<'_>, request: u64) {
        if self.key.is_none() {
            self.key = Some(self.key(cx, request).to_string());
        }
    }

    fn key<'a>(&'a self, cx: &'a Cx<'_>, request: u64) -> &'a str {
        match &self.key {
            Some(key) => key,
            None => {
                let prefix = cx.buckets[self.bucket].get_subject("").iter().map(|part| part.len()).sum::<usize>();
                cx.net.subject(request).get(prefix..).unwrap_or_default()
            }
        }
    }

    fn finish(&self, cx: &Cx<'_>, request: u64, headers: &Headers<'_>, payload: &[u8]) -> Progress {
        let Some(meta) = DirectMeta::of(headers) else {
            return Error::protocol("the answer to a direct get has no metadata").into();
        };
        let key = cx.buckets[self.bucket].key_of(meta.subject);
        if key != self.key(cx, request).as_bytes() {
            // A revision of another key. Anything else would be somebody else's answer.
            return self.not_found(cx, request).into();
        }
        let entry = Entry::new(key, &meta.stored, payload, meta.sequence, meta.created_ns, 0);
        self.found(cx, request, entry)
    }

    fn on_leader(&mut self, cx: &Cx<'_>, request: u64, payload: &[u8]) -> Progress {
        let fields = match api::answer(payload) {
            Ok(fields) => fields,
            Err(ApiFailure::Refused(error)) if error.err_code == 10037 => return self.not_found(cx, request).into(),
            Err(ApiFailure::Refused(error)) if error.is_retryable() => return self.retry(cx, request, true),
            Err(failure) => return failure.to_error().into(),
        };
        let Some(stored) = StoredMessage::of(&fields) else {
            return Error::protocol("the answer of STREAM.MSG.GET has no message").into();
        };
        let key = cx.buckets[self.bucket].key_of(stored.subject.as_bytes());
        if key != self.key(cx, request).as_bytes() {
            return self.not_found(cx, request).into();
        }
        let headers = Headers::parse(&stored.headers);
        let entry = Entry::new(key, &headers, &stored.payload, stored.sequence, stored.created_ns, 0);
        self.found(cx, request, entry)
    }

    fn found(&self, cx: &Cx<'_>, request: u64, entry: Entry) -> Progress {
        if entry.is_marker() && !self.takes_markers {
            return self.not_found(cx, request).into();
        }
        Progress::Done(Ok(Outcome::Entry(entry)))
    }

    fn not_found(&self, cx: &Cx<'_>, request: u64) -> Error {
        not_found(self.key(cx, request), self.revision)
    }
}

/// The key has no live value (at that revision).
pub(crate) fn not_found(key: &str, revision: Option<u64>) -> Error {
    let text = match revision {
        Some(revision) => format!("key not found: {key:?} at revision {revision}"),
        None => format!("key not found: {key:?}"),
    };
    Error::new(ErrorCode::KeyNotFound, text)
}
