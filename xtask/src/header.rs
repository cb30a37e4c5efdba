//! bindings-c/include/natskv.h, made in memory from the Rust sources, whose doc comments are its manual.

use std::{fs, path::Path};

use anyhow::{Context, Result, anyhow};

/// The files of bindings-c/src that have something for C, in the order in which one reads the header.
const SOURCES: &[&str] = &[
    "ffi.rs",
    "credentials.rs",
    "options.rs",
    "verb_options.rs",
    "client.rs",
    "handle.rs",
    "bucket_config.rs",
    "bucket.rs",
    "kv.rs",
    "kv_async.rs",
    "many.rs",
    "reply.rs",
    "watch.rs",
    "entry.rs",
    "status.rs",
];

/// The text that include/natskv.h must have.
pub(crate) fn generate(root: &Path) -> Result<String> {
    let folder = root.join("bindings-c");
    let mut config = cbindgen::Config::from_file(folder.join("cbindgen.toml"))
        .map_err(|e| anyhow!("bindings-c/cbindgen.toml: {e}"))?;
    let version = version(root)?;
    config.header = Some(format!(
        "/*\n * natskv {version}: a NATS JetStream Key/Value client. SPDX-License-Identifier: Apache-2.0\n *\n{MANUAL} */\n\
         /* Made from the Rust sources by `cargo xtask header`: edit those, not this. */"
    ));
    let [major, minor, patch] = version.split('.').collect::<Vec<_>>()[..] else {
        return Err(anyhow!("the workspace's version is {version}, not of the form 1.2.3"));
    };
    config.after_includes = Some(format!(
        "\n#define NATSKV_VERSION \"{version}\"\n#define NATSKV_VERSION_MAJOR {major}\n#define NATSKV_VERSION_MINOR {minor}\n\
         #define NATSKV_VERSION_PATCH {patch}"
    ));
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in SOURCES {
        builder = builder.with_src(folder.join("src").join(source));
    }
    let mut header = Vec::new();
    builder.generate().context("cbindgen cannot read bindings-c/src")?.write(&mut header);
    Ok(String::from_utf8(header)?)
}

const MANUAL: &str = " \
* Conventions. A function that can fail returns a natskv_code; its outputs come last, through pointers, and are untouched when it
 * fails. `err`, which may be NULL, is then filled in. A NULL where something is needed is NATSKV_INVALID_ARGUMENT, never a crash.
 * Strings in are NUL-terminated UTF-8 and copied where they are kept. What has a `_free` is yours to free, in any order; `_free` of
 * NULL is fine. Structs of options begin with their size: call their `_init` first. All times are milliseconds unless the name
 * says otherwise. Threads: every function may be called from any thread unless it says otherwise; a handle must not be freed
 * while another call uses it.
";

/// The version of the workspace, which all its packages share.
pub(crate) fn version(root: &Path) -> Result<String> {
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    let line =
        manifest.lines().find_map(|line| line.strip_prefix("version = \"")).context("Cargo.toml has no version")?;
    Ok(line.trim_end_matches('"').into())
}
