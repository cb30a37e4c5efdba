//! The JetStream API: a request, and one answer as JSON; or the messages of a direct get.

use serde_json::{Map, Value, json};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    FakeServer, Job, Post, Publish,
    config::{Config, Refusal},
    consumer::Consumer,
    direct,
    stream::Stream,
    unix_ns,
};

/// Streams in one page of STREAM.NAMES and STREAM.LIST.
const PAGE: usize = 256;

impl FakeServer {
    /// Whether anybody listens on an endpoint. A server before 2.11 listens on all, and leaves some requests unanswered.
    pub(super) fn answers(&self, endpoint: &str) -> bool {
        let Some(rest) = endpoint.strip_prefix("DIRECT.GET.") else { return true };
        let name = rest.split('.').next().unwrap_or_default();
        self.settings.level < 1 || self.direct_source(name).is_some()
    }

    /// The stream and the nodes that can answer direct gets of it.
    fn direct_source(&self, name: &str) -> Option<(&Stream, Vec<usize>)> {
        let stream = self.stream(name).filter(|stream| stream.config.allows_direct)?;
        let nodes: Vec<usize> = stream.nodes().into_iter().filter(|node| self.is_up(*node)).collect();
        (!nodes.is_empty()).then_some((stream, nodes))
    }

    pub(super) fn on_request(&mut self, publish: &Publish) {
        let Some(endpoint) = publish.subject.strip_prefix("$JS.API.") else { return };
        if let Some(rest) = endpoint.strip_prefix("DIRECT.GET.") {
            return self.direct_get(publish, rest);
        }
        let tokens: Vec<&str> = endpoint.split('.').collect();
        let request = match body(&publish.payload) {
            Ok(request) => request,
            Err(refusal) => return self.reply(publish, Err(refusal)),
        };
        let answer = match tokens.as_slice() {
            ["INFO"] => Ok(json!({"api": {"level": self.settings.level}, "streams": self.streams.len()})),
            ["STREAM", "CREATE", name] => self.create_stream(name, &request),
            ["STREAM", "UPDATE", name] => self.update_stream(name, &request),
            ["STREAM", "NAMES"] => Ok(self.page(&request, |stream| stream.name.clone().into())),
            ["STREAM", "LIST"] => {
                let now = self.now;
                Ok(self.page(&request, |stream| stream.info(now)))
            }
            ["STREAM", "DELETE", name] => self.delete_stream(name),
            ["STREAM", verb, name] | ["STREAM", verb @ "MSG", "GET", name] => match self.led(name) {
                Ok(id) => self.of_stream(verb, id, &request),
                Err(refusal) => Err(refusal),
            },
            ["CONSUMER", "CREATE", name, rest @ ..] => match self.led(name) {
                Ok(id) => return self.create_consumer(publish, id, rest, &request),
                Err(refusal) => Err(refusal),
            },
            ["CONSUMER", verb, name, consumer] => match self.led(name) {
                Ok(id) => self.of_consumer(verb, id, consumer),
                Err(refusal) => Err(refusal),
            },
            _ => Err(Refusal::new(404, 10003, format!("bad request: {endpoint}"))),
        };
        self.reply(publish, answer);
    }

    fn reply(&mut self, publish: &Publish, answer: Result<Value, Refusal>) {
        let body = match answer {
            Ok(value) => value,
            Err(refusal) => {
                json!({"type": "io.nats.jetstream.api.v1.fake_response", "error": refusal.to_json()})
            }
        };
        let payload = body.to_string().into_bytes();
        self.answer(publish, vec![(Vec::new(), payload)]);
    }

    fn answer(&mut self, publish: &Publish, answers: Vec<direct::Answer>) {
        let Some(to) = &publish.reply else { return };
        let post = |(headers, payload)| Post {
            to: to.clone(),
            subject: to.clone(),
            reply: None,
            headers,
            payload,
            is_idle: false,
        };
        let wait = self.dice.within(&self.settings.api.clone());
        self.later(wait, Job::Posts(answers.into_iter().map(post).collect()));
    }

    /// The stream of this name, where there is one with a leader.
    fn led(&self, name: &str) -> Result<u64, Refusal> {
        let stream = self.stream(name).ok_or_else(|| Refusal::new(404, 10059, "stream not found"))?;
        match stream.leader {
            Some(_) => Ok(stream.id),
            None => Err(Refusal::new(503, 10008, "JetStream system temporarily unavailable")),
        }
    }

    // ── streams

