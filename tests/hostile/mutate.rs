//! What a hostile server makes of a conversation.

use std::time::Duration;

use natskv_kit::dice::Dice;

use crate::record::Step;

/// Numbers that are not what they should be.
const NUMBERS: [&str; 14] = [
    "0",
    "1",
    "2",
    "-1",
    "00",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e9",
    "0x10",
    " 7",
    "99999999999999999999999999999999999999",
];

/// What may stand where an answer was expected.
const PAYLOADS: [&str; 16] = [
    "{}",
    "[]",
    "null",
    "{",
    "\"\"",
    "{\"error\":{}}",
    "{\"error\":{\"code\":503,\"err_code\":10008,\"description\":\"x\"}}",
    "{\"error\":{\"code\":404,\"err_code\":10059,\"description\":\"stream not found\"}}",
    "{\"error\":{\"code\":400,\"err_code\":10071,\"description\":\"wrong last sequence: 18446744073709551615\"}}",
    "{\"error\":{\"code\":400,\"err_code\":10164,\"description\":\"wrong last sequence\"}}",
    "{\"stream\":\"KV_b\",\"seq\":18446744073709551615}",
    "{\"stream\":\"KV_other\",\"seq\":1}",
    "{\"stream\":\"KV_b\",\"seq\":0,\"duplicate\":true}",
    "{\"num_pending\":18446744073709551615,\"delivered\":{\"stream_seq\":18446744073709551615}}",
    "{\"config\":{\"max_msgs_per_subject\":-1},\"state\":{\"last_seq\":0},\"created\":\"yesterday\"}",
    "{\"total\":18446744073709551615,\"offset\":0,\"limit\":1,\"streams\":[]}",
];

const LINES: [&str; 22] = [
    "PING\r\n",
    "PONG\r\n",
    "+OK\r\n",
    "-ERR 'Stale Connection'\r\n",
    "-ERR 'Authorization Violation'\r\n",
    "-ERR 'Permissions Violation for Publish to \"$KV.b.a\"'\r\n",
    "-ERR 'Permissions Violation for Subscription to \"_INBOX.>\"'\r\n",
    "-ERR\r\n",
    "-ERR 'Maximum Payload Violation'\r\n",
    "INFO {\"max_payload\":0,\"headers\":true}\r\n",
    "INFO {\"max_payload\":1,\"headers\":false}\r\n",
    "INFO {\"ldm\":true}\r\n",
    "INFO {\"tls_required\":true}\r\n",
    "INFO {\"nonce\":\"x\",\"auth_required\":true}\r\n",
    "INFO {\"connect_urls\":[\"\",\"::\",\"127.0.0.1\",\"[::1]:x\",\"a:99999\"]}\r\n",
    "INFO []\r\n",
    "INFO\r\n",
    "MSG\r\n",
    "HMSG a 1 12 3\r\nNATS/1.0\r\n\r\n\r\n",
    "MSG a 99 0\r\n\r\n",
    "HTTP/1.1 400 Bad Request\r\n\r\n",
    "\0\0\0\0",
];

const HEADERS: [&str; 12] = [
    "NATS/1.0 503\r\n\r\n",
    "NATS/1.0 404 Message Not Found\r\n\r\n",
    "NATS/1.0 408 Request Timeout\r\n\r\n",
    "NATS/1.0 409 Consumer Deleted\r\n\r\n",
    "NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 18446744073709551615\r\n\r\n",
    "NATS/1.0 100 Idle Heartbeat\r\nNats-Consumer-Stalled: x y z\r\n\r\n",
    "NATS/1.0 100 FlowControl Request\r\n\r\n",
    "NATS/1.0 204 EOB\r\nNats-Num-Pending: 18446744073709551615\r\nNats-Last-Sequence: 0\r\n\r\n",
    "NATS/1.0 999999\r\n\r\n",
    "NATS/1.0\r\nKV-Operation: PURGE\r\nNats-Marker-Reason: MaxAge\r\nNats-Msg-Size: -1\r\n\r\n",
    "NATS/1.0\r\nNats-Sequence: 0\r\nNats-Time-Stamp: 9999-99-99T99:99:99Z\r\nNats-Subject: \r\n\r\n",
    "XATS/9\r\n:\r\n",
];

