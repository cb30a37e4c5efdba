//! Watches and finite reads over a consumer that dies, stalls, lies, or loses messages.

use std::time::Duration;

use natskv_core::{
    Action, BucketId, Config, ErrorCode, Event, HandleOptions, Notice, OpId, Outcome, State, WatchId, WatchItem,
    WatchOptions,
};
use natskv_kit::rig::Rig;

/// A watch with its server played by the test.
struct Scene {
    rig: Rig,
    watch: WatchId,
    sid: u64,
    /// What STREAM.INFO says behind the next create response.
    check: Option<String>,
}

const CREATED: &str = "2026-11-23T03:00:00Z";

fn info(created: &str, last_seq: u64) -> String {
    format!(
        "{{\"created\":\"{created}\",\"config\":{{\"max_msgs_per_subject\":1,\"allow_direct\":true}},\"state\":{{\"last_seq\":{last_seq}}}}}"
    )
}

impl Scene {
    fn new(options: WatchOptions) -> Self {
        Self::with(Config::default(), options)
    }

    fn with(config: Config, options: WatchOptions) -> Self {
        let mut rig = Rig::new(config);
        rig.establish();
        let open = rig.call(|c, now| c.open("b", &HandleOptions::default(), None, now)).expect("open");
        rig.answer("STREAM.INFO", &info(CREATED, 0));
        let Ok(Outcome::Opened(opened)) = rig.result(open).clone() else { panic!("not opened") };
        let bucket = opened.bucket;
        rig.sent();
        let watch = rig.call(|c, now| c.watch(bucket, &[], options, now)).expect("watch");
        let mut scene = Self { rig, watch, sid: 0, check: None };
        scene.find_sid();
        scene
    }

    /// The subscription that the newest consumer delivers to.
    fn find_sid(&mut self) {
        let line = self.rig.written.lines().rev().find(|line| line.starts_with("SUB ")).expect("SUB");
        self.sid = line.split(' ').nth(2).and_then(|sid| sid.parse().ok()).expect("sid");
    }

    fn created(&mut self, pending: u64, stream_seq: u64) {
        let answer = format!("{{\"num_pending\":{pending},\"delivered\":{{\"stream_seq\":{stream_seq}}}}}");
        self.rig.answer("CONSUMER.CREATE", &answer);
        if let Some(info) = self.check.take() {
            self.rig.answer("STREAM.INFO", &info);
            self.find_sid();
        }
    }

    fn message(&mut self, key: &str, stream_seq: u64, consumer_seq: u64, pending: u64) {
        let ack = format!("$JS.ACK.KV_b.c.1.{stream_seq}.{consumer_seq}.1795405052788098189.{pending}");
        self.rig.receive(format!("MSG $KV.b.{key} {} {ack} 1\r\nx\r\n", self.sid));
    }

    fn control(&mut self, headers: &str, reply: &str) {
        let block = format!("NATS/1.0 100 {headers}\r\n\r\n");
        let reply = if reply.is_empty() { String::new() } else { format!(" {reply}") };
        self.rig.receive(format!("HMSG inbox {}{reply} {} {}\r\n{block}\r\n", self.sid, block.len(), block.len()));
    }

    fn heartbeat(&mut self, last_consumer: u64) {
        self.control(&format!("Idle Heartbeat\r\nNats-Last-Consumer: {last_consumer}\r\nNats-Last-Stream: 1"), "");
    }

    fn revisions(&mut self) -> Vec<String> {
        let items = self.rig.items(self.watch);
        let text = |item: &WatchItem| match item {
            WatchItem::Entry(entry) => entry.revision.to_string(),
            WatchItem::CaughtUp => "caught up".into(),
            WatchItem::Reset => "reset".into(),
            WatchItem::Ended(error) => error.code.name().into(),
        };
        items.iter().map(text).collect()
    }

    /// The create request of a consumer that replaces another. It is subscribed to when it was created and its stream is the same.
    fn recreated(&mut self, created: &str, last_seq: u64) -> String {
        self.check = Some(info(created, last_seq));
        let sent = self.rig.written.clone();
        sent[sent.rfind("CONSUMER.CREATE").expect("a new consumer")..].to_string()
    }
}

impl Scene {
    /// purge_deletes asks what time it is, and lists: so many markers.
    fn markers(&mut self, count: u64) {
        self.rig.answer("STREAM.INFO", "{\"config\":{\"max_msgs_per_subject\":5},\"ts\":\"2026-11-23T03:37:33Z\"}");
        self.find_sid();
        self.created(count, 0);
        let (sid, block) = (self.sid, "NATS/1.0\r\nKV-Operation: DEL\r\n\r\n");
        self.rig.sent();
        for at in 1..=count {
            let ack = format!("$JS.ACK.KV_b.c.1.{at}.{at}.1795405052788098189.{}", count - at);
            self.rig.receive(format!("HMSG $KV.b.k{at} {sid} {ack} {0} {0}\r\n{block}\r\n", block.len()));
        }
    }

    /// Where the purges that were sent want their answers.
    fn purges(&mut self) -> Vec<String> {
        let sent = self.rig.sent();
        let purges = sent.lines().filter(|line| line.contains("STREAM.PURGE"));
        purges.filter_map(|line| line.split(' ').nth(2).map(String::from)).collect()
    }
}

