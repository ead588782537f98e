//! One process at a time makes or changes the tables of a file.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

/// How long another process is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pause between two attempts to take the lock.
const PAUSE: Duration = Duration::from_millis(20);

/// Why the lock of a file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it and has not ended in time.
    #[error("another keyledger process makes or changes the tables")]
    InUse,
    /// The file of the lock cannot be created or locked.
    #[error("the file of the lock cannot be made or locked")]
    Failed(#[from] std::io::Error),
}

/// Waits until no other process makes or changes the tables of this file, and keeps others from it until the file
/// that this returns is closed. The lock is one on `<file>.lock`: SQLite itself has no lock that lasts from one
/// migration to the next, and a file that is new cannot be locked.
///
/// # Errors
/// [`LockError::InUse`], after 10 seconds, and [`LockError::Failed`].
pub async fn lock(path: &Path) -> Result<File, LockError> {
    let mut name = path.to_owned().into_os_string();
    name.push(".lock");
    let file = File::options().create(true).truncate(false).write(true).open(name)?;
    let end = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < end => {
                tokio::time::sleep(PAUSE).await;
            }
            Err(TryLockError::WouldBlock) => return Err(LockError::InUse),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
}
