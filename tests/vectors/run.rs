//! Runs protocol facts that are data, through `natskv_core::wire`.
//!
//! Reads vectors.json beside this file, or the file that `NATSKV_VECTORS` names. Prints a line for each vector that fails
//! or is skipped, and ends with `N passed, N failed, N skipped`. What a group's vectors mean is in groups.rs.

mod groups;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, panic};

use groups::Found;
use natskv_core::Error;
use serde_json::Value;

/// Groups of features that are not built yet.
const LATER: [&str; 1] = ["batch"];

fn main() -> ExitCode {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    let file = env::var_os("NATSKV_VECTORS").map_or_else(|| folder.join("vectors.json"), PathBuf::from);
    let vectors = read(&file);
    let kinds = Kinds::new(&read(&folder.join("errors.json")));
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    panic::set_hook(Box::new(|_| {})); // a panic is a failure of its vector, and told with it
    for vector in vectors["vectors"].as_array().expect("`vectors` is a list") {
        let id = vector["id"].as_str().unwrap_or("(no id)");
        let group = vector["group"].as_str().unwrap_or("(no group)");
        if LATER.contains(&group) {
            println!("skip {id}: group {group} is not built yet");
            skipped += 1;
            continue;
        }
        match panic::catch_unwind(|| check(group, vector, &kinds)) {
            Ok(Ok(None)) => passed += 1,
            Ok(Ok(Some(why))) => {
                println!("skip {id}: {why}");
                skipped += 1;
            }
            Ok(Err(why)) => {
                println!("FAIL {id}: {why}");
                failed += 1;
            }
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("(no text)");
                println!("FAIL {id}: panicked: {text}");
                failed += 1;
            }
        }
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn read(file: &Path) -> Value {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The words that vectors use for errors, with the number each stands for.
pub(crate) struct Kinds(BTreeMap<String, u16>);

impl Kinds {
    fn new(table: &Value) -> Self {
        let mut kinds = BTreeMap::new();
        for error in table["errors"].as_array().expect("`errors` is a list") {
            let number = error["number"].as_u64().and_then(|number| u16::try_from(number).ok());
            for kind in error["kinds"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                kinds.insert(kind.to_owned(), number.expect("`number` is small"));
            }
        }
        Self(kinds)
    }

    /// The number that a word stands for.
    pub(crate) fn number(&self, kind: &str) -> Option<u16> {
        self.0.get(kind).copied()
    }

    /// Whether `word`, such as `UnknownField:bogus`, stands for `error`; what follows a colon is in the message.
    fn agree(&self, word: &str, error: &Error) -> Result<(), String> {
        let mut parts = word.split(':');
        let kind = parts.next().unwrap_or_default();
        let number = self.number(kind).ok_or_else(|| format!("errors.json knows no kind {kind}"))?;
        if number != error.code.number() {
            return Err(format!("expected {word}, got {}: {error}", error.code.name()));
        }
        match parts.find(|detail| !error.message.contains(detail)) {
            Some(detail) => Err(format!("the message does not name {detail:?}: {error}")),
            None => Ok(()),
        }
    }
}

/// Whether the vector holds; the reason when it cannot be tried yet.
fn check(group: &str, vector: &Value, kinds: &Kinds) -> Result<Option<&'static str>, String> {
    let (input, expect) = (&vector["input"], &vector["expect"]);
    let found = match groups::run(group, input, kinds)? {
        Found::Answer(found) => found,
        Found::Later(why) => return Ok(Some(why)),
    };
    match (expect["error"].as_str(), found) {
        (Some(word), Err(error)) => kinds.agree(word, &error)?,
        (Some(word), Ok(found)) => return Err(format!("expected the error {word}, got {found}")),
        (None, Err(error)) => return Err(format!("expected {expect}, got {}: {error}", error.code.name())),
        (None, Ok(found)) => groups::compare(expect, &found, kinds)?,
    }
    Ok(None)
}