impl Scene {
    /// The same, where its stream turns out to be another: the create request of the consumer that begins anew.
    fn made_anew(&mut self, created: &str, last_seq: u64) -> String {
        self.recreated(created, last_seq);
        self.rig.answer("CONSUMER.CREATE", "{\"num_pending\":0,\"delivered\":{\"stream_seq\":0}}");
        let info = self.check.take().expect("the check");
        self.rig.answer("STREAM.INFO", &info);
        self.recreated(created, last_seq)
    }
}

#[test]
fn initial_values_then_caught_up_then_updates() {
    let mut scene = Scene::new(WatchOptions::default());
    scene.message("a", 3, 1, 1);
    scene.created(2, 2);
    scene.message("b", 4, 2, 0);
    scene.message("a", 5, 3, 0);
    assert_eq!(scene.revisions(), ["3", "4", "caught up", "5"]);
    let ready = scene.rig.events.iter().filter(|event| matches!(event, Event::WatchReady(_))).count();
    assert_eq!(ready, 1, "told once until it is empty");
}

#[test]
fn a_gap_makes_a_new_consumer_behind_what_was_seen() {
    let mut scene = Scene::new(WatchOptions { include_history: true, ..WatchOptions::default() });
    scene.created(3, 0);
    scene.message("a", 1, 1, 2);
    scene.message("a", 3, 3, 0);
    assert_eq!(scene.revisions(), ["1"]);
    assert!(
        scene.rig.written.contains("UNSUB 2") && scene.rig.written.contains("CONSUMER.DELETE.KV_b."),
        "the old one is ended"
    );
    let request = scene.recreated(CREATED, 3);
    assert!(request.contains("\"opt_start_seq\":2"), "{request}");
    scene.created(2, 1);
    scene.message("a", 2, 1, 1);
    scene.message("a", 3, 2, 0);
    assert_eq!(scene.revisions(), ["2", "3", "caught up"]);
}

#[test]
fn silence_makes_a_new_consumer_and_heartbeats_prevent_it() {
    let mut scene = Scene::new(WatchOptions { updates_only: true, ..WatchOptions::default() });
    scene.created(0, 5);
    assert_eq!(scene.revisions(), ["caught up"]);
    for _ in 0..5 {
        scene.rig.pass(Duration::from_secs(5));
        scene.heartbeat(0);
    }
    assert!(!scene.rig.written.contains("STREAM.INFO"));
    scene.rig.pass(Duration::from_secs(11));
    let request = scene.recreated(CREATED, 7);
    assert!(request.contains("\"opt_start_seq\":6"), "updates since the start, none twice, none lost: {request}");
}

#[test]
fn an_update_is_one_even_before_the_create_response() {
    let mut scene = Scene::new(WatchOptions { updates_only: true, ..WatchOptions::default() });
    scene.message("a", 6, 1, 0);
    scene.created(0, 5);
    scene.message("a", 7, 2, 0);
    assert_eq!(scene.revisions(), ["caught up", "6", "7"]);
}

#[test]
fn a_heartbeat_can_be_the_end_of_the_initial_values_or_the_news_of_a_loss() {
    let mut scene = Scene::new(WatchOptions::default());
    scene.created(2, 0);
    scene.message("a", 7, 1, 1);
    scene.heartbeat(1);
    assert_eq!(scene.revisions(), ["7", "caught up"]);
    scene.heartbeat(2);
    let request = scene.recreated(CREATED, 8);
    assert!(request.contains("\"opt_start_seq\":8"), "{request}");
}

#[test]
fn flow_control_waits_for_the_reader() {
    let mut scene = Scene::new(WatchOptions::default());
    scene.created(3, 0);
    scene.message("a", 1, 1, 2);
    scene.control("FlowControl Request", "$JS.FC.KV_b.c.t");
    let stalled =
        "Idle Heartbeat\r\nNats-Last-Consumer: 1\r\nNats-Last-Stream: 1\r\nNats-Consumer-Stalled: $JS.FC.KV_b.c.t";
    scene.control(stalled, "");
    assert!(!scene.rig.written.contains("$JS.FC"), "the entry before it is unread");
    assert_eq!(scene.revisions(), ["1"], "a stalled consumer has more to say: not caught up");
    assert_eq!(scene.rig.written.matches("PUB $JS.FC.KV_b.c.t 0").count(), 1, "{}", scene.rig.written);
    scene.control(stalled, "");
    assert_eq!(scene.rig.written.matches("PUB $JS.FC.KV_b.c.t 0").count(), 2, "the server missed it: again");
}

#[test]
fn a_bucket_made_anew_resets_the_watch() {
    let mut scene = Scene::new(WatchOptions::default());
    scene.created(1, 0);
    scene.message("a", 9, 1, 0);
    assert_eq!(scene.revisions(), ["9", "caught up"]);
    scene.rig.pass(Duration::from_secs(11));
    let request = scene.made_anew("2026-11-23T04:00:00Z", 20);
    assert!(request.contains("last_per_subject"), "{request}");
    scene.created(1, 0);
    scene.message("a", 2, 1, 0);
    assert_eq!(scene.revisions(), ["reset", "2", "caught up"]);
}

#[test]
fn a_deleted_bucket_ends_the_watch() {
    let mut scene = Scene::new(WatchOptions::default());
    scene.created(0, 0);
    scene.rig.pass(Duration::from_secs(11));
    let gone = "{\"error\":{\"code\":404,\"err_code\":10059,\"description\":\"stream not found\"}}";
    scene.rig.answer("CONSUMER.CREATE", gone);
    assert_eq!(scene.revisions(), ["caught up", "BUCKET_NOT_FOUND"]);
}

