//! One process at a time makes or changes the tables.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::BUSY;
use crate::OpenTablesError;

/// The pause between two attempts to take the lock.
const PAUSE: Duration = Duration::from_millis(20);

/// Waits until no other process makes or changes the tables, and keeps others from it until the file that
/// this returns is closed. The lock is one on `<file>.lock`: SQLite itself has no lock that lasts from one
/// migration to the next, and a file that is new cannot be locked.
///
/// # Errors
/// [`OpenTablesError::InUse`], after 10 seconds, and [`OpenTablesError::Lock`].
pub(super) async fn lock(path: &Path) -> Result<File, OpenTablesError> {
    let mut name = path.to_owned().into_os_string();
    name.push(".lock");
    let place = || path.display().to_string();
    let file = File::options().create(true).truncate(false).write(true).open(name);
    let file = file.map_err(|source| OpenTablesError::Lock { place: place(), source })?;
    let end = Instant::now() + BUSY;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < end => {
                tokio::time::sleep(PAUSE).await;
            }
            Err(TryLockError::WouldBlock) => return Err(OpenTablesError::InUse(place())),
            Err(TryLockError::Error(source)) => {
                return Err(OpenTablesError::Lock { place: place(), source });
            }
        }
    }
}