    fn create_stream(&mut self, name: &str, request: &Map<String, Value>) -> Result<Value, Refusal> {
        let config = Config::read(request, self.settings.level, self.settings.nodes)?;
        let now = self.now;
        if let Some(existing) = self.stream(name) {
            if !existing.config.is_same(&config) {
                return Err(Refusal::new(400, 10058, "stream name already in use with a different configuration"));
            }
            let mut info = existing.info(now);
            info["did_create"] = true.into();
            return Ok(info);
        }
        if self.busy_names.get(name).is_some_and(|until| *until > now) {
            return Err(Refusal::new(500, 10049, format!("error creating store for stream {name:?}: folder in use")));
        }
        if self.streams.iter().any(|stream| stream.deleted.is_none() && stream.config.overlaps(&config)) {
            return Err(Refusal::new(400, 10065, "subjects overlap with an existing stream"));
        }
        let mut nodes: Vec<usize> = (0..self.settings.nodes).filter(|node| self.is_up(*node)).collect();
        if nodes.len() < config.replicas {
            return Err(Refusal::new(503, 10008, "JetStream system temporarily unavailable"));
        }
        let first = self.dice.below(nodes.len() as u64) as usize;
        nodes.rotate_left(first);
        nodes.truncate(config.replicas);
        let id = self.streams.len() as u64;
        self.streams.push(Stream::new(id, name, config, &nodes, now));
        self.read_upstreams(id);
        let mut info = self.streams[id as usize].info(now);
        info["did_create"] = true.into();
        Ok(info)
    }

    fn update_stream(&mut self, name: &str, request: &Map<String, Value>) -> Result<Value, Refusal> {
        let new = Config::read(request, self.settings.level, self.settings.nodes)?;
        let (id, now) = (self.led(name)?, self.now);
        let stream = self.stream_mut(id);
        stream.config.check_update(&new)?;
        if stream.config.replicas != new.replicas {
            return Err(Refusal::new(500, 10052, "this model does not move replicas"));
        }
        stream.config = new;
        stream.trim(now);
        self.changed(id);
        self.read_upstreams(id);
        Ok(self.streams[id as usize].info(now))
    }

    /// A new mirror or source begins to read what there is.
    fn read_upstreams(&mut self, id: u64) {
        let stream = &self.streams[id as usize];
        let is_upstream = |other: &&Stream| other.deleted.is_none() && stream.upstream(&other.name).is_some();
        let upstreams: Vec<u64> = self.streams.iter().filter(is_upstream).map(|other| other.id).collect();
        for from in upstreams {
            let wait = self.dice.within(&self.settings.lag.clone());
            self.later(wait, Job::Copy { from });
        }
    }

    fn delete_stream(&mut self, name: &str) -> Result<Value, Refusal> {
        let (id, now) = (self.led(name)?, self.now);
        let stream = self.stream_mut(id);
        stream.deleted = Some(now);
        stream.consumers.clear(); // which tell nobody
        let busy = now + self.dice.within(&self.settings.folder.clone());
        self.busy_names.insert(name.into(), busy);
        Ok(json!({"success": true}))
    }

    fn page(&self, request: &Map<String, Value>, tell: impl Fn(&Stream) -> Value) -> Value {
        let mut all: Vec<&Stream> = self.streams.iter().filter(|stream| stream.deleted.is_none()).collect();
        all.sort_by_key(|stream| &stream.name);
        let offset = request.get("offset").and_then(Value::as_u64).unwrap_or_default() as usize;
        let page: Vec<Value> = all.iter().skip(offset).take(PAGE).map(|stream| tell(stream)).collect();
        let streams = if page.is_empty() { Value::Null } else { page.into() };
        json!({"total": all.len(), "offset": offset, "limit": PAGE, "streams": streams})
    }

    fn of_stream(&mut self, verb: &str, id: u64, request: &Map<String, Value>) -> Result<Value, Refusal> {
        let now = self.now;
        let number = |name: &str| request.get(name).and_then(Value::as_u64);
        let text = |name: &str| request.get(name).and_then(Value::as_str);
        let stream = self.stream_mut(id);
        match verb {
            "INFO" => Ok(stream.info(now)),
            "PURGE" if stream.config.denies_purge => Err(Refusal::new(500, 10110, "stream purge not permitted")),
            "PURGE" if number("seq").is_some() && number("keep").is_some() => {
                Err(Refusal::new(400, 10003, "bad request"))
            }
            "PURGE" => {
                let purged = stream.purge(text("filter"), number("seq"), number("keep"), now);
                self.changed(id);
                Ok(json!({"success": true, "purged": purged}))
            }
            "MSG" => {
                let found = match (text("last_by_subj"), text("next_by_subj"), number("seq")) {
                    (Some(subject), _, _) => stream.store.last_of(subject),
                    (None, Some(filter), from) => {
                        let mut behind = stream.store.messages.range(from.unwrap_or(1)..).map(|(_, message)| message);
                        behind.find(|message| super::matches(filter, &message.subject))
                    }
                    (None, None, seq) => seq.and_then(|seq| stream.store.messages.get(&seq)),
                };
                let message = found.ok_or_else(|| Refusal::new(404, 10037, "no message found"))?;
                let mut told = json!({
                    "subject": &*message.subject,
                    "seq": message.seq,
                    "time": natskv_core::to_rfc3339(message.time_ns),
                });
                if !message.headers.is_empty() {
                    told["hdrs"] = STANDARD.encode(&message.headers).into();
                }
                if !message.payload.is_empty() {
                    told["data"] = STANDARD.encode(&message.payload).into();
                }
                Ok(json!({"message": told}))
            }
            _ => Err(Refusal::new(404, 10003, format!("bad request: {verb}"))),
        }
    }