#[test]
fn a_watch_of_no_bucket_fails_to_open() {
    let mut scene = Scene::new(WatchOptions::default());
    scene.rig.answer(
        "CONSUMER.CREATE",
        "{\"error\":{\"code\":404,\"err_code\":10059,\"description\":\"stream not found\"}}",
    );
    let opened = scene
        .rig
        .events
        .iter()
        .find_map(|event| if let Event::WatchOpen { result, .. } = event { Some(result) } else { None });
    assert_eq!(opened.expect("told").as_ref().expect_err("failed").code, ErrorCode::BucketNotFound);
}

#[test]
fn after_a_reconnect_the_consumer_is_asked_for_once() {
    let mut scene = Scene::new(WatchOptions::default());
    scene.created(1, 0);
    scene.message("a", 4, 1, 0);
    scene.rig.pass(Duration::from_secs(2));
    scene.rig.lose();
    scene.rig.pass(Duration::from_millis(1));
    scene.rig.establish();
    assert!(
        scene.rig.written.contains("SUB ") && scene.rig.written.contains("CONSUMER.INFO.KV_b."),
        "{}",
        scene.rig.written
    );
    scene.rig.answer(
        "CONSUMER.INFO",
        "{\"error\":{\"code\":404,\"err_code\":10014,\"description\":\"consumer not found\"}}",
    );
    let request = scene.recreated(CREATED, 4);
    assert!(request.contains("\"opt_start_seq\":5"), "{request}");
    scene.created(1, 4);
    scene.message("b", 5, 1, 0);
    assert_eq!(scene.revisions(), ["4", "caught up", "5"]);
}

#[test]
fn what_went_to_the_lost_connection_is_fetched_at_once() {
    // What the server says it has sent, and whether the consumer of one received message is made anew for it.
    for (sent, is_replaced) in [(3, true), (1, false), (0, false)] {
        let mut scene = Scene::new(WatchOptions::default());
        scene.created(3, 0);
        scene.message("a", 4, 1, 2);
        scene.rig.pass(Duration::from_secs(2));
        scene.rig.lose();
        scene.rig.pass(Duration::from_millis(1));
        scene.rig.establish();
        scene.rig.answer("CONSUMER.INFO", &format!("{{\"delivered\":{{\"consumer_seq\":{sent}}},\"num_pending\":0}}"));
        assert_eq!(scene.rig.written.contains("CONSUMER.CREATE"), is_replaced, "{sent} sent: {}", scene.rig.written);
        if is_replaced {
            let request = scene.recreated(CREATED, 6);
            assert!(request.contains("\"opt_start_seq\":5"), "{request}");
            scene.created(2, 4);
            scene.message("b", 5, 1, 1);
            scene.message("c", 6, 2, 0);
            assert_eq!(scene.revisions(), ["4", "5", "6", "caught up"]);
        }
    }
}

#[test]
fn a_key_that_moves_while_it_is_read_is_waited_for() {
    let mut scene = Scene::new(WatchOptions::default());
    scene.created(2, 0);
    scene.message("b", 2, 1, 2);
    scene.message("c", 4, 2, 1); // the second message, but not the second of the two that there were
    assert_eq!(scene.revisions(), ["2", "4"]);
    scene.message("a", 5, 3, 0);
    assert_eq!(scene.revisions(), ["5", "caught up"]);
}

#[test]
fn a_watch_of_nothing_so_far_misses_no_revision_that_comes_while_its_consumer_is_lost() {
    let mut scene = Scene::new(WatchOptions::default());
    scene.created(0, 3);
    assert_eq!(scene.revisions(), ["caught up"]);
    scene.rig.pass(Duration::from_secs(11));
    let request = scene.recreated(CREATED, 6);
    assert!(request.contains("\"opt_start_seq\":4"), "the newest of each key would be less: {request}");
}

#[test]
fn all_that_a_bucket_made_anew_holds_is_news_to_every_watch_but_that_of_the_newest() {
    let updates_only = WatchOptions { updates_only: true, ..WatchOptions::default() };
    let resumed = WatchOptions { resume_from_revision: Some(500), ..WatchOptions::default() };
    for (options, policy) in [(updates_only, "all"), (resumed, "all"), (WatchOptions::default(), "last_per_subject")] {
        let mut scene = Scene::new(options);
        scene.created(0, 499);
        scene.rig.pass(Duration::from_secs(11));
        let request = scene.made_anew("2026-11-24T00:00:00Z", 2);
        assert!(request.contains(&format!("\"deliver_policy\":\"{policy}\"")), "{request}");
        scene.created(2, 0);
        scene.message("a", 1, 1, 1);
        scene.message("b", 2, 2, 0);
        assert_eq!(scene.revisions(), ["caught up", "reset", "1", "2", "caught up"]);
    }
}

#[test]
fn a_consumer_that_replaces_another_is_heard_when_its_stream_is_known_to_be_the_same() {
    let mut scene = Scene::new(WatchOptions::default());
    scene.created(1, 0);
    scene.message("a", 400, 1, 0);
    scene.rig.pass(Duration::from_secs(11));
    let has_subscribed = |scene: &Scene| scene.rig.written.lines().filter(|line| line.starts_with("SUB ")).count();
    let before = has_subscribed(&scene);
    scene.recreated(CREATED, 400);
    scene.rig.answer("CONSUMER.CREATE", "{\"num_pending\":0,\"delivered\":{\"stream_seq\":400}}");
    assert_eq!(has_subscribed(&scene), before, "what it delivers could be of another bucket");
    scene.rig.answer("STREAM.INFO", &info(CREATED, 400));
    assert_eq!(has_subscribed(&scene), before + 1);
    scene.find_sid();
    scene.message("a", 401, 1, 0);
    assert_eq!(scene.revisions(), ["400", "caught up", "401"]);
}

