//! The corpus of the fuzz targets, through what they do, on stable: what fuzzing found once stays found.

mod bodies;

use std::{fs, path::Path};

fn replay(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("its corpus").map(|entry| entry.expect("a folder entry").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "an empty corpus shows nothing");
    for file in files {
        println!("{}", file.display()); // shown when it fails
        body(&fs::read(&file).expect("a corpus file is readable"));
    }
}

#[test]
fn parser() {
    replay("parser", bodies::parser);
}

#[test]
fn headers() {
    replay("headers", bodies::headers);
}

#[test]
fn receive() {
    replay("receive", bodies::receive);
}

#[test]
fn web() {
    replay("web", bodies::web);
}

#[test]
fn creds() {
    replay("creds", bodies::creds);
}

#[test]
fn config() {
    replay("config", bodies::config);
}

#[test]
fn execute() {
    replay("execute", bodies::execute);
}
