//! Metadata: texts by name. A sorted list, since they are few; a map of the standard library would be eight kilobytes of a page.

use alloc::{borrow::ToOwned, string::String, vec::Vec};

use crate::{
    json::{Object, Value},
    sorted::sort,
};

/// Texts by name, sorted by name. Of a name that is given twice the last counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs(Vec<(String, String)>);

impl Pairs {
    /// The text of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, text)| text)
    }

    /// Name and text of each pair.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The pairs that are texts.
    pub(crate) fn of(fields: &Object) -> Self {
        fields.iter().filter_map(|(name, value)| Some((name.to_owned(), value.as_str()?.to_owned()))).collect()
    }

    pub(crate) fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.0.retain(|(name, _)| is_kept(name));
    }

    pub(crate) fn to_value(&self) -> Value {
        Value::Object(self.iter().map(|(name, text)| (name.to_owned(), text.into())).collect())
    }
}

impl FromIterator<(String, String)> for Pairs {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        let mut pairs: Vec<_> = pairs.into_iter().collect();
        pairs.reverse();
        sort(&mut pairs, |(a, _), (b, _)| a.cmp(b));
        pairs.dedup_by(|(name, _), (first, _)| name == first);
        Self(pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted_and_the_last_of_a_name_counts() {
        let pairs = [("b", "1"), ("a", "2"), ("b", "3"), ("c", "4"), ("b", "5")];
        let pairs: Pairs = pairs.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
        assert_eq!(pairs.iter().collect::<Vec<_>>(), [("a", "2"), ("b", "5"), ("c", "4")]);
        assert_eq!((pairs.get("b"), pairs.get("d")), (Some("5"), None));
    }
}