#[test]
fn a_bound_watch_tells_a_stream_younger_than_its_consumer_from_its_own() {
    let gone = "{\"error\":{\"code\":404,\"err_code\":10059,\"description\":\"stream not found\"}}";
    // What comes of the question that follows the opening: no answer, or that there is no such stream any more.
    for learnt in [None, Some(gone)] {
        let mut rig = Rig::connected();
        let bucket = rig.client.bind("b", &HandleOptions::default()).expect("bind");
        let watch = rig.call(|c, now| c.watch(bucket, &[], WatchOptions::default(), now)).expect("watch");
        let mut scene = Scene { rig, watch, sid: 0, check: None };
        scene.find_sid();
        scene.rig.answer(
            "CONSUMER.CREATE",
            &format!("{{\"created\":\"{CREATED}\",\"num_pending\":0,\"delivered\":{{\"stream_seq\":7}}}}"),
        );
        if let Some(answer) = learnt {
            scene.rig.answer("STREAM.INFO", answer);
        }
        scene.rig.pass(Duration::from_secs(11));
        scene.made_anew("2026-11-24T00:00:00Z", 9);
        assert_eq!(scene.revisions(), ["caught up", "reset"], "{learnt:?}");
    }
}

#[test]
fn an_old_subscription_is_not_heard() {
    let mut scene = Scene::new(WatchOptions::default());
    scene.created(1, 0);
    scene.message("a", 4, 1, 0);
    let old = scene.sid;
    scene.message("a", 9, 7, 0);
    scene.recreated(CREATED, 9);
    let new = std::mem::replace(&mut scene.sid, old);
    scene.message("a", 8, 2, 0);
    scene.sid = new;
    assert_eq!(scene.revisions(), ["4", "caught up"]);
}

#[test]
fn a_reader_too_slow_gets_what_fits_then_the_rest() {
    let config = Config { watch_limit: 2000, ..Config::default() };
    let mut scene = Scene::with(config, WatchOptions::default());
    scene.created(50, 0);
    scene.message("a", 1, 1, 49);
    assert_eq!(scene.revisions(), ["1"]);
    scene.rig.sent();
    for n in 2..40 {
        scene.message("k", n, n, 50 - n);
    }
    let overflows = scene.rig.events.iter().filter(|event| matches!(event, Event::Notice(Notice::WatchOverflow(_))));
    assert_eq!(overflows.count(), 1);
    assert!(scene.rig.written.contains("CONSUMER.DELETE") && !scene.rig.written.contains("STREAM.INFO"), "not yet");
    scene.rig.pass(Duration::from_secs(60));
    let last: u64 = {
        let queued = scene.revisions();
        assert_eq!(queued.first().map(String::as_str), Some("2"), "what fitted is still there");
        queued.last().and_then(|last| last.parse().ok()).expect("a revision")
    };
    let request = scene.recreated(CREATED, 50);
    assert!(request.contains(&format!("\"opt_start_seq\":{}", last + 1)), "behind what was queued: {request}");
    scene.created(2, last);
    scene.message("k", 49, 1, 1);
    scene.message("l", 50, 2, 0);
    assert_eq!(scene.revisions(), ["49", "50", "caught up"]);
}

#[test]
fn a_watch_that_overflows_before_its_create_response_is_open() {
    let config = Config { watch_limit: 100, ..Config::default() };
    let mut scene = Scene::with(config, WatchOptions::default());
    for n in 1..4 {
        scene.message("k", n, n, 50 - n);
    }
    let is_open = |event: &Event| matches!(event, Event::WatchOpen { result: Ok(()), .. });
    assert!(scene.rig.events.iter().any(is_open));
    scene.rig.lose();
    scene.rig.pass(Duration::from_secs(20));
    scene.rig.establish();
    assert!(!scene.revisions().is_empty());
    assert!(scene.rig.written.contains("CONSUMER.CREATE"), "{}", scene.rig.written);
}

#[test]
fn crossing_filters_that_a_server_refuses_become_one_wide_filter() {
    let mut rig = Rig::connected();
    let bucket = rig.client.bind("b", &HandleOptions::default()).expect("bind");
    let watch = rig.call(|c, now| c.watch(bucket, &["u.a.*", "u.*.b"], WatchOptions::default(), now)).expect("watch");
    rig.answer("CONSUMER.CREATE", "{\"error\":{\"code\":400,\"err_code\":10138,\"description\":\"overlap\"}}");
    let sent = rig.written.clone();
    assert!(sent[sent.rfind("CONSUMER.CREATE").expect("again")..].contains("$KV.b.u.> "), "{sent}");
    let mut scene = Scene { rig, watch, sid: 0, check: None };
    scene.find_sid();
    scene.created(3, 0);
    for (at, key) in ["u.a.x", "u.c.c", "u.c.b"].iter().enumerate() {
        let at = at as u64;
        scene.message(key, at + 1, at + 1, 2 - at);
    }
    assert_eq!(scene.revisions(), ["1", "3", "caught up"]);
}

