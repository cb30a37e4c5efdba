//! The proof that core stands on nothing: built for wasm32, with every public call kept, the module imports nothing.

use std::fs;

use anyhow::{Context, Result, bail, ensure};

use crate::dev::Dev;
use crate::lane::LIMIT;
use crate::run::check;

const PROBE: &str = "core_on_wasm";

/// Builds tests/wasm/probe.rs, which calls all of core, and reads the import section of what comes out.
pub(crate) fn core_imports_nothing(dev: &Dev) -> Result<()> {
    const TARGET: &str = "wasm32-unknown-unknown";
    let mut build = dev.cargo(["build", "-q", "-p", "natskv-tests", "--example", PROBE, "--target", TARGET]);
    check(&mut build, &dev.dev.join("logs").join("core-probe.log"), LIMIT)?;
    let module = dev.root.join("target").join(TARGET).join("debug").join("examples").join(format!("{PROBE}.wasm"));
    let bytes = fs::read(&module).with_context(|| format!("no {}", dev.short(&module)))?;
    let (imports, has_code) = sections(&bytes)?;
    ensure!(has_code, "{} holds no code, so it proves nothing", dev.short(&module));
    ensure!(imports == 0, "core imports {imports} things: see {}", dev.short(&module));
    for (what, mark) in LEFT_TO_BROWSERS {
        ensure!(holds(&bytes, mark), "the mark of {what} is not in all of core: `package_is_lean` sees nothing");
    }
    Ok(())
}

/// What core brings, and a browser has, and bytes that only that needs: the header field of an upgrade request, and the first of
/// SHA-512's constants, without which there is no ed25519.
const LEFT_TO_BROWSERS: [(&str, &[u8]); 2] =
    [("WebSocket", b"Sec-WebSocket-Key"), ("ed25519", &0x428a_2f98_d728_ae22_u64.to_le_bytes())];

/// Looks for it in the module of the npm package.
pub(crate) fn package_is_lean(dev: &Dev) -> Result<()> {
    let module = dev.dev.join("npm/natskv/dist/natskv_bg.wasm");
    let bytes = fs::read(&module).with_context(|| format!("no {}", dev.short(&module)))?;
    for (what, mark) in LEFT_TO_BROWSERS {
        ensure!(!holds(&bytes, mark), "{} holds {what}: a feature of natskv-core is on", dev.short(&module));
    }
    Ok(())
}

fn holds(bytes: &[u8], mark: &[u8]) -> bool {
    bytes.windows(mark.len()).any(|window| window == mark)
}

/// How many imports a wasm module has, and whether it has code.
fn sections(module: &[u8]) -> Result<(u32, bool)> {
    const IMPORT: u8 = 2;
    const CODE: u8 = 10;
    let Some(mut rest) = module.strip_prefix(b"\0asm\x01\0\0\0") else { bail!("this is no wasm module") };
    let (mut imports, mut has_code) = (0, false);
    while let Some((&id, after)) = rest.split_first() {
        rest = after;
        let size = leb(&mut rest)? as usize;
        let (mut body, after) = rest.split_at_checked(size).context("the wasm module is cut off")?;
        rest = after;
        match id {
            IMPORT => imports = leb(&mut body)?,
            CODE => has_code = leb(&mut body)? > 0,
            _ => {}
        }
    }
    Ok((imports, has_code))
}

/// wasm's unsigned number: seven bits a byte, the lowest first.
fn leb(bytes: &mut &[u8]) -> Result<u32> {
    let mut number = 0u32;
    for shift in (0..32).step_by(7) {
        let (&byte, rest) = bytes.split_first().context("the wasm module is cut off")?;
        *bytes = rest;
        number |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    bail!("a number in the wasm module is too long")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_counted() {
        let empty = b"\0asm\x01\0\0\0\x0a\x01\x01";
        let one = b"\0asm\x01\0\0\0\x02\x07\x01\x01a\x01b\x00\x00\x0a\x01\x00";

        assert_eq!(sections(empty).expect("a module"), (0, true));
        assert_eq!(sections(one).expect("a module"), (1, false));
        assert!(sections(b"\0asm\x01\0\0\0\x02\x07").is_err());
        assert!(sections(b"ELF").is_err());
    }
}
