//! The programs that `tests/tools.sh` installs.

use std::path::{Path, PathBuf};

/// A program that is unpacked below the folder of tools, or else installed.
pub(crate) fn program(unpacked: &str, installed: &str) -> PathBuf {
    let unpacked = tools().join(unpacked);
    if unpacked.exists() { unpacked } else { installed.into() }
}

/// The folder into which `tests/tools.sh` puts programs.
pub(crate) fn tools() -> PathBuf {
    root().canonicalize().unwrap().join("target/tools")
}

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