/// A finite read and the bucket it is about.
fn reading(
    start: fn(&mut natskv_core::Client, BucketId, natskv_core::Instant) -> Result<OpId, natskv_core::Error>,
) -> (Scene, OpId) {
    let mut rig = Rig::connected();
    let bucket = rig.client.bind("b", &HandleOptions::default()).expect("bind");
    let op = rig.call(|c, now| start(c, bucket, now)).expect("read");
    let mut scene = Scene { rig, watch: WatchId(0), sid: 0, check: None };
    scene.find_sid();
    (scene, op)
}

#[test]
fn a_finite_read_whose_consumer_only_says_that_it_is_stalled_times_out() {
    let (mut scene, op) = reading(|c, b, now| c.keys(b, &[], None, now));
    scene.created(2, 0);
    scene.message("a", 1, 1, 1);
    for _ in 0..4 {
        scene.rig.pass(Duration::from_secs(2));
        scene.control(
            "Idle Heartbeat\r\nNats-Last-Consumer: 1\r\nNats-Last-Stream: 1\r\nNats-Consumer-Stalled: $JS.FC.KV_b.c.1",
            "",
        );
    }
    assert_eq!(scene.rig.result(op).as_ref().expect_err("no message for 8 s").code, ErrorCode::Timeout);
}

#[test]
fn a_list_resumes_after_a_cut_and_names_each_key_once() {
    let (mut scene, op) = reading(|c, b, now| c.keys(b, &[], None, now));
    scene.created(3, 0);
    scene.message("a", 1, 1, 2);
    scene.message("b", 2, 2, 1);
    scene.rig.pass(Duration::from_secs(2));
    scene.rig.lose();
    scene.rig.pass(Duration::from_millis(1));
    scene.rig.establish();
    assert!(!scene.rig.is_done(op), "it never ends early");
    scene.rig.answer(
        "CONSUMER.INFO",
        "{\"error\":{\"code\":404,\"err_code\":10014,\"description\":\"consumer not found\"}}",
    );
    let request = scene.recreated(CREATED, 4);
    assert!(
        request.contains("last_per_subject"),
        "history unknown: superseded revisions must not come back: {request}"
    );
    scene.created(3, 0);
    scene.message("a", 1, 1, 2);
    scene.message("c", 3, 2, 1);
    scene.message("b", 4, 3, 0);
    assert_eq!(scene.rig.result(op), &Ok(Outcome::Names(vec!["a".into(), "b".into(), "c".into()])));
    assert!(scene.rig.written.contains("CONSUMER.DELETE.KV_b."), "and ends its consumer");
}

#[test]
fn a_read_that_hears_nothing_times_out_and_one_that_hears_goes_on() {
    let (mut scene, op) = reading(|c, b, now| c.keys(b, &[], Some(Duration::from_secs(3)), now));
    scene.created(9, 0);
    for n in 1..5 {
        scene.rig.pass(Duration::from_secs(2));
        scene.message("k", n, n, 9 - n);
    }
    assert!(!scene.rig.is_done(op), "8 s long, never silent for 3");
    scene.rig.pass(Duration::from_secs(4));
    assert_eq!(scene.rig.result(op).as_ref().expect_err("silence").code, ErrorCode::Timeout);
}

#[test]
fn the_history_of_no_key_is_not_found() {
    let mut rig = Rig::connected();
    let bucket = rig.client.bind("b", &HandleOptions::default()).expect("bind");
    let op = rig.call(|c, now| c.history(bucket, "k", None, now)).expect("history");
    rig.answer_status("DIRECT.GET", "404 Message Not Found");
    assert_eq!(rig.result(op).as_ref().expect_err("none").code, ErrorCode::KeyNotFound);
}

#[test]
fn purge_deletes_never_reaches_beyond_the_marker() {
    let mut rig = Rig::connected();
    let bucket = rig.client.bind("b", &HandleOptions::default()).expect("bind");
    let op = rig.call(|c, now| c.purge_deletes(bucket, Duration::from_secs(60), None, now)).expect("purge_deletes");
    rig.answer("STREAM.INFO", "{\"config\":{\"max_msgs_per_subject\":5},\"ts\":\"2026-11-23T03:37:33Z\"}");
    let mut scene = Scene { rig, watch: WatchId(0), sid: 0, check: None };
    scene.find_sid();
    scene.created(3, 0);
    let mut marker = |key: &str, seq: u64, consumer_seq: u64, stamp: u64, operation: &str| {
        let block = format!("NATS/1.0\r\nKV-Operation: {operation}\r\n\r\n");
        let ack = format!("$JS.ACK.KV_b.c.1.{seq}.{consumer_seq}.{stamp}.{}", 3 - consumer_seq);
        let sid = scene.sid;
        scene.rig.receive(format!("HMSG $KV.b.{key} {sid} {ack} {} {}\r\n{block}\r\n", block.len(), block.len()));
    };
    let at = 1_795_405_053_000_000_000; // 2026-11-23T03:37:33Z
    marker("old", 7, 1, at - 61_000_000_000, "DEL");
    marker("young", 8, 2, at - 59_000_000_000, "PURGE");
    marker("live", 9, 3, at - 99_000_000_000, "PUT");
    let sent = scene.rig.written.clone();
    assert!(
        sent.contains("{\"filter\":\"$KV.b.old\",\"seq\":8}")
            && sent.contains("{\"filter\":\"$KV.b.young\",\"seq\":8}"),
        "{sent}"
    );
    assert!(!sent.contains("$KV.b.live"));
    let replies: Vec<String> = sent
        .lines()
        .filter(|l| l.contains("STREAM.PURGE"))
        .filter_map(|l| l.split(' ').nth(2).map(String::from))
        .collect();
    for reply in replies {
        let answer = "{\"success\":true,\"purged\":12345}";
        scene.rig.receive(format!("MSG {reply} 1 {}\r\n{answer}\r\n", answer.len()));
    }
    assert_eq!(scene.rig.result(op), &Ok(Outcome::Purged(1)));
}

