//! Whether the journal's file is still the one at its path.
//!
//! SQLite goes on with the file that it has opened after that was renamed, deleted or replaced. What is
//! appended then is in a file that nobody finds, and another process may append to the file at the path.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use keyledger_domain::chain;

/// Why nothing is read from the file or appended to it.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    /// It was renamed, deleted or replaced by another file.
    #[error("the file at {} is not the one that was opened", .0.display())]
    Replaced(PathBuf),
    /// The system does not tell which file is at the path.
    #[error("it cannot be told whether the file at {} is the one that was opened", path.display())]
    Unknown {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// The file that the connections of this process have open. It is found by its path only: closing a
/// descriptor of its own would release the locks of SQLite.
#[derive(Debug)]
pub(super) struct OpenedFile {
    path: PathBuf,
    /// While a connection is open, no other file gets the same.
    identity: Identity,
    /// Whether the last look found another file, or none. Told in the log when it changes.
    is_replaced: AtomicBool,
}

#[derive(Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(path: &Path) -> io::Result<Self> {
        let file = std::fs::metadata(path)?;
        Ok(Self { device: file.dev(), inode: file.ino() })
    }
}

impl OpenedFile {
    /// The file that is at this path now.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        let identity = Identity::of(path)?;
        Ok(Self { path: path.to_owned(), identity, is_replaced: AtomicBool::new(false) })
    }

    /// Checks that the file is still at its path.
    pub(super) fn check(&self) -> Result<(), FileError> {
        let checked = match Identity::of(&self.path) {
            Ok(found) if found == self.identity => Ok(()),
            Ok(_) => Err(FileError::Replaced(self.path.clone())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(FileError::Replaced(self.path.clone()))
            }
            Err(source) => Err(FileError::Unknown { path: self.path.clone(), source }),
        };
        let was_replaced = self.is_replaced.swap(checked.is_err(), Ordering::Relaxed);
        match &checked {
            Err(error) if !was_replaced => tracing::error!(
                cause = %chain(error),
                "the journal is neither read nor appended to: put back the file that was opened, \
                 with its -wal file; or stop this process and start it with the file that is there"
            ),
            Ok(()) if was_replaced => {
                tracing::info!(path = %self.path.display(), "the journal's file is at its path again");
            }
            Ok(()) | Err(_) => {}
        }
        checked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[keyledger_bounded::test]
    fn a_file_that_is_renamed_replaced_or_deleted_is_noticed_until_it_is_back() {
        let folder = tempfile::tempdir().unwrap();
        let (path, aside) = (folder.path().join("journal.db"), folder.path().join("aside.db"));
        std::fs::write(&path, "").unwrap();
        let file = OpenedFile::at(&path).unwrap();
        file.check().unwrap();

        std::fs::rename(&path, &aside).unwrap();
        assert!(matches!(file.check(), Err(FileError::Replaced(_))));
        std::fs::copy(&aside, &path).unwrap();
        assert!(matches!(file.check(), Err(FileError::Replaced(_))));
        std::fs::rename(&aside, &path).unwrap();
        file.check().unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(file.check(), Err(FileError::Replaced(_))));
    }

    #[keyledger_bounded::test]
    fn a_path_that_cannot_be_followed_is_told_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        std::fs::write(&path, "").unwrap();
        let file = OpenedFile::at(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        // A link to itself.
        std::os::unix::fs::symlink(&path, &path).unwrap();
        assert!(matches!(file.check(), Err(FileError::Unknown { .. })));
    }
}
