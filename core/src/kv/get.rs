//! get, entry, get at a revision.
//!
//! The usual way is a direct get by subject, which any replica answers: one request, one message. Where the bucket does not allow
//! it, the stream's leader is asked (STREAM.MSG.GET); a bucket opened without asking finds that out by a 503.

use alloc::{
    format,
    string::{String, ToString},
};

use crate::{
    error::{Error, ErrorCode},
    event::Outcome,
    js::{
        api::{self, ApiFailure},
        direct::{DirectMeta, StoredMessage},
        status::{Context, Meaning, meaning},
    },
    json::object,
    kv::{
        entry::Entry,
        missing::{self, Tries},
        op::{Cx, Progress},
    },
    mux::{Answer, Ask, Owner},
    proto::headers::Headers,
    shown::Quoted,
};

/// Longer keys go into the payload: the subject names them after 60 bytes of its own, and a line has 4096.
const MAX_KEY_IN_SUBJECT: usize = 1500;

#[derive(Debug)]
pub(crate) struct Get {
    bucket: usize,
    /// None: the key is the end of the request's subject.
    key: Option<String>,
    wants: Wants,
    /// The leader is asked since a replica knew less than this client does.
    is_guarding: bool,
    /// What this client knew when the leader was asked: what it learned since is newer than the answer may be.
    known: u64,
    step: Step,
    tries: Tries,
}

