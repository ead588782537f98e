//! Files that hold secrets.

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Only the owner may change such a file.
const CHANGED_BY_OTHERS: u32 = 0o022;
/// The group may read it: that is how Kubernetes lets a process that is not root read a secret.
const READ_BY_OTHERS: u32 = 0o005;
/// The most bytes of such a file.
const MAX_BYTES: u64 = 64 * 1024;

/// Reads a file with a secret.
///
/// # Errors
/// A sentence without anything that is in the file: it cannot be read, is no small file of UTF-8 text, or is
/// open to others.
pub fn read_private(path: &Path) -> Result<Zeroizing<String>, String> {
    check(path)?;
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    let mut bytes = Zeroizing::new(Vec::new());
    // The file may be another one by now.
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    if u64::try_from(bytes.len()).is_ok_and(|read| read > MAX_BYTES) {
        return Err(too_large(path));
    }
    let text =
        std::str::from_utf8(&bytes).map_err(|_| "the file is no text in UTF-8".to_owned())?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// The path of a file with a secret.
pub(super) fn private(path: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(path);
    check(&path).map(|()| path)
}

/// Whether users other than the owner and the group may read a file. Kubernetes and Docker make secrets like
/// that unless they are told otherwise.
pub(super) fn is_open(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| may(&metadata, READ_BY_OTHERS))
}

fn check(path: &Path) -> Result<(), String> {
    // The path is told only if there is such a file: else it may be the secret itself.
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(&error))?;
    if !metadata.is_file() {
        return Err(format!("{} is no file", path.display()));
    }
    if metadata.len() > MAX_BYTES {
        return Err(too_large(path));
    }
    // Who owns a file can close it. A file of another user was put there for this process, as Kubernetes and
    // Docker do, and whoever did decides who else is on this machine.
    let is_own = metadata.uid() == rustix::process::geteuid().as_raw();
    if may(&metadata, CHANGED_BY_OTHERS) || is_own && may(&metadata, READ_BY_OTHERS) {
        return Err(format!(
            "others may read or change the file; type: chmod u=rw,g=,o= {} (for a secret of Kubernetes, set \
             defaultMode: 0440)",
            path.display()
        ));
    }
    Ok(())
}

fn may(metadata: &Metadata, bits: u32) -> bool {
    metadata.permissions().mode() & bits != 0
}

fn too_large(path: &Path) -> String {
    format!("{} has more than 64 KiB", path.display())
}

fn unreadable(error: &std::io::Error) -> String {
    format!("the file cannot be read: {error}")
}
