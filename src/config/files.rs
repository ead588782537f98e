//! Files that hold secrets.

use std::fs::Metadata;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Others may do nothing with such a file. Its group may read it: that is how Kubernetes lets a process that
/// is not root read a secret.
const FORBIDDEN: u32 = 0o027;
/// The most bytes of such a file.
const MAX_BYTES: u64 = 64 * 1024;

/// Reads a file with a secret.
///
/// # Errors
/// A sentence, when the file cannot be read, is no small file, or may be read by others.
pub fn read_private(path: &Path) -> Result<Zeroizing<String>, String> {
    check(path)?;
    std::fs::read_to_string(path).map(Zeroizing::new).map_err(|error| unreadable(&error))
}

/// The path of a file with a secret.
pub(super) fn private(path: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(path);
    check(&path).map(|()| path)
}

fn check(path: &Path) -> Result<(), String> {
    // The path is told only if there is such a file: else it may be the secret itself.
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(&error))?;
    if !is_small_file(&metadata) {
        return Err(format!("{} is no file of at most 64 KiB", path.display()));
    }
    if metadata.permissions().mode() & FORBIDDEN != 0 {
        return Err(format!(
            "others may read or change the file; type: chmod u=rw,g=,o= {}",
            path.display()
        ));
    }
    Ok(())
}

fn is_small_file(metadata: &Metadata) -> bool {
    metadata.is_file() && metadata.len() <= MAX_BYTES
}

fn unreadable(error: &std::io::Error) -> String {
    format!("the file cannot be read: {error}")
}
