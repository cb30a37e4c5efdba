//! JSON as far as NATS and SPEC.md's forms need it: read into a tree, built as a tree, written without white space.
//!
//! Our own since it goes to browsers: whole numbers only are understood, fields are few enough to be looked for one by one, and so
//! neither floating point nor maps come along.

use alloc::{borrow::ToOwned, boxed::Box, string::String, vec::Vec};
use core::fmt;

use crate::number::parse_u64;

/// Arrays and objects within each other; servers go to about ten.
const MAX_DEPTH: usize = 128;

/// Any JSON value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Value {
    /// `null`
    #[default]
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number that is whole and not negative.
    Unsigned(u64),
    /// A number that is whole and negative.
    Negative(i64),
    /// Any other number, as it was written.
    Number(Box<str>),
    /// Text.
    String(String),
    /// A list.
    Array(Vec<Self>),
    /// Fields.
    Object(Object),
}

/// Fields in their order. Of a name that comes twice the last counts.
#[derive(Clone, Debug, Default)]
pub struct Object(Vec<(String, Value)>);

/// An object of these fields.
macro_rules! object {
    ($($name:expr => $value:expr),* $(,)?) => {{
        #[allow(unused_mut)]
        let mut object = $crate::json::Object::default();
        $(object.insert($name, $value);)*
        object
    }};
}
pub(crate) use object;

impl Object {
    /// The value of a field.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Whether there is such a field.
    pub fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Sets a field.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.set(name.into(), value.into());
    }

    fn set(&mut self, name: String, value: Value) {
        match self.0.iter_mut().rev().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name, value)),
        }
    }

    /// Takes a field out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().rposition(|(known, _)| known == name)?;
        let (_, value) = self.0.remove(at);
        self.0.retain(|(known, _)| known != name);
        Some(value)
    }

    /// Name and value of each field, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The same fields, in whatever order, each with the value that counts.
impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        let has_all_of = |object: &Self| object.iter().all(|(name, _)| self.get(name) == other.get(name));
        has_all_of(self) && has_all_of(other)
    }
}

impl Eq for Object {}

impl IntoIterator for Object {
    type IntoIter = alloc::vec::IntoIter<(String, Value)>;
    type Item = (String, Value);

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Value {
    /// The value that `text` is, white space around it allowed; what is wrong with it else.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut reader = Reader { text, at: 0, depth: 0 };
        let value = reader.value()?;
        if reader.peek().is_some() { Err(reader.malformed()) } else { Ok(value) }
    }

    /// The value that these bytes are; None for what is not JSON.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        Self::parse(core::str::from_utf8(bytes).ok()?).ok()
    }

    /// The field of an object.
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.as_object()?.get(name)
    }

    /// Text.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// A whole number that is not negative.
    pub fn as_u64(&self) -> Option<u64> {
        if let Self::Unsigned(number) = self { Some(*number) } else { None }
    }

    /// A whole number.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Unsigned(number) => i64::try_from(*number).ok(),
            Self::Negative(number) => Some(*number),
            _ => None,
        }
    }

    /// `true` or `false`.
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(is) = self { Some(*is) } else { None }
    }

    /// A list.
    pub fn as_array(&self) -> Option<&[Self]> {
        if let Self::Array(items) = self { Some(items) } else { None }
    }

    /// The texts of a list; what else is in it is left out.
    pub fn texts(&self) -> Vec<String> {
        let mut texts = Vec::new();
        for item in self.as_array().unwrap_or_default() {
            texts.extend(item.as_str().map(String::from));
        }
        texts
    }

    /// Fields.
    pub fn as_object(&self) -> Option<&Object> {
        if let Self::Object(fields) = self { Some(fields) } else { None }
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(is) => out.push_str(if *is { "true" } else { "false" }),
            Self::Unsigned(number) => out.push_str(itoa::Buffer::new().format(*number)),
            Self::Negative(number) => out.push_str(itoa::Buffer::new().format(*number)),
            Self::Number(text) => out.push_str(text),
            Self::String(text) => quote(text, out),
            Self::Array(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(fields) => fields.write(out),
        }
    }
}

impl Object {
    fn write(&self, out: &mut String) {
        out.push('{');
        for (at, (name, value)) in self.0.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            quote(name, out);
            out.push(':');
            value.write(out);
        }
        out.push('}');
    }
}

