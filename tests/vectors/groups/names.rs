//! Names, filters and subjects.

use natskv_core::{Error, wire};
use serde_json::{Value, json};

use super::{Read, answer, only, own, refused, text, texts};

pub(super) fn valid(checked: Result<(), Error>) -> Read {
    answer(json!({ "valid": checked.is_ok() }))
}

pub(super) fn filters_reduce(input: &Value) -> Read {
    only(input, &["filters"])?;
    match wire::reduce_filters(&texts(input, "filters")?) {
        Ok((filters, is_crossing)) => answer(json!({"filters": filters, "crossing": is_crossing})),
        Err(error) => refused(error),
    }
}

pub(super) fn subject(input: &Value) -> Read {
    only(input, &["op", "bucket", "key", "api_prefix", "domain", "mirror", "name", "filters", "prefix", "subject"])?;
    let op = text(input, "op")?;
    if op == "key_of" {
        let prefix = text(input, "prefix")?;
        let bucket =
            prefix.strip_prefix("$KV.").and_then(|rest| rest.strip_suffix('.')).ok_or("`prefix` has another form")?;
        let subjects = wire::Subjects::new(bucket, None, None);
        return answer(json!({"key": subjects.key_of(text(input, "subject")?)}));
    }
    let of_domain = input["domain"].as_str().map(|domain| format!("$JS.{domain}.API"));
    let api_prefix = input["api_prefix"].as_str().or(of_domain.as_deref());
    let mirror = own(&input["mirror"]);
    let subjects = wire::Subjects::new(text(input, "bucket")?, api_prefix, mirror.as_object());
    let subject = match op {
        "put" => subjects.write(text(input, "key")?),
        "get" => subjects.direct_get(text(input, "key")?),
        "get_payload" => subjects.endpoint("DIRECT.GET"),
        "msg_get" => subjects.endpoint("STREAM.MSG.GET"),
        "consumer_create" => subjects.consumer_create(text(input, "name")?, &texts(input, "filters")?),
        "consumer_delete" => subjects.consumer_delete(text(input, "name")?),
        endpoint if endpoint.starts_with("stream_") => subjects.endpoint(&endpoint.to_uppercase().replace('_', ".")),
        other => return Err(format!("op {other} is unknown")),
    };
    answer(json!({ "subject": subject }))
}