/// A conversation with a few things wrong.
pub(crate) fn mutated(steps: &[Step], other: &[Step], dice: &mut Dice) -> Vec<Step> {
    let mut steps = steps.to_vec();
    for _ in 0..1 + dice.below(4) {
        let is_said = |step: &Step| matches!(step, Step::Bytes(bytes) if !bytes.is_empty());
        let said: Vec<usize> = (0..steps.len()).filter(|at| is_said(&steps[*at])).collect();
        let at = *dice.pick(&said);
        match dice.below(12) {
            0 => drop(steps.remove(at)),
            1 => {
                let again = steps[at].clone();
                let to = dice.below(steps.len() as u64 + 1) as usize;
                steps.insert(to, again);
            }
            2 => {
                let with = *dice.pick(&said);
                steps.swap(at, with);
            }
            3 => {
                let foreign = dice.pick(other).clone();
                if matches!(foreign, Step::Bytes(_)) {
                    steps.insert(at, foreign);
                }
            }
            4 => steps.insert(at, Step::Lose),
            5 => steps.insert(at, Step::Wait(Duration::from_millis(dice.below(8000)))),
            6 => cut(&mut steps, at, dice),
            _ => {
                if let Step::Bytes(bytes) = &mut steps[at] {
                    *bytes = spoilt(bytes, dice);
                }
            }
        }
    }
    steps
}

/// The same in pieces, with time between them.
fn cut(steps: &mut Vec<Step>, at: usize, dice: &mut Dice) {
    let Step::Bytes(bytes) = &mut steps[at] else { return };
    let tail = bytes.split_off(dice.below(bytes.len() as u64) as usize);
    steps.splice(at + 1..at + 1, [Step::Wait(Duration::from_millis(dice.below(3000))), Step::Bytes(tail)]);
}

/// What the server said, as it should not have said it.
fn spoilt(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    let frames = frames(bytes);
    let which = dice.below(frames.len() as u64) as usize;
    let frame = match dice.below(15) {
        0 => flipped(frames[which], dice),
        1 => frames[which][..dice.below(frames[which].len() as u64) as usize].to_vec(),
        2 => [dice.pick(&LINES).as_bytes(), frames[which]].concat(),
        3 => [frames[which], dice.pick(&LINES).as_bytes()].concat(),
        4 | 5 => renumbered(frames[which], dice),
        6 => answered(frames[which], dice.pick(&PAYLOADS).as_bytes()),
        7 => headed(frames[which], dice.pick::<&str>(&HEADERS)),
        8 => endless(dice),
        // The answer to one question given to another.
        9 => exchanged(frames[which], frames[dice.below(frames.len() as u64) as usize]),
        10 => frames[which].repeat(2 + dice.below(200) as usize),
        11 => worded(frames[which], dice),
        12 => (0..dice.below(64)).map(|_| dice.roll() as u8).collect(),
        13 => oversized(frames[which], dice),
        _ => {
            let mut all = frames.clone();
            for at in (1..all.len()).rev() {
                all.swap(at, dice.below(at as u64 + 1) as usize);
            }
            return all.concat();
        }
    };
    let (before, after) = (frames[..which].concat(), frames[which + 1..].concat());
    [before, frame, after].concat()
}

/// Lines, and messages with their payloads.
fn frames(bytes: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let line = rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |at| at + 1);
        let mut words = rest[..line].trim_ascii().split(|b| *b == b' ');
        let size = words.next_back().and_then(|word| std::str::from_utf8(word).ok()?.parse::<usize>().ok());
        let is_message = rest.starts_with(b"MSG ") || rest.starts_with(b"HMSG ");
        let end = if is_message { line.saturating_add(size.unwrap_or_default()).saturating_add(2) } else { line };
        let (frame, behind) = rest.split_at(end.min(rest.len()));
        frames.push(frame);
        rest = behind;
    }
    frames
}

fn flipped(frame: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut frame = frame.to_vec();
    for _ in 0..1 + dice.below(4) {
        let at = dice.below(frame.len() as u64) as usize;
        frame[at] = *dice.pick(&[b' ', b'\r', b'\n', 0, 0xff, b'.', b'>', b'"', b'0', dice.clone().roll() as u8]);
    }
    frame
}

/// One of its numbers is another.
fn renumbered(frame: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut runs = Vec::new();
    let mut start = None;
    for (at, b) in frame.iter().chain([&b' ']).enumerate() {
        match (b.is_ascii_digit(), start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                runs.push(from..at);
                start = None;
            }
            _ => {}
        }
    }
    if runs.is_empty() {
        return flipped(frame, dice);
    }
    let run = dice.pick(&runs).clone();
    let number = std::str::from_utf8(&frame[run.clone()]).ok().and_then(|text| text.parse::<u64>().ok());
    let other = match dice.below(4) {
        0 => number.unwrap_or_default().wrapping_add(1).to_string(),
        1 => number.unwrap_or_default().saturating_sub(1).to_string(),
        _ => (*dice.pick(&NUMBERS)).to_owned(),
    };
    [&frame[..run.start], other.as_bytes(), &frame[run.end..]].concat()
}

