//! Reading JSON that users wrote: each field by its name and type, and an error that names what does not fit.

use alloc::{format, string::String, vec::Vec};
use core::time::Duration;

use crate::{
    error::Error,
    json::{Object, Value},
};

/// A JSON object being read field by field; what is left over at the end is unknown and named.
pub(crate) struct Fields {
    what: &'static str,
    pub(crate) rest: Object,
}

impl Fields {
    pub(crate) fn new(what: &'static str, value: Value) -> Result<Self, Error> {
        match value {
            Value::Object(rest) => Ok(Self { what, rest }),
            other => Err(Error::argument(format!("{what}: {other} is not a JSON object"))),
        }
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.rest.remove(name).filter(|value| *value != Value::Null)
    }

    pub(crate) fn wrong(&self, name: &str, why: &str) -> Error {
        Error::argument(format!("{}: `{name}`: {why}", self.what))
    }

    pub(crate) fn string(&mut self, name: &str) -> Result<Option<String>, Error> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(name, &format!("{other} is not a string"))),
        }
    }

    pub(crate) fn strings(&mut self, name: &str) -> Result<Vec<String>, Error> {
        let Some(value) = self.take(name) else { return Ok(Vec::new()) };
        let texts = value.texts();
        match value.as_array() {
            Some(items) if items.len() == texts.len() => Ok(texts),
            _ => Err(self.wrong(name, &format!("{value} is not a list of strings"))),
        }
    }

    /// A list, each item as `read` reads it.
    pub(crate) fn list<T>(
        &mut self,
        name: &str,
        read: impl Fn(Value) -> Result<T, Error>,
    ) -> Result<Option<Vec<T>>, Error> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(items)) => {
                let mut list = Vec::new();
                for item in items {
                    list.push(read(item)?);
                }
                Ok(Some(list))
            }
            Some(other) => Err(self.wrong(name, &format!("{other} is not a list"))),
        }
    }

    pub(crate) fn boolean(&mut self, name: &str) -> Result<Option<bool>, Error> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(is)) => Ok(Some(is)),
            Some(other) => Err(self.wrong(name, &format!("{other} is not true or false"))),
        }
    }

    pub(crate) fn integer(&mut self, name: &str, least: i64, most: i64) -> Result<Option<i64>, Error> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.as_i64().filter(|n| (least..=most).contains(n)) {
            Some(n) => Ok(Some(n)),
            None => Err(self.wrong(name, &format!("{value} is not an integer between {least} and {most}"))),
        }
    }

    /// A field that has two names.
    pub(crate) fn either(&mut self, names: [&str; 2], least: i64, most: i64) -> Result<Option<i64>, Error> {
        match (self.integer(names[0], least, most)?, self.integer(names[1], least, most)?) {
            (Some(_), Some(_)) => Err(self.wrong(names[1], &format!("the same field as `{}`: give one", names[0]))),
            (first, second) => Ok(first.or(second)),
        }
    }

    pub(crate) fn unsigned(&mut self, name: &str) -> Result<Option<u64>, Error> {
        let Some(value) = self.take(name) else { return Ok(None) };
        value.as_u64().map(Some).ok_or_else(|| self.wrong(name, &format!("{value} is not an unsigned integer")))
    }

    pub(crate) fn nanos(&mut self, name: &str) -> Result<Option<Duration>, Error> {
        Ok(self.integer(name, 0, i64::MAX)?.map(|nanos| Duration::from_nanos(nanos as u64)))
    }

    pub(crate) fn finish(self) -> Result<(), Error> {
        match self.rest.iter().next() {
            Some((name, _)) => Err(Error::argument(format!("{}: unknown field `{name}`", self.what))),
            None => Ok(()),
        }
    }
}
