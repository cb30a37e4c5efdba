//! Core, linked for wasm32 with nothing around it: package.test.mjs looks whether the module imports anything.

use natskv_core::{BucketConfig, Client, Compare, Config, ConnId, Instant, Lost, WatchOptions};

/// Reaches every part of core, so that the linker keeps it. Never run.
#[unsafe(no_mangle)]
pub extern "C" fn everything(now: u64, length: usize) -> usize {
    let bytes = vec![0; length];
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let now = Instant::from_nanos(now);
    let Ok(mut client) = Client::new(Config { servers: vec![text.clone()], ..Config::default() }, [7; 32], now) else { return 0 };
    let Ok(bucket) = client.bind(&text) else { return 1 };
    if let Ok(config) = BucketConfig::from_json(&text) {
        let _ = client.create_bucket(&config, Compare::Given, None, now);
        let _ = client.update_bucket(&config, None, now);
        let _ = client.create_or_update_bucket(&config, None, now);
    }
    let _ = client.ready(None, now);
    let _ = client.flush(None, now);
    let _ = client.open(&text, None, now);
    let _ = client.delete_bucket(&text, None, now);
    let _ = client.bucket_names(None, now);
    let _ = client.bucket_list(None, now);
    let _ = client.status(bucket, None, now);
    let _ = client.get(bucket, &text, None, None, now);
    let _ = client.entry(bucket, &text, None, now);
    let _ = client.put(bucket, &text, &bytes, None, now);
    let _ = client.create(bucket, &text, &bytes, None, None, now);
    let _ = client.update(bucket, &text, &bytes, 1, None, now);
    let _ = client.delete(bucket, &text, None, None, now);
    let _ = client.purge(bucket, &text, None, None, None, now);
    let _ = client.history(bucket, &text, None, now);
    let _ = client.keys(bucket, &[&text], None, now);
    let _ = client.purge_deletes(bucket, core::time::Duration::ZERO, None, now);
    let _ = client.execute(bucket, &text, None, now);
    if let Ok(watch) = client.watch(bucket, &[&text], WatchOptions::default(), now) {
        let _ = client.watch_next(watch, now);
        client.watch_stop(watch, now);
    }
    client.transport_open(ConnId(1), now);
    client.transport_secured(ConnId(1), now);
    client.receive(ConnId(1), &bytes, now);
    client.handle_timeout(now);
    client.transport_closed(ConnId(1), Lost::Eof, now);
    client.drain(now);
    client.close(now);
    let mut out = Vec::new();
    while client.poll_transmit(&mut out).is_some() || client.poll_action().is_some() || client.poll_event().is_some() {}
    out.len() + client.connected_url().len() + client.stats().in_msgs as usize
}