/// Appends text in quotes.
pub(crate) fn quote(text: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push('"');
    let mut start = 0;
    for (at, byte) in text.bytes().enumerate() {
        let short = match byte {
            b'"' => '"',
            b'\\' => '\\',
            b'\n' => 'n',
            b'\r' => 'r',
            b'\t' => 't',
            0..0x20 => 'u',
            _ => continue,
        };
        out.push_str(&text[start..at]);
        out.push('\\');
        out.push(short);
        if short == 'u' {
            out.push_str("00");
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
        start = at + 1;
    }
    out.push_str(&text[start..]);
    out.push('"');
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        self.write(&mut out);
        f.write_str(&out)
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        self.write(&mut out);
        f.write_str(&out)
    }
}

macro_rules! from {
    ($($type:ty: |$value:ident| $made:expr;)+) => {
        $(impl From<$type> for Value {
            fn from($value: $type) -> Self {
                $made
            }
        })+
    };
}

from! {
    bool: |is| Self::Bool(is);
    u64: |number| Self::Unsigned(number);
    i64: |number| u64::try_from(number).map_or(Self::Negative(number), Self::Unsigned);
    i32: |number| i64::from(number).into();
    u32: |number| u64::from(number).into();
    u16: |number| u64::from(number).into();
    u8: |number| u64::from(number).into();
    usize: |number| Self::Unsigned(number as u64);
    &str: |text| Self::String(text.to_owned());
    &String: |text| Self::String(text.clone());
    String: |text| Self::String(text);
    Object: |fields| Self::Object(fields);
    Vec<Value>: |items| Self::Array(items);
    Vec<String>: |items| Self::Array(items.into_iter().map(Self::String).collect());
    &[String]: |items| Self::Array(items.iter().map(Self::from).collect());
}

impl FromIterator<Self> for Value {
    fn from_iter<I: IntoIterator<Item = Self>>(items: I) -> Self {
        let mut list = Vec::new(); // smaller than `collect`, which is compiled for each kind of iterator
        for item in items {
            list.push(item);
        }
        Self::Array(list)
    }
}

impl FromIterator<(String, Value)> for Object {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(fields: I) -> Self {
        let mut list = Vec::new();
        for field in fields {
            list.push(field);
        }
        Self(list)
    }
}