#[test]
fn nothing_follows_the_end_of_a_watch() {
    let mut scene = Scene::new(WatchOptions::default());
    scene.created(0, 0);
    scene.rig.pass(Duration::from_secs(11));
    let gone = "{\"error\":{\"code\":404,\"err_code\":10059,\"description\":\"stream not found\"}}";
    scene.rig.answer("CONSUMER.CREATE", gone);
    assert_eq!(scene.revisions(), ["caught up", "BUCKET_NOT_FOUND"]);
    scene.rig.sent();
    scene.rig.pass(Duration::from_secs(30));
    assert_eq!(scene.rig.sent(), "", "nor is the server asked any more");
    scene.rig.call(|c, now| c.drain(now));
    scene.rig.call(|c, now| c.close(now));
    assert!(scene.revisions().is_empty());
}

#[test]
fn drain_ends_a_watch_once() {
    let mut scene = Scene::new(WatchOptions::default());
    scene.created(0, 0);
    scene.rig.call(|c, now| c.drain(now));
    scene.rig.call(|c, now| c.close(now));
    assert_eq!(scene.revisions(), ["caught up", "CLOSED"]);
}

#[test]
fn purge_deletes_leaves_a_key_alone_that_reads_as_a_wildcard() {
    let mut rig = Rig::connected();
    let bucket = rig.client.bind("b", &HandleOptions::default()).expect("bind");
    let op = rig.call(|c, now| c.purge_deletes(bucket, Duration::ZERO, None, now)).expect("purge_deletes");
    rig.answer("STREAM.INFO", "{\"config\":{\"max_msgs_per_subject\":5},\"ts\":\"2026-11-23T03:37:33Z\"}");
    let mut scene = Scene { rig, watch: WatchId(0), sid: 0, check: None };
    scene.find_sid();
    scene.created(2, 0);
    let block = "NATS/1.0\r\nKV-Operation: DEL\r\n\r\n";
    for (at, key) in [(1, ">"), (2, "a.*")] {
        let ack = format!("$JS.ACK.KV_b.c.1.{at}.{at}.1795405052788098189.{}", 2 - at);
        let (sid, len) = (scene.sid, block.len());
        scene.rig.receive(format!("HMSG $KV.b.{key} {sid} {ack} {len} {len}\r\n{block}\r\n"));
    }
    assert!(!scene.rig.written.contains("STREAM.PURGE"), "it would purge live keys: {}", scene.rig.written);
    assert_eq!(scene.rig.result(op), &Ok(Outcome::Purged(0)));
}

#[test]
fn a_stored_message_that_looks_like_a_status_is_a_message() {
    let mut scene = Scene::new(WatchOptions::default());
    scene.created(2, 0);
    scene.control("Idle Heartbeat", "$JS.ACK.KV_b.c.1.1.1.1795405052788098189.1"); // servers relay any header block
    scene.message("k", 2, 2, 0);
    assert_eq!(scene.revisions(), ["1", "2", "caught up"]);
    assert!(!scene.rig.written.contains("PUB $JS.ACK"), "{}", scene.rig.written);
}

#[test]
fn updates_seen_before_the_create_response_are_not_lost_with_their_consumer() {
    let mut scene = Scene::new(WatchOptions { updates_only: true, ..WatchOptions::default() });
    scene.message("a", 7, 1, 0);
    scene.message("a", 9, 3, 0);
    let sent = scene.rig.written.clone();
    let request = &sent[sent.rfind("CONSUMER.CREATE").expect("a new consumer")..];
    assert!(request.contains("\"opt_start_seq\":8"), "{request}");
}

#[test]
fn sequences_at_the_end_of_their_range_are_harmless() {
    let mut scene = Scene::new(WatchOptions::default());
    scene.created(2, 0);
    scene.message("a", u64::MAX, 1, 1);
    scene.message("b", 1, 5, 0);
    scene.recreated(CREATED, u64::MAX);
    assert_eq!(scene.revisions(), ["18446744073709551615"]);
}

#[test]
fn after_a_reconnect_replies_can_arrive_before_they_are_asked_for() {
    let mut scene = Scene::new(WatchOptions::default());
    scene.created(0, 0);
    scene.rig.pass(Duration::from_secs(2));
    scene.rig.lose();
    scene.rig.pass(Duration::from_millis(1));
    scene.rig.establish();
    let sent = scene.rig.sent();
    assert!(sent.find(".* 1\r\n").expect("inbox") < sent.find("CONSUMER.INFO").expect("probe"), "{sent}");
}

#[test]
fn a_value_larger_than_the_watch_may_queue_is_handed_out_all_the_same() {
    let config = Config { watch_limit: 1, ..Config::default() };
    let mut scene = Scene::with(config, WatchOptions::default());
    scene.created(2, 0);
    scene.message("a", 1, 1, 1);
    assert_eq!(scene.revisions(), ["1"]);
    scene.message("b", 2, 2, 0);
    assert_eq!(scene.revisions(), ["2", "caught up"]);
}

