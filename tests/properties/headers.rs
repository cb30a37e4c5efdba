//! Header blocks are read as they were written, in whatever pieces they come.

use natskv_core::wire::{self, Headers, Parsed};
use proptest::prelude::*;

use crate::tries;

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => "[!-9;-~]{1,12}", // printable ASCII but the colon
        1 => prop::sample::select(vec!["KV-Operation", "Nats-TTL", "Nats-Sequence"]).prop_map(String::from),
    ]
}

/// Any bytes of UTF-8 but CR and LF; the blanks around are not part of a value.
fn value() -> impl Strategy<Value = String> {
    "[^\r\n]{0,20}".prop_map(|text| text.trim_matches(|c: char| c.is_ascii_whitespace()).to_owned())
}

proptest! {
    #![proptest_config(tries(1_500))]

    #[test]
    fn what_is_written_is_read(fields in prop::collection::vec((name(), value()), 0..6)) {
        let given: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let block = wire::encode_headers(&given).expect("by the rules");
        prop_assert!(block.starts_with(b"NATS/1.0\r\n") && block.ends_with(b"\r\n\r\n"));
        let headers = Headers::parse(&block);
        prop_assert!(!headers.is_malformed() && headers.status().is_none());
        let read: Vec<(&str, &[u8])> = headers.iter().collect();
        let expected: Vec<(&str, &[u8])> = given.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        prop_assert_eq!(read, expected);
        for (name, _) in &given {
            let last = given.iter().rev().find(|(other, _)| other == name).map(|(_, value)| value.as_bytes());
            prop_assert_eq!(headers.last(name), last);
        }
    }

    #[test]
    fn what_would_break_the_block_is_refused(name in any::<String>(), value in any::<String>()) {
        let is_name = !name.is_empty() && name.bytes().all(|byte| (33..=126).contains(&byte) && byte != b':');
        let is_value = !value.contains(['\r', '\n']);
        prop_assert_eq!(wire::encode_headers(&[(&name, &value)]).is_ok(), is_name && is_value);
    }

    #[test]
    fn pieces_do_not_matter(
        fields in prop::collection::vec((name(), value()), 0..4),
        payload in prop::collection::vec(any::<u8>(), 0..40),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
    ) {
        let given: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let block = wire::encode_headers(&given).expect("by the rules");
        let line = format!("HMSG s 7 {} {}\r\n", block.len(), block.len() + payload.len());
        let bytes = [line.as_bytes(), &block, &payload, b"\r\nPING\r\n"].concat();
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        places.extend([0, bytes.len()]);
        places.sort_unstable();
        let chunks: Vec<&[u8]> = places.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect();
        let message = Parsed::Message { subject: b"s".to_vec(), sid: b"7".to_vec(), reply: None, headers: block, payload };
        prop_assert_eq!(wire::parse(&chunks), [message, Parsed::Ping]);
    }

    #[test]
    fn reading_is_total(block in prop::collection::vec(any::<u8>(), 0..80), begins in any::<bool>()) {
        let block = if begins { [b"NATS/1.0\r\n", block.as_slice()].concat() } else { block };
        let headers = Headers::parse(&block);
        prop_assert_eq!(headers.block(), block.as_slice());
        let _ = (headers.iter().count(), wire::operation(&headers));
    }
}
