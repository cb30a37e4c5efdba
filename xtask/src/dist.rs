//! `cargo xtask dist`: what a release publishes, in target/dist. The wheel, the npm tarball, and the C library as an installed tree
//! and its archive.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::build;
use crate::dev::Dev;
use crate::header;
use crate::lane::LIMIT;
use crate::run::check;
use crate::setup::{Need, setup};
use crate::third_party;

/// Makes all three.
pub(crate) fn dist(dev: &Dev) -> Result<()> {
    let missing = setup(dev, &[Need::Python, Need::Node, Need::Wasm]);
    ensure!(missing.is_empty(), "a release cannot do without what set-up could not install");
    build::header_is_fresh(dev)?;
    let to = dev.root.join("target").join("dist");
    if to.exists() {
        fs::remove_dir_all(&to)?;
    }
    fs::create_dir_all(&to)?;
    wheel(dev, &to).context("the wheel")?;
    npm(dev, &to).context("the npm package")?;
    c(dev, &to).context("the C library")?;
    let mut made: Vec<_> = fs::read_dir(&to)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    made.sort();
    for file in made.iter().filter(|path| path.is_file()) {
        println!("{:>10} bytes  {}", fs::metadata(file)?.len(), dev.short(file));
    }
    Ok(())
}

/// The wheel of a release, into this folder: its path.
pub(crate) fn wheel(dev: &Dev, to: &Path) -> Result<PathBuf> {
    println!("Building the wheel …");
    // maturin takes them from there
    let folder = dev.root.join("bindings-python");
    fs::copy(dev.root.join("LICENSE"), folder.join("LICENSE"))?;
    fs::write(folder.join(third_party::FILE), third_party::licences(dev, "natskv-python", None)?)?;
    let mut maturin = dev.command(dev.venv("maturin"));
    maturin.args(["build", "--quiet", "--release", "--manifest-path", "bindings-python/Cargo.toml", "--out"]).arg(to);
    let wheel = made(maturin, to, "whl", &dev.dev.join("logs").join("dist-wheel.log"));
    for licence in ["LICENSE", third_party::FILE] {
        fs::remove_file(folder.join(licence))?;
    }
    wheel
}

/// The tarball that npm would publish, into this folder: its path.
pub(crate) fn npm(dev: &Dev, to: &Path) -> Result<PathBuf> {
    println!("Building the npm package …");
    build::web(dev)?;
    let package = dev.dev.join("npm").join("natskv");
    let licences = third_party::licences(dev, "natskv-wasm", Some("wasm32-unknown-unknown"))?;
    fs::write(package.join(third_party::FILE), licences)?;
    let mut pack = dev.command("npm");
    pack.args(["pack", "--silent", "--pack-destination"]).arg(to).arg(&package);
    made(pack, to, "tgz", &dev.dev.join("logs").join("dist-npm.log"))
}

/// Runs what makes a file of this kind in the folder, where an older one goes first.
fn made(mut command: Command, folder: &Path, extension: &str, log: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let files = || -> Result<Vec<PathBuf>> {
        let paths = fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path()));
        Ok(paths.filter(|path| path.extension().is_some_and(|its| its == extension)).collect())
    };
    for old in files()? {
        fs::remove_file(old)?;
    }
    check(&mut command, log, LIMIT)?;
    files()?.pop().with_context(|| format!("no .{extension} in {}", folder.display()))
}

fn c(dev: &Dev, to: &Path) -> Result<()> {
    println!("Building the C library …");
    let logs = dev.dev.join("logs");
    check(&mut dev.cargo(["build", "--quiet", "--release", "--package", "natskv-c"]), &logs.join("dist-c.log"), LIMIT)?;
    let version = header::version(&dev.root)?;
    let name = format!("natskv-c-{version}-{}-{}", std::env::consts::OS, std::env::consts::ARCH);
    c_tree(dev, "release", &to.join(&name))?;
    fs::write(to.join(&name).join(third_party::FILE), third_party::licences(dev, "natskv-c", None)?)?;
    let mut tar = dev.command("tar");
    tar.arg("-C").arg(to).arg("-czf").arg(to.join(format!("{name}.tar.gz"))).arg(&name);
    check(&mut tar, &logs.join("dist-tar.log"), LIMIT)?;
    Ok(())
}

/// The C library as an installation has it, and relocatable: header, both libraries of a cargo profile, and what pkg-config and
/// CMake look for.
pub(crate) fn c_tree(dev: &Dev, profile: &str, tree: &Path) -> Result<()> {
    let version = header::version(&dev.root)?;
    for folder in ["include", "lib/pkgconfig", "lib/cmake/natskv"] {
        fs::create_dir_all(tree.join(folder))?;
    }
    let source = dev.root.join("bindings-c");
    let built = dev.root.join("target").join(profile);
    let major = version.split('.').next().unwrap_or(&version);
    let (real, soname) = (format!("libnatskv.so.{version}"), format!("libnatskv.so.{major}"));
    let copies = [
        (dev.root.join("LICENSE"), "LICENSE"),
        (source.join("include/natskv.h"), "include/natskv.h"),
        (built.join("libnatskv.a"), "lib/libnatskv.a"),
        (built.join("libnatskv.so"), &format!("lib/{real}")),
    ];
    for (from, to) in copies {
        fs::copy(&from, tree.join(to)).with_context(|| format!("no {}", dev.short(&from)))?;
    }
    symlink(&real, tree.join("lib").join(&soname))?;
    symlink(&soname, tree.join("lib/libnatskv.so"))?;
    let templates = [
        ("natskv.pc.in", "lib/pkgconfig/natskv.pc"),
        ("cmake/natskvConfig.cmake.in", "lib/cmake/natskv/natskvConfig.cmake"),
        ("cmake/natskvConfigVersion.cmake.in", "lib/cmake/natskv/natskvConfigVersion.cmake"),
    ];
    for (from, to) in templates {
        let text = fs::read_to_string(source.join(from)).with_context(|| format!("no bindings-c/{from}"))?;
        fs::write(tree.join(to), text.replace("@VERSION@", &version))?;
    }
    Ok(())
}