#[test]
#[cfg_attr(miri, ignore = "prints a whole client, which takes minutes there")]
fn a_watch_has_few_timers_however_often_it_is_made_anew() {
    let mut scene = Scene::new(WatchOptions::default());
    scene.created(0, 0);
    for _ in 0..50 {
        scene.rig.pass(Duration::from_secs(11));
        scene.recreated(CREATED, 0);
        scene.created(0, 0);
    }
    let timers = format!("{:?}", scene.rig.client).matches("Reverse(").count();
    assert!(timers < 10, "{timers}");
}

#[test]
fn a_watch_that_cannot_be_asked_for_leaves_no_subscription() {
    let mut rig = Rig::connected();
    let bucket = rig.client.bind("b", &HandleOptions::default()).expect("bind");
    rig.sent();
    let error = rig.call(|c, now| c.watch(bucket, &[&"k".repeat(4090)], WatchOptions::default(), now));
    assert_eq!(error.expect_err("too long").code, ErrorCode::TooLarge);
    let sent = rig.sent();
    assert_eq!(sent.matches("SUB ").count(), 2 * sent.matches("UNSUB ").count(), "{sent}");
}

#[test]
fn what_passes_by_itself_does_not_end_a_watch_that_was_open() {
    for (err_code, times) in [(10026, 2), (10047, 2), (10076, 1), (10039, 1)] {
        let mut scene = Scene::new(WatchOptions::default());
        scene.created(0, 0);
        scene.rig.pass(Duration::from_secs(11));
        let refused = format!("{{\"error\":{{\"code\":400,\"err_code\":{err_code},\"description\":\"x\"}}}}");
        for _ in 0..times {
            scene.recreated(CREATED, 0);
            scene.rig.answer("CONSUMER.CREATE", &refused);
            assert_eq!(scene.revisions().last().map(String::as_str).filter(|end| *end != "caught up"), None);
            scene.rig.sent();
            scene.rig.pass(Duration::from_secs(1));
        }
        scene.recreated(CREATED, 0);
    }
}

#[test]
fn a_subscription_that_is_not_allowed_ends_its_watch() {
    let mut scene = Scene::new(WatchOptions::default());
    let line = scene.rig.written.lines().find(|line| line.starts_with("SUB ")).expect("SUB").to_string();
    let inbox = line.split(' ').nth(1).expect("inbox");
    scene.created(1, 0);
    scene.rig.receive(format!("-ERR 'Permissions Violation for Subscription to \"{inbox}\"'\r\n"));
    assert_eq!(scene.revisions(), ["PERMISSION"]);
}

#[test]
fn a_read_whose_flow_control_is_not_allowed_fails_instead_of_stalling() {
    let (mut scene, op) = reading(|c, b, now| c.keys(b, &[], None, now));
    scene.created(9, 0);
    scene.message("a", 1, 1, 8);
    let create = scene.rig.written.lines().find(|line| line.contains("CONSUMER.CREATE")).expect("create").to_string();
    let name = create.split('.').nth(5).expect("name");
    scene.control("FlowControl Request", &format!("$JS.FC.KV_b.{name}.tok"));
    scene.rig.receive(format!("-ERR 'Permissions Violation for Publish to \"$JS.FC.KV_b.{name}.tok\"'\r\n"));
    assert_eq!(scene.rig.result(op).as_ref().expect_err("denied").code, ErrorCode::Permission);
}

#[test]
fn a_watch_of_a_bucket_bound_without_asking_notices_that_it_was_made_anew() {
    let mut rig = Rig::connected();
    let bucket = rig.client.bind("b", &HandleOptions::default()).expect("bind");
    let watch = rig.call(|c, now| c.watch(bucket, &[], WatchOptions::default(), now)).expect("watch");
    let mut scene = Scene { rig, watch, sid: 0, check: None };
    scene.find_sid();
    scene.created(1, 0);
    scene.rig.answer("STREAM.INFO", &info(CREATED, 9));
    scene.message("a", 9, 1, 0);
    assert_eq!(scene.revisions(), ["9", "caught up"]);
    scene.rig.sent();
    scene.rig.pass(Duration::from_secs(11));
    let request = scene.made_anew("2026-11-23T04:00:00Z", 20);
    assert!(request.contains("last_per_subject"), "{request}");
    assert_eq!(scene.revisions(), ["reset"]);
}

#[test]
fn purge_deletes_waits_for_an_election() {
    let mut rig = Rig::connected();
    let bucket = rig.client.bind("b", &HandleOptions::default()).expect("bind");
    let op = rig.call(|c, now| c.purge_deletes(bucket, Duration::ZERO, None, now)).expect("purge_deletes");
    rig.answer_status("STREAM.INFO", "503");
    rig.sent();
    rig.pass(Duration::from_millis(300));
    let mut scene = Scene { rig, watch: WatchId(0), sid: 0, check: None };
    let busy = "{\"error\":{\"code\":503,\"err_code\":10008,\"description\":\"no leader\"}}";
    for answer in [busy, busy, "{\"success\":true,\"purged\":1}"] {
        scene.markers(20);
        let replies = scene.purges();
        assert_eq!(replies.len(), 20, "all again, as one try");
        for reply in replies {
            scene.rig.receive(format!("MSG {reply} 1 {}\r\n{answer}\r\n", answer.len()));
        }
        scene.rig.pass(Duration::from_millis(300));
    }
    assert_eq!(scene.rig.result(op), &Ok(Outcome::Purged(20)));

    let op = scene.rig.call(|c, now| c.purge_deletes(bucket, Duration::ZERO, None, now)).expect("purge_deletes");
    for _ in 0..8 {
        scene.rig.answer_status("STREAM.INFO", "503");
        scene.rig.pass(Duration::from_millis(300));
    }
    assert_eq!(scene.rig.result(op).as_ref().expect_err("no leader").code, ErrorCode::NoResponders);
}

