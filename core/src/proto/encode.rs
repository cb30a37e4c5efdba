//! Frames to the server, appended to one buffer. Numbers are written without the formatting machinery.

use alloc::{format, vec::Vec};

use crate::{
    error::{Error, ErrorCode},
    proto::headers,
};

/// The longest control line a server takes by default (`max_control_line`), its verb included, CRLF not.
pub(crate) const MAX_CONTROL_LINE: usize = 4096;

/// `PUB` or, with headers, `HPUB`. The subject comes in pieces so that nobody has to join them first.
///
/// Too long a line or too large a message is refused here: the server would close the connection over it.
pub(crate) fn publish(
    out: &mut Vec<u8>,
    subject: &[&str],
    reply: &[&str],
    headers: &[(&str, &str)],
    payload: &[u8],
    max_payload: usize,
) -> Result<(), Error> {
    let start = out.len();
    out.reserve(subject.iter().map(|part| part.len()).sum::<usize>() + payload.len() + 96);
    out.extend_from_slice(if headers.is_empty() { b"PUB " } else { b"HPUB " });
    for part in subject {
        out.extend_from_slice(part.as_bytes());
    }
    out.push(b' ');
    if !reply.is_empty() {
        for part in reply {
            out.extend_from_slice(part.as_bytes());
        }
        out.push(b' ');
    }
    let block = block_len(headers);
    let total = block + payload.len();
    if block > 0 {
        number(out, block as u64);
        out.push(b' ');
    }
    number(out, total as u64);
    let line = out.len() - start;
    if line > MAX_CONTROL_LINE {
        out.truncate(start);
        return Err(Error::new(
            ErrorCode::TooLarge,
            format!("the subject makes a control line of {line} bytes, the server takes {MAX_CONTROL_LINE}"),
        ));
    }
    if let Err(error) = check_size(total, max_payload) {
        out.truncate(start);
        return Err(error);
    }
    out.extend_from_slice(b"\r\n");
    if block > 0
        && let Err(error) = headers::encode_block(headers, out)
    {
        out.truncate(start);
        return Err(error);
    }
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Whether the server takes a message of this size, its headers included.
pub(crate) fn check_size(total: usize, max_payload: usize) -> Result<(), Error> {
    if total <= max_payload {
        return Ok(());
    }
    let text = format!("the message has {total} bytes with its headers, the server takes {max_payload} (max_payload)");
    Err(Error::new(ErrorCode::TooLarge, text))
}

/// Bytes of the header block; 0 without headers.
pub(crate) fn block_len(headers: &[(&str, &str)]) -> usize {
    if headers.is_empty() {
        return 0;
    }
    "NATS/1.0\r\n\r\n".len() + headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum::<usize>()
}

pub(crate) fn subscribe(out: &mut Vec<u8>, subject: &str, queue: Option<&str>, sid: u64) {
    out.extend_from_slice(b"SUB ");
    out.extend_from_slice(subject.as_bytes());
    if let Some(queue) = queue {
        out.push(b' ');
        out.extend_from_slice(queue.as_bytes());
    }
    out.push(b' ');
    number(out, sid);
    out.extend_from_slice(b"\r\n");
}

pub(crate) fn unsubscribe(out: &mut Vec<u8>, sid: u64, max: Option<u64>) {
    out.extend_from_slice(b"UNSUB ");
    number(out, sid);
    if let Some(max) = max {
        out.push(b' ');
        number(out, max);
    }
    out.extend_from_slice(b"\r\n");
}

pub(crate) fn number(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}
