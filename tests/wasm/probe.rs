//! Core as a wasm module with every public call reachable, so that whatever it would import shows: `cargo xtask test
//! core` builds this for wasm32 and finds that it imports nothing. Nobody ever runs it.

use std::time::Duration;

use natskv_core::{
    BucketConfig, Client, Compare, Config, ConnId, Credentials, HandleOptions, Instant, Lost, OnDrift, OpId, Signature,
    WatchId, WatchOptions,
};

/// Every byte of `script` is one call; what it is called with comes from `script` too, so nothing can be foreseen.
///
/// # Safety
/// `script` points to `length` readable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn natskv_probe(script: *const u8, length: usize) -> usize {
    // SAFETY: promised by the caller
    let script = unsafe { std::slice::from_raw_parts(script, length) };
    drive(script).unwrap_or_else(|error| error.to_json().len())
}

fn drive(script: &[u8]) -> Result<usize, natskv_core::Error> {
    let text = String::from_utf8_lossy(script).into_owned();
    let now = Instant::from_nanos(script.len() as u64);
    let conn = ConnId(script.len() as u64);
    let servers = vec![text.clone()];
    let (secret, signs) = (script.first().map(|_| text.as_str().into()), script.len() > 9);
    let given = Credentials { nkey_seed: secret.clone(), jwt: secret, signs, ..Credentials::default() };
    let config = Config {
        servers,
        credentials: given.clone(),
        asks_credentials: signs,
        websocket_in_core: script.len() > 99,
        ..Config::default()
    };
    let mut client = Client::new(config, [script.len() as u8; 32], now)?;
    let config = BucketConfig::from_json(&text)?;
    let bucket = client.bind(&text, &HandleOptions::default())?;
    let mut buffer = Vec::new();
    let mut seen = 0;
    for &call in script {
        let id = u64::from(call);
        let accepted = match call {
            0 => client.ready(None, now),
            1 => client.flush(None, now),
            2 => client.open(&text, &HandleOptions::default(), None, now),
            3 => client.create_bucket(&config, &HandleOptions::default(), Compare::All, OnDrift::Error, None, now),
            4 => client.update_bucket(&config, &HandleOptions::default(), None, now),
            5 => client.create_or_update_bucket(&config, &HandleOptions::default(), None, now),
            6 => client.delete_bucket(&text, None, now),
            7 => client.bucket_names(None, now),
            8 => client.bucket_list(None, now),
            9 => client.status(bucket, None, now),
            10 => client.get(bucket, &text, Some(id), None, now),
            11 => client.entry(bucket, &text, None, now),
            12 => client.put(bucket, &text, script, None, None, now),
            13 => client.create(bucket, &text, script, None, None, now),
            14 => client.update(bucket, &text, script, id, None, None, now),
            15 => client.delete(bucket, &text, Some(id), None, now),
            16 => client.purge(bucket, &text, Some(id), None, None, now),
            17 => client.history(bucket, &text, None, now),
            18 => client.keys(bucket, &[&text], None, now),
            19 => client.purge_deletes(bucket, Duration::from_secs(id), None, now),
            20 => client.execute(bucket, &text, None, now),
            _ => Ok(OpId(id)),
        };
        seen += accepted.map_or(0, |op| op.0 as usize);
        match call {
            30 => client.cancel(OpId(id), now),
            31 => seen += client.watch(bucket, &[&text], WatchOptions::default(), now).is_ok() as usize,
            32 => seen += client.watch_next(WatchId(id), now).is_some() as usize,
            33 => client.watch_stop(WatchId(id), now),
            34 => client.drain(now),
            35 => client.close(now),
            36 => client.transport_open(conn, now),
            37 => client.transport_secured(conn, now),
            38 => client.receive(conn, script, now),
            39 => client.transport_closed(conn, Lost::Eof, now),
            40 => client.credentials(conn, Ok(given.clone()), now),
            41 => client.signature(conn, Ok(Signature { signature: [call; 64], public_key: Some([call; 32]) }), now),
            42 => client.sleep(now),
            43 => client.wake(now),
            _ => client.handle_timeout(now),
        }
        seen += client.poll_transmit(&mut buffer).is_some() as usize + buffer.len();
        seen += client.poll_action().map_or(0, |action| format!("{action:?}").len());
        seen += client.poll_event().map_or(0, |event| format!("{event:?}").len());
        seen += client.deadline().is_some() as usize + client.pending_transmit();
    }
    let getters =
        format!("{:?}{:?}{}{:?}", client.state(), client.server_info(), client.connected_url(), client.stats());
    Ok(seen + getters.len() + client.bucket_name(bucket).len())
}