#[test]
fn a_purge_is_not_repeated_on_another_connection_but_asked_for_anew() {
    let mut rig = Rig::connected();
    let bucket = rig.client.bind("b", &HandleOptions::default()).expect("bind");
    let op = rig.call(|c, now| c.purge_deletes(bucket, Duration::ZERO, None, now)).expect("purge_deletes");
    let mut scene = Scene { rig, watch: WatchId(0), sid: 0, check: None };
    scene.markers(20);
    let replies = scene.purges();
    for reply in &replies[..5] {
        scene.rig.receive(format!("MSG {reply} 1 28\r\n{{\"success\":true,\"purged\":1}}\r\n"));
    }

    scene.rig.sent();
    scene.rig.lose();
    scene.rig.pass(Duration::from_secs(1));
    scene.rig.establish();

    assert_eq!(scene.rig.written.matches("STREAM.PURGE").count(), 0, "the bucket may be another one");
    scene.markers(8);
    let replies = scene.purges();
    assert_eq!(replies.len(), 8);
    for reply in replies {
        scene.rig.receive(format!("MSG {reply} 1 28\r\n{{\"success\":true,\"purged\":1}}\r\n"));
    }
    assert_eq!(scene.rig.result(op), &Ok(Outcome::Purged(20)), "what is gone was purged, and counts once");
}

#[test]
fn a_purge_that_is_not_answered_times_out_whatever_its_consumer_says() {
    let mut rig = Rig::connected();
    let bucket = rig.client.bind("b", &HandleOptions::default()).expect("bind");
    let timeout = Some(Duration::from_secs(10));
    let op = rig.call(|c, now| c.purge_deletes(bucket, Duration::ZERO, timeout, now)).expect("purge_deletes");
    rig.answer("STREAM.INFO", "{\"config\":{\"max_msgs_per_subject\":5},\"ts\":\"2026-11-23T03:37:33Z\"}");
    let mut scene = Scene { rig, watch: WatchId(0), sid: 0, check: None };
    scene.find_sid();
    scene.created(1, 0);
    let (sid, block) = (scene.sid, "NATS/1.0\r\nKV-Operation: DEL\r\n\r\n");
    let ack = "$JS.ACK.KV_b.c.1.7.1.1795405052788098189.0";
    scene.rig.receive(format!("HMSG $KV.b.k {sid} {ack} {0} {0}\r\n{block}\r\n", block.len()));
    assert!(scene.rig.written.contains("CONSUMER.DELETE.KV_b."), "the list is complete");
    for _ in 0..3 {
        scene.rig.pass(Duration::from_secs(5));
        scene.control("Idle Heartbeat\r\nNats-Last-Consumer: 1\r\nNats-Consumer-Stalled: $JS.FC.KV_b.c.t", "");
    }
    assert_eq!(scene.rig.result(op).as_ref().expect_err("silence").code, ErrorCode::Timeout);
}

/// A client that is closed while the server makes a consumer for it.
fn closed_over_a_create() -> Scene {
    let mut scene = Scene::new(WatchOptions::default());
    scene.rig.call(|c, now| c.close(now));
    let is_refused =
        |event: &Event| matches!(event, Event::WatchOpen { result: Err(error), .. } if error.code == ErrorCode::Closed);
    assert!(scene.rig.events.iter().any(is_refused), "{:?}", scene.rig.events);
    assert_eq!(scene.rig.client.state(), &State::Connected, "it could not be deleted yet");
    let error = scene.rig.call(|c, now| c.flush(None, now)).expect_err("it is closed");
    assert_eq!(error.code, ErrorCode::Closed);
    scene.rig.call(|c, now| c.drain(now));
    scene.rig.call(|c, now| c.close(now));
    assert_eq!(scene.rig.client.state(), &State::Connected);
    scene
}

fn has_hung_up(rig: &Rig) -> bool {
    rig.actions.iter().any(|action| matches!(action, Action::Disconnect { .. }))
}

#[test]
fn a_close_over_a_create_takes_it_back() {
    let mut scene = closed_over_a_create();
    let deletes = |rig: &Rig| rig.written.matches("CONSUMER.DELETE").count();
    let before = deletes(&scene.rig); // which may have overtaken the create
    scene.created(0, 0);
    assert_eq!(deletes(&scene.rig), before + 1, "{}", scene.rig.written);
    assert_eq!(scene.rig.client.state(), &State::Closed(None));
    assert!(has_hung_up(&scene.rig));
}

#[test]
fn a_close_over_a_create_that_nobody_answers_is_one_all_the_same() {
    let mut scene = closed_over_a_create();
    assert!(!has_hung_up(&scene.rig));
    scene.rig.pass(Duration::from_secs(1));
    assert_eq!(scene.rig.client.state(), &State::Closed(None));
    assert!(has_hung_up(&scene.rig));

    let mut scene = closed_over_a_create();
    scene.rig.lose();
    assert_eq!(scene.rig.client.state(), &State::Closed(None));
    assert_eq!(scene.rig.actions.iter().filter(|action| matches!(action, Action::Connect { .. })).count(), 1);
}