    /// Any copy answers, also one that lags behind.
    fn direct_get(&mut self, publish: &Publish, rest: &str) {
        let (name, subject) = rest.split_once('.').unwrap_or((rest, ""));
        let Some((_, nodes)) = self.direct_source(name) else { return };
        let node = *self.dice.pick(&nodes);
        let request = match (subject, body(&publish.payload)) {
            ("", Ok(request)) => request,
            ("", Err(_)) => {
                return self.answer(publish, vec![(b"NATS/1.0 408 Bad Request\r\n\r\n".to_vec(), Vec::new())]);
            }
            (subject, _) => Map::from_iter([("last_by_subj".into(), subject.into())]),
        };
        let Some((stream, _)) = self.direct_source(name) else { return };
        let copy = stream.replicas.iter().find(|replica| replica.node == node).map(|replica| &replica.store);
        let answers = direct::answers(&stream.name, copy.unwrap_or(&stream.store), &request, &self.settings);
        self.answer(publish, answers);
    }

    // ── consumers

    fn create_consumer(&mut self, publish: &Publish, id: u64, place: &[&str], request: &Map<String, Value>) {
        let answer = self.new_consumer(id, place, request);
        // What it delivers may be there before the answer.
        if let Ok((name, heartbeat)) = &answer {
            self.note_interest();
            self.wake(id, name);
            self.later(*heartbeat, Job::Heartbeat { stream: id, consumer: name.clone() });
        }
        let answer = answer.map(|(name, _)| {
            let stream = &self.streams[id as usize];
            stream.consumers[&name].info(&stream.name)
        });
        self.reply(publish, answer);
    }

    fn new_consumer(
        &mut self,
        id: u64,
        place: &[&str],
        request: &Map<String, Value>,
    ) -> Result<(String, u64), Refusal> {
        let Some(fields) = request.get("config").and_then(Value::as_object) else {
            return Err(Refusal::new(400, 10025, "invalid JSON: config"));
        };
        let now = self.now;
        let stream = &self.streams[id as usize];
        let nodes: Vec<usize> = stream.nodes().into_iter().filter(|node| self.is_up(*node)).collect();
        let mut consumer = Consumer::new(fields, &stream.store, &self.settings, now, unix_ns(now))?;
        let (name, filter) = (place.first().copied().unwrap_or_default(), place.get(1..).unwrap_or_default().join("."));
        if consumer.name != name
            || consumer.deliver.is_empty()
            || request.get("stream_name") != Some(&stream.name.as_str().into())
        {
            return Err(Refusal::new(400, 10003, "bad request: names differ"));
        }
        if !filter.is_empty() && fields.get("filter_subject").and_then(Value::as_str) != Some(&filter) {
            return Err(Refusal::new(
                400,
                10131,
                "consumer create request did not match filtered subject from create subject",
            ));
        }
        if stream.consumers.contains_key(name) {
            return Err(Refusal::new(400, 10148, "consumer already exists"));
        }
        if stream.consumers.len() >= self.settings.max_consumers {
            return Err(Refusal::new(400, 10026, "maximum consumers limit reached"));
        }
        consumer.node = *self.dice.pick(&nodes);
        let (heartbeat, threshold) = (consumer.heartbeat, consumer.threshold);
        self.stream_mut(id).consumers.insert(name.into(), consumer);
        self.later(threshold, Job::Forget { stream: id, consumer: name.into() });
        Ok((name.into(), heartbeat))
    }

    fn of_consumer(&mut self, verb: &str, id: u64, name: &str) -> Result<Value, Refusal> {
        let missing = || Refusal::new(404, 10014, "consumer not found");
        let stream = self.stream_mut(id);
        match verb {
            "INFO" => stream.consumers.get(name).map(|consumer| consumer.info(&stream.name)).ok_or_else(missing),
            "DELETE" => stream.consumers.remove(name).map(|_| json!({"success": true})).ok_or_else(missing),
            _ => Err(Refusal::new(404, 10003, format!("bad request: {verb}"))),
        }
    }
}

/// The object of a request; nothing is an empty one.
fn body(payload: &[u8]) -> Result<Map<String, Value>, Refusal> {
    if payload.is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(payload) {
        Ok(Value::Object(fields)) => Ok(fields),
        _ => Err(Refusal::new(400, 10025, "invalid JSON")),
    }
}
