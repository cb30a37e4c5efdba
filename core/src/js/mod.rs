//! JetStream, as far as Key/Value needs it: API answers, publish acknowledgements, direct get, the ordered push consumer.

pub(crate) mod api;
pub(crate) mod direct;
pub(crate) mod ordered;
pub(crate) mod puback;
pub(crate) mod series;
pub(crate) mod status;
pub(crate) mod tracker;
