//! Subjects: dot-separated tokens. What may be published to, and what a filter matches.

use alloc::format;

use crate::{error::Error, shown::Quoted};

/// A subject that may be published to: tokens not empty, no white space or control character, no wildcard token.
///
/// The server takes a CR or LF as the end of the line, so an unchecked one would be a protocol injection.
pub(crate) fn check_publish(subject: &str) -> Result<(), Error> {
    let wrong = |why: &str| Err(Error::argument(format!("subject {subject}: {why}", subject = Quoted(subject))));
    if let Some(at) = subject.bytes().position(|b| b <= b' ' || b == 127) {
        return wrong(&format!("white space or control character at byte {at}"));
    }
    for token in subject.split('.') {
        match token {
            "" => return wrong("empty token"),
            "*" | ">" => return wrong("wildcards cannot be published to"),
            _ => {}
        }
    }
    Ok(())
}

/// Whether it has wildcards.
pub(crate) fn is_filter(subject: &str) -> bool {
    subject.split('.').any(|token| matches!(token, "*" | ">"))
}

/// Whether every subject that `narrow` matches is matched by `wide` too. Both may be literal.
pub(crate) fn covers(wide: &str, narrow: &str) -> bool {
    let mut narrow = narrow.split('.');
    for token in wide.split('.') {
        match (token, narrow.next()) {
            (">", Some(_)) => return true,
            (_, None) | ("*", Some(">")) => return false,
            ("*", Some(_)) => {}
            (a, Some(b)) if a == b => {}
            _ => return false,
        }
    }
    narrow.next().is_none()
}

/// Whether some subject is matched by both.
pub(crate) fn overlaps(a: &str, b: &str) -> bool {
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return true,
            (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
            (Some(x), Some(y)) if x == y || x == "*" || y == "*" => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covering() {
        for (wide, narrow, expected) in [
            (">", "a", true),
            (">", "a.>", true),
            ("a.>", "a", false),
            ("a.>", "a.b.c", true),
            ("a.*", "a.>", false),
            ("a.*", "a.*", true),
            ("a.*", "a.b", true),
            ("*.b", "a.*", false),
            ("a", "a.b", false),
            ("*", ">", false),
        ] {
            assert_eq!(covers(wide, narrow), expected, "{wide} covers {narrow}");
        }
        assert!(overlaps("a.*", "*.b") && overlaps("a.>", "*.b.c") && !overlaps("a.*", "b.*") && !overlaps("a", "a.b"));
    }
}
