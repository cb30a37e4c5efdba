//! How messages show what they speak of: text in quotes, durations with their unit, both as `{:?}` has them but for rare characters
//! beyond ASCII, which stand as they are.
//!
//! `{:?}` itself is for programmers: it needs to know what each character of Unicode is, and in a browser its tables and all derived
//! `Debug` would be six kilobytes of download. So the npm package is built without it, and no message is made with it.

use alloc::format;
use core::{
    fmt::{Display, Formatter, Result, Write},
    time::Duration,
};

/// Text in double quotes. What would not be seen, or would end the quotes, is escaped.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

/// A character in single quotes.
pub(crate) struct QuotedChar(pub(crate) char);

/// `1.5s`, `100ms`, `2µs`, `0ns`.
pub(crate) struct Span(pub(crate) Duration);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        in_quotes(self.0, '"', f)
    }
}

impl Display for QuotedChar {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        in_quotes(self.0.encode_utf8(&mut [0; 4]), '\'', f)
    }
}

fn in_quotes(text: &str, quote: char, f: &mut Formatter<'_>) -> Result {
    f.write_char(quote)?;
    for c in text.chars() {
        let short = match c {
            '\0' => '0',
            '\t' => 't',
            '\n' => 'n',
            '\r' => 'r',
            '\\' => c,
            _ if c == quote => c,
            _ if is_unseen(c) => {
                write!(f, "\\u{{{:x}}}", u32::from(c))?;
                continue;
            }
            _ => {
                f.write_char(c)?;
                continue;
            }
        };
        f.write_char('\\')?;
        f.write_char(short)?;
    }
    f.write_char(quote)
}

/// Controls, and what has no width, joins what is before it, or turns the direction of writing.
const fn is_unseen(c: char) -> bool {
    matches!(c, '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{ad}' | '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
}

impl Display for Span {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let (whole, part, digits, unit) = match (self.0.as_secs(), self.0.subsec_nanos()) {
            (0, nanos @ 0..1_000) => (u64::from(nanos), 0, 0, "ns"),
            (0, nanos @ 0..1_000_000) => (u64::from(nanos / 1_000), nanos % 1_000, 3, "µs"),
            (0, nanos) => (u64::from(nanos / 1_000_000), nanos % 1_000_000, 6, "ms"),
            (seconds, nanos) => (seconds, nanos, 9, "s"),
        };
        let fraction = if part == 0 { "".into() } else { format!(".{part:0digits$}") };
        write!(f, "{whole}{}{unit}", fraction.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn text_is_quoted_as_debug_does() {
        for text in [
            "",
            "plain",
            "a\"b'c\\",
            "\0\t\n\r\x01\x1b\x7f",
            "žluťoučký 東京 🦀",
            "e\u{301}\u{80}\u{ad}\u{200b}\u{202e}\u{2060}\u{feff}",
        ] {
            assert_eq!(Quoted(text).to_string(), format!("{text:?}"));
            for c in text.chars() {
                assert_eq!(QuotedChar(c).to_string(), format!("{c:?}"));
            }
        }
    }

    #[test]
    fn durations_are_shown_as_debug_does() {
        for nanos in
            [0, 1, 999, 1_000, 1_001, 1_010, 999_999, 1_000_000, 1_500_000, 999_999_999, 1_000_000_000, 90_000_000_001]
        {
            let duration = Duration::from_nanos(nanos);
            assert_eq!(Span(duration).to_string(), format!("{duration:?}"));
        }
        assert_eq!(Span(Duration::MAX).to_string(), format!("{:?}", Duration::MAX));
    }
}
