//! A bucket's configuration survives the way into a stream's and back, and the way into JSON and back.

use std::time::Duration;

use natskv_core::{BucketConfig, KeyPolicy, Pairs, Placement, Republish, Storage, StreamSource, wire};
use proptest::{collection::btree_map, option, prelude::*};

use crate::tries;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-zA-Z0-9 \"\\\\é😀\n]{1,12}"]
}

fn source() -> impl Strategy<Value = StreamSource> {
    let transform = ("[a-z]{1,3}\\.>", "[a-z]{1,3}\\.>");
    (
        "(KV_)?[a-z]{1,5}",
        option::of(1..=i64::MAX as u64),
        option::of("[a-z]{1,3}\\.>"),
        prop::collection::vec(transform, 0..3),
        option::of(("\\$JS\\.[a-z]{1,3}\\.API", "[a-z]{0,3}")),
    )
        .prop_map(|(name, opt_start_seq, filter_subject, subject_transforms, external)| StreamSource {
            name,
            opt_start_seq,
            opt_start_time: None,
            filter_subject,
            subject_transforms,
            external,
        })
}

/// Configurations that `check` takes; what is 0 stands for a default and is left out of these.
fn config() -> impl Strategy<Value = BucketConfig> {
    let sizes = (option::of(1..i32::MAX), option::of(1..i64::MAX), option::of(1..=64_u8), option::of(1..=5_u8));
    let times = (option::of(100_000_000..1_u64 << 60), option::of(1_000_000_000..1_u64 << 60));
    let words = (
        option::of(text()),
        option::of(btree_map("[a-z]{1,4}", text(), 0..3)),
        option::of(("[a-z]{0,4}", prop::collection::vec("[a-z]{1,4}", 0..3))),
        option::of(any::<bool>()),
    );
    let kinds = (
        option::of(prop::sample::select(vec![Storage::File, Storage::Memory])),
        option::of(any::<bool>()),
        option::of(prop::sample::select(vec![KeyPolicy::Base64, KeyPolicy::Path, KeyPolicy::Escape])),
    );
    let origins = prop_oneof![
        2 => Just((None, None)),
        1 => source().prop_map(|source| (Some(source), None)),
        1 => prop::collection::vec(source(), 1..3).prop_map(|sources| (None, Some(sources))),
    ];
    (sizes, times, words, kinds, origins).prop_map(|(sizes, times, words, kinds, origins)| BucketConfig {
        bucket: "b".into(),
        max_value_size: sizes.0,
        max_bytes: sizes.1,
        history: sizes.2,
        replicas: sizes.3,
        ttl: times.0.map(Duration::from_nanos),
        limit_marker_ttl: times.1.map(Duration::from_nanos),
        description: words.0,
        metadata: words.1.map(Pairs::from_iter),
        placement: words.2.map(|(cluster, tags)| Placement { cluster, tags }),
        republish: words.3.map(|headers_only| Republish { src: "$KV.b.>".into(), dest: "copy.>".into(), headers_only }),
        storage: kinds.0,
        compression: kinds.1,
        key_codec: kinds.2,
        mirror: origins.0,
        sources: origins.1,
    })
}

proptest! {
    #![proptest_config(tries(600))]

    #[test]
    fn json_and_back(config in config()) {
        prop_assert_eq!(BucketConfig::from_json(&config.to_json()).expect("its own JSON"), config);
    }

    #[test]
    fn a_stream_and_back(config in config()) {
        let stream = wire::stream_config(&config).expect("a good configuration");
        let back = wire::bucket_config("b", &stream);
        let year = Duration::from_secs(365 * 86_400);
        prop_assert!(back.ttl.is_none_or(|ttl| ttl < year * 100));
        prop_assert_eq!(&back.description, &Some(config.description.clone().unwrap_or_default()));
        prop_assert_eq!(back.max_value_size, Some(config.max_value_size.unwrap_or(-1)));
        prop_assert_eq!(back.max_bytes, Some(config.max_bytes.unwrap_or(-1)));
        prop_assert_eq!(back.history, Some(config.history.unwrap_or(1)));
        prop_assert_eq!(back.replicas, Some(config.replicas.unwrap_or(1)));
        prop_assert_eq!(back.ttl, Some(config.ttl.unwrap_or_default()));
        prop_assert_eq!(back.limit_marker_ttl, Some(config.limit_marker_ttl.unwrap_or_default()));
        prop_assert_eq!(back.storage, Some(config.storage.unwrap_or(Storage::File)));
        prop_assert_eq!(back.compression, Some(config.compression.unwrap_or(false)));
        prop_assert_eq!(&back.placement, &config.placement);
        prop_assert_eq!(&back.republish, &config.republish);
        let owned = |(name, text): (&str, &str)| (name.to_owned(), text.to_owned());
        let given = config.metadata.iter().flat_map(Pairs::iter).map(owned);
        let codec = config.key_codec.map(|codec| owned(("natskv.key_codec", codec.name())));
        prop_assert_eq!(&back.metadata, &Some(given.chain(codec).collect::<Pairs>()));
        if let (Some(mirror), Some(given)) = (&back.mirror, &config.mirror) {
            prop_assert_eq!(&mirror.name, &format!("KV_{}", given.name.trim_start_matches("KV_")));
            prop_assert_eq!(&StreamSource { name: given.name.clone(), ..mirror.clone() }, given);
        }
        prop_assert_eq!(back.mirror.is_some(), config.mirror.is_some());
        prop_assert_eq!(back.sources.as_ref().map(Vec::len), config.sources.as_ref().map(Vec::len));

        // What is read from a stream says the same again, every field given.
        let again = wire::bucket_config("b", &wire::stream_config(&back).expect("what a stream has"));
        prop_assert_eq!(again, back);
    }
}