/// How the key is to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wants {
    pub(crate) revision: Option<u64>,
    /// Markers count as found.
    pub(crate) markers: bool,
    pub(crate) leader: bool,
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

    /// `key` as it is stored.
    pub(crate) fn start(cx: &mut Cx<'_>, bucket: usize, key: &str, wants: Wants) -> Result<Self, Error> {
        let mut get = Self {
            bucket,
            key: None,
            wants,
            is_guarding: false,
            known: 0,
            step: Step::Direct,
            tries: Tries::default(),
        };
        let opened = &cx.buckets[bucket];
        if opened.allows_direct && wants.revision.is_none() && !wants.leader && key.len() <= MAX_KEY_IN_SUBJECT {
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
        let bucket = &cx.buckets[self.bucket];
        let body = match self.wants.revision {
            Some(revision) => object! { "seq" => revision },
            None => object! { "last_by_subj" => bucket.subject(self.key.as_deref().unwrap_or_default()) },
        };
        let is_direct = bucket.allows_direct && !self.wants.leader && !self.is_guarding;
        self.step = if is_direct { Step::Direct } else { Step::Leader };
        self.known = bucket.seen.known(self.key.as_deref().unwrap_or_default().as_bytes());
        let endpoint = if is_direct { ".DIRECT.GET." } else { ".STREAM.MSG.GET." };
        cx.ask_stream(self.bucket, endpoint, body.to_string().as_bytes())
    }

    pub(crate) fn on_answer(&mut self, cx: &mut Cx<'_>, request: u64, answer: &Answer<'_>) -> Progress {
        match (self.step, answer) {
            (Step::Leader, Answer::Failed(error)) if self.is_guarding && error.code == ErrorCode::Permission => {
                self.is_guarding = false; // then the replica has to catch up
                self.retry(cx, request, true)
            }
            (Step::Direct | Step::Leader, Answer::Failed(error)) => error.clone().into(),
            (Step::Direct, Answer::Reply { headers, payload }) => match (DirectMeta::of(headers), headers.status()) {
                (Some(meta), _) => self.on_direct(cx, request, &meta, payload),
                (None, None) => Error::protocol("the answer to a direct get has no metadata").into(),
                (None, Some(status)) => match meaning(status, headers.description(), false, Context::DirectGet) {
                    Meaning::NotFound => self.on_found(cx, request, None),
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
                missing::ask(cx, self.bucket).into()
            }
            (Step::Leader, Answer::Reply { payload, .. }) => self.on_leader(cx, request, payload),
            (Step::Checking, answer) => match missing::judge(cx, self.bucket, answer) {
                Err(error) => error.into(),
                Ok(is_there) if is_there && !cx.buckets[self.bucket].allows_direct => self.ask(cx).into(),
                Ok(is_there) => self.retry(cx, request, is_there),
            },
        }
    }

    pub(crate) fn on_retry(&mut self, cx: &mut Cx<'_>) -> Progress {
        self.ask(cx).into()
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
            None => cx.buckets[self.bucket].asked_key(cx.net.subject(request)),
        }
    }

    fn on_direct(&mut self, cx: &mut Cx<'_>, request: u64, meta: &DirectMeta<'_>, payload: &[u8]) -> Progress {
        let bucket = &cx.buckets[self.bucket];
        // A revision of another key. Anything else would be somebody else's answer.
        let is_ours = bucket.key_of(meta.subject) == self.key(cx, request).as_bytes();
        let entry = is_ours.then(|| bucket.gotten(meta, payload));
        self.on_found(cx, request, entry)
    }

    fn on_leader(&mut self, cx: &mut Cx<'_>, request: u64, payload: &[u8]) -> Progress {
        let fields = match api::answer(payload) {
            Ok(fields) => fields,
            Err(ApiFailure::Refused(error)) if error.err_code == 10037 => return self.on_found(cx, request, None),
            Err(ApiFailure::Refused(error)) if error.is_retryable() => return self.retry(cx, request, true),
            Err(failure) => return failure.to_error().into(),
        };
        let Some(stored) = StoredMessage::of(&fields) else {
            return Error::protocol("the answer of STREAM.MSG.GET has no message").into();
        };
        let bucket = &cx.buckets[self.bucket];
        let key = bucket.key_of(stored.subject.as_bytes());
        let entry = (key == self.key(cx, request).as_bytes()).then(|| {
            let headers = Headers::parse(&stored.headers);
            bucket.entry(key, &headers, &stored.payload, (stored.sequence, stored.created_ns, 0))
        });
        self.on_found(cx, request, entry)
    }

    /// The key's message, or none. An answer older than what this client knows comes from a replica that lags behind.
    fn on_found(&mut self, cx: &mut Cx<'_>, request: u64, entry: Option<Entry>) -> Progress {
        if self.wants.revision.is_none() {
            let Cx { buckets, net, limits, .. } = cx;
            let bucket = &mut buckets[self.bucket];
            let revision = entry.as_ref().map_or(0, |entry| entry.revision);
            let key = match &self.key {
                Some(key) => key,
                None => bucket.asked_key(net.subject(request)),
            };
            match self.step {
                Step::Leader if bucket.seen.known(key.as_bytes()) == self.known => {
                    bucket.seen.correct(key.as_bytes(), revision);
                }
                // Older than what was seen since it was asked for, or newer: only that is news.
                Step::Leader if revision == 0 => {}
                Step::Leader => bucket.seen.record(key.as_bytes(), revision, limits.seen_keys),
                _ if bucket.seen.is_behind(key.as_bytes(), revision) => {
                    self.key = Some(key.into());
                    self.is_guarding = true;
                    return self.ask(cx).into();
                }
                _ if revision > 0 => bucket.seen.record(key.as_bytes(), revision, limits.seen_keys),
                _ => {}
            }
        }
        match entry {
            Some(entry) if self.wants.markers || !entry.is_marker() => Progress::Done(Ok(Outcome::Entry(entry))),
            _ => self.not_found(cx, request).into(),
        }
    }

    fn not_found(&self, cx: &Cx<'_>, request: u64) -> Error {
        not_found(&cx.buckets[self.bucket].shown(self.key(cx, request)), self.wants.revision)
    }
}

/// The key has no live value (at that revision).
pub(crate) fn not_found(key: &str, revision: Option<u64>) -> Error {
    let text = match revision {
        Some(revision) => format!("key not found: {key} at revision {revision}", key = Quoted(key)),
        None => format!("key not found: {key}", key = Quoted(key)),
    };
    Error::new(ErrorCode::KeyNotFound, text)
}