/// Subject, sid and reply of a message, and its headers and payload.
fn parts(frame: &[u8]) -> Option<(Vec<String>, &[u8], &[u8])> {
    let line = frame.iter().position(|b| *b == b'\n')? + 1;
    let words: Vec<String> =
        std::str::from_utf8(&frame[..line]).ok()?.trim_end().split(' ').map(str::to_owned).collect();
    let body = frame[line..].strip_suffix(b"\r\n")?;
    let (counts, block) = match words.first()?.as_str() {
        "MSG" => (1, 0),
        "HMSG" => (2, words.get(words.len().checked_sub(2)?)?.parse::<usize>().ok()?),
        _ => return None,
    };
    let (headers, payload) = body.split_at_checked(block)?;
    Some((words[1..words.len() - counts].to_vec(), headers, payload))
}

fn message(address: &[String], headers: &[u8], payload: &[u8]) -> Vec<u8> {
    let (address, total) = (address.join(" "), headers.len() + payload.len());
    let line = match headers.len() {
        0 => format!("MSG {address} {total}\r\n"),
        block => format!("HMSG {address} {block} {total}\r\n"),
    };
    [line.as_bytes(), headers, payload, b"\r\n"].concat()
}

/// The same message with another payload.
fn answered(frame: &[u8], payload: &[u8]) -> Vec<u8> {
    parts(frame).map_or_else(|| frame.to_vec(), |(address, headers, _)| message(&address, headers, payload))
}

/// The same message with other headers.
fn headed(frame: &[u8], headers: &str) -> Vec<u8> {
    parts(frame).map_or_else(|| frame.to_vec(), |(address, _, payload)| message(&address, headers.as_bytes(), payload))
}

/// One message's address over another's contents.
fn exchanged(frame: &[u8], other: &[u8]) -> Vec<u8> {
    match (parts(frame), parts(other)) {
        (Some((address, ..)), Some((_, headers, payload))) => message(&address, headers, payload),
        _ => [other, frame].concat(),
    }
}

/// A word of it stands elsewhere, or is gone.
fn worded(frame: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut words: Vec<&[u8]> = frame.split(|b| *b == b' ').collect();
    let (from, to) = (dice.below(words.len() as u64) as usize, dice.below(words.len() as u64) as usize);
    match dice.below(3) {
        0 => words.swap(from, to),
        1 => drop(words.remove(from)),
        _ => words.insert(to, words[from]),
    }
    words.join(&b' ')
}

/// Something that never ends: a line, a header block, a payload, a list.
fn endless(dice: &mut Dice) -> Vec<u8> {
    let (start, part, end): (&str, &str, &str) = *dice.pick(&[
        ("MSG ", "a", ""),
        ("INFO {\"server_id\":\"", "x", ""),
        ("INFO {\"connect_urls\":[", "\"10.0.0.1:4222\",", "\"10.0.0.1:1\"]}\r\n"),
        ("INFO ", "[", "\r\n"),
        ("INFO ", "{\"a\":", "\r\n"),
        ("-ERR '", "no ", "'\r\n"),
        ("HMSG a 1 2000000000 2000000001\r\nNATS/1.0\r\n", "A: b\r\n", ""),
        ("MSG a 1 250000\r\n", "payload ", ""),
        ("", "PING\r\n", ""),
        ("", "-ERR 'Unknown'\r\n", ""),
        ("", "\r\n", ""),
    ]);
    let times = (1 << dice.below(17)) / part.len().max(1);
    [start, &part.repeat(times), end].concat().into_bytes()
}

/// A message that is larger than it should be, or says so.
fn oversized(frame: &[u8], dice: &mut Dice) -> Vec<u8> {
    let Some((address, headers, payload)) = parts(frame) else { return endless(dice) };
    let large = 1 << (10 + dice.below(9));
    match dice.below(4) {
        0 => message(&address, headers, &vec![b' '; large]),
        1 => message(&address, headers, &[payload, &vec![b'x'; large]].concat()),
        2 => {
            let line = format!("NATS/1.0\r\n{}\r\n", "Some-Header: of some length\r\n".repeat(large / 30));
            message(&address, line.as_bytes(), payload)
        }
        _ => format!("MSG {} {}\r\n", address.join(" "), 1_u64 << (18 + dice.below(40))).into_bytes(),
    }
}