impl PartialEq<str> for Value {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == Some(other)
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Text that is not JSON, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The byte at which it cannot go on.
    pub at: usize,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not JSON from byte ")?;
        f.write_str(itoa::Buffer::new().format(self.at))?;
        f.write_str(" on")
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    const fn malformed(&self) -> Malformed {
        Malformed { at: self.at }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is not white space, which is passed.
    fn peek(&mut self) -> Option<u8> {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        self.byte()
    }

    fn take(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.peek() != Some(byte) {
            return Err(self.malformed());
        }
        self.at += 1;
        Ok(())
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, Malformed> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.malformed());
        }
        self.at += word.len();
        Ok(value)
    }

    fn value(&mut self) -> Result<Value, Malformed> {
        match self.peek() {
            Some(b'n') => self.word("null", Value::Null),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(open @ (b'[' | b'{')) if self.depth < MAX_DEPTH => {
                self.at += 1;
                self.depth += 1;
                let value = if open == b'[' { self.array() } else { self.object() };
                self.depth -= 1;
                value
            }
            _ => Err(self.malformed()),
        }
    }

    fn array(&mut self) -> Result<Value, Malformed> {
        let mut items = Vec::new();
        while self.more(b']', items.is_empty())? {
            items.push(self.value()?);
        }
        Ok(Value::Array(items))
    }

    fn object(&mut self) -> Result<Value, Malformed> {
        let mut fields = Object::default();
        while self.more(b'}', fields.is_empty())? {
            self.peek();
            let name = self.string()?;
            self.take(b':')?;
            let value = self.value()?;
            fields.0.push((name, value)); // not looked for: a server may send a million
        }
        Ok(Value::Object(fields))
    }

    /// Whether another item follows, or the end, which is passed; so is the comma between two.
    fn more(&mut self, end: u8, is_first: bool) -> Result<bool, Malformed> {
        if self.peek() == Some(end) {
            self.at += 1;
            return Ok(false);
        }
        if !is_first {
            self.take(b',')?;
        }
        Ok(true)
    }

    fn number(&mut self) -> Result<Value, Malformed> {
        let start = self.at;
        self.at += usize::from(self.byte() == Some(b'-'));
        let digits = self.at;
        self.digits()?;
        if self.text.as_bytes()[digits] == b'0' && self.at > digits + 1 {
            return Err(Malformed { at: digits });
        }
        let whole_end = self.at;
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), Some(b'+' | b'-')));
            self.digits()?;
        }
        let text = &self.text[start..self.at];
        let whole = parse_u64(&self.text.as_bytes()[digits..whole_end]).filter(|_| self.at == whole_end);
        let number = match whole {
            Some(number) if digits == start => Some(Value::Unsigned(number)),
            Some(number) => 0_i64.checked_sub_unsigned(number).map(Value::from),
            None => None,
        };
        Ok(number.unwrap_or_else(|| Value::Number(text.into())))
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        while matches!(self.byte(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.malformed()) } else { Ok(()) }
    }

    fn string(&mut self) -> Result<String, Malformed> {
        if self.byte() != Some(b'"') {
            return Err(self.malformed());
        }
        self.at += 1;
        let mut out = String::new();
        loop {
            let start = self.at;
            while self.byte().is_some_and(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
                self.at += 1;
            }
            out.push_str(&self.text[start..self.at]); // both ends are ASCII, or the text's
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => {
                    self.at += 1;
                    out.push(self.escape()?);
                }
                _ => return Err(self.malformed()),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Malformed> {
        let byte = self.byte().ok_or_else(|| self.malformed())?;
        self.at += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'b' => '\x08',
            b'f' => '\x0c',
            b'u' => {
                let mut code = self.hex()?;
                if (0xd800..0xdc00).contains(&code) && self.text[self.at..].starts_with("\\u") {
                    self.at += 2;
                    let low = self.hex()?;
                    if !(0xdc00..0xe000).contains(&low) {
                        return Err(self.malformed());
                    }
                    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                }
                char::from_u32(code).ok_or_else(|| self.malformed())?
            }
            _ => return Err(Malformed { at: self.at - 1 }),
        })
    }

    fn hex(&mut self) -> Result<u32, Malformed> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4).ok_or_else(|| self.malformed())?;
        let value = digits.iter().try_fold(0, |value, digit| Some(value << 4 | char::from(*digit).to_digit(16)?));
        self.at += 4;
        value.ok_or_else(|| self.malformed())
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn of_a_name_that_comes_twice_the_last_counts() {
        let twice = Value::parse(r#"{"a":1,"b":2,"a":3}"#).expect("JSON");
        assert_eq!(twice, twice.clone());
        assert_eq!(twice, Value::parse(r#"{"b":2,"a":3}"#).expect("JSON"));
        assert_ne!(twice, Value::parse(r#"{"a":1,"b":2}"#).expect("JSON"));
        assert_ne!(twice, Value::parse(r#"{"a":3,"c":2}"#).expect("JSON"));
    }

    #[test]
    fn what_is_read_is_written_again() {
        for text in [
            r#"{"a":[1,-2,3.50,1e9,18446744073709551615,-9223372036854775808],"b":{"c":null,"d":[]},"e":true}"#,
            r#""\"\\\n\u0001é😀""#,
            "[]",
            "{}",
            "12345678901234567890123",
        ] {
            assert_eq!(Value::parse(text).map(|value| value.to_string()).as_deref(), Ok(text));
        }
        assert_eq!(
            Value::parse(" [ 1 , { \"a\" : \"\\u003e\\ud83d\\ude00\\/\" } ] ").map(|v| v.to_string()),
            Ok("[1,{\"a\":\">😀/\"}]".into())
        );
        let twice = Value::parse("{\"a\":1,\"a\":2}").expect("JSON");
        assert_eq!(twice.get("a"), Some(&Value::Unsigned(2)));
    }

    #[test]
    fn what_is_not_json_is_refused_where_it_ends_to_be() {
        for (text, at) in [
            ("", 0),
            ("nul", 0),
            ("[1", 2),
            ("[1,]", 3),
            ("{\"a\"}", 4),
            ("{a:1}", 1),
            ("01", 0),
            ("1.", 2),
            ("-", 1),
            ("\"a", 2),
            ("\"\\x\"", 2),
            ("\"\n\"", 1),
            ("1 2", 2),
            ("\"\\ud800\"", 7),
            ("[1}", 2),
            ("{\"a\":1,}", 7),
        ] {
            assert_eq!(Value::parse(text), Err(Malformed { at }), "{text}");
        }
        assert!(Value::parse(&"[".repeat(100_000)).is_err());
    }
}
