//! The path of the file, and the options to open it.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

use crate::sql::PAGE;
use crate::{Cause, OpenError};

/// How long a statement waits for another program's lock on the file.
const BUSY: Duration = Duration::from_secs(10);
/// To how many bytes the write-ahead log is cut once it was copied into the database: twice what it
/// usually grows to. A reader that takes long makes it grow further.
pub(super) const WAL_BYTES: u64 = 32 << 20;

/// The code of SQLite for a file that another connection has locked.
const SQLITE_BUSY: u32 = 5;

pub(super) struct FileLocation {
    options: SqliteConnectOptions,
    path: PathBuf,
}

impl FileLocation {
    pub(super) fn parse(url: &str) -> Result<Self, OpenError> {
        let bad = |source| OpenError::BadUrl { url: url.to_owned(), source };
        let options = SqliteConnectOptions::from_str(url).map_err(|e| bad(e.into()))?;
        let path = options.get_filename().to_owned();
        if path.as_os_str().is_empty() || url.contains(":memory:") || url.contains("mode=memory") {
            return Err(bad("a journal is kept in a file".into()));
        }
        Ok(Self { options, path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// For the process that appends. The file is created if it is missing.
    pub(super) fn options(&self) -> SqliteConnectOptions {
        self.options
            .clone()
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            // A checkpoint of the WAL every 4,000 pages: a page that changes in many commits is
            // copied into the database once.
            .pragma("wal_autocheckpoint", "4000")
            .pragma("journal_size_limit", WAL_BYTES.to_string())
            .busy_timeout(BUSY)
            .disable_statement_logging()
    }

    pub(super) fn read_only(&self) -> SqliteConnectOptions {
        self.options
            .clone()
            .read_only(true)
            .busy_timeout(BUSY)
            // The whole page is read at once, instead of a wake-up for every few rows.
            .row_buffer_size(PAGE)
            .disable_statement_logging()
    }

    /// Takes the lock of the process that appends; makes the file's folder if it is missing.
    pub(super) fn lock(&self) -> Result<File, OpenError> {
        if let Some(folder) = self.path.parent().filter(|folder| *folder != Path::new("")) {
            std::fs::create_dir_all(folder).map_err(|e| self.refused(e))?;
        }
        let mut path = self.path.clone().into_os_string();
        path.push(".lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(|e| self.refused(e))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse(self.name())),
            Err(TryLockError::Error(error)) => Err(self.refused(error)),
        }
    }

    pub(super) fn refused(&self, source: impl Into<Cause>) -> OpenError {
        OpenError::Refused { location: self.name(), source: source.into() }
    }

    /// The error for a file that a reader finds without a journal in it, or not at all.
    pub(super) fn missing(&self) -> OpenError {
        OpenError::Missing(self.name())
    }

    /// The error for a file that a reader cannot open, or not yet.
    pub(super) fn unreadable(&self, error: sqlx::Error) -> OpenError {
        let code = error.as_database_error().and_then(|error| error.code());
        let code = code.and_then(|code| code.parse::<u32>().ok());
        // The low byte is the kind of error.
        if code.is_some_and(|code| code & 0xff == SQLITE_BUSY) {
            return OpenError::Unreachable { location: self.name(), source: error.into() };
        }
        self.refused(error)
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}
