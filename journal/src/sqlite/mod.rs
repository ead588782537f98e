//! The journal in a SQLite file (WAL, `synchronous=FULL`), for one writing process.
//!
//! All appends go through one task that commits whatever is waiting in one transaction, so that
//! many callers share one sync of the disk. What it commits it also hands to the subscriptions of
//! this process, which need no polling. The file beside the journal, `<file>.lock`, is locked as
//! long as the process lives.

mod insert;
mod reader;
mod table;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

use super::OpenError;
use super::follow::PAGE;
use super::group::{Grouped, Writer};
use super::news;
pub(super) use reader::SqliteReader;
use table::SqliteTable;

/// How long a statement waits for another program's lock on the file.
const BUSY: Duration = Duration::from_secs(10);

/// Opens the journal for reading and appending.
pub(super) async fn open(url: &str) -> Result<Grouped<SqliteReader>, OpenError> {
    let location = Location::parse(url)?;
    let lock = location.lock()?;
    let tell = news::channel();
    let table = SqliteTable::open(location.options()).await.map_err(|e| location.failed(e))?;
    let reader = SqliteReader::open(url).await?.fed_by(&tell);
    Ok(Grouped::new(reader, Writer::start(table, tell), Some(lock)))
}

/// Where the file lies and how it is opened.
struct Location {
    options: SqliteConnectOptions,
    path: PathBuf,
}

impl Location {
    fn parse(url: &str) -> Result<Self, OpenError> {
        let bad = |source| OpenError::BadUrl { url: url.to_owned(), source };
        let options = SqliteConnectOptions::from_str(url).map_err(|e| bad(e.into()))?;
        let path = options.get_filename().to_owned();
        if path.as_os_str().is_empty() || url.contains(":memory:") || url.contains("mode=memory") {
            return Err(bad("a journal is kept in a file".into()));
        }
        Ok(Self { options, path })
    }

    fn options(&self) -> SqliteConnectOptions {
        self.options
            .clone()
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            // Pages that change often are copied into the database once for many commits.
            .pragma("wal_autocheckpoint", "4000")
            .busy_timeout(BUSY)
            .disable_statement_logging()
    }

    fn read_only(&self) -> SqliteConnectOptions {
        self.options
            .clone()
            .read_only(true)
            .busy_timeout(BUSY)
            // A page of events in one go, rather than a wake-up for every few rows.
            .row_buffer_size(PAGE)
            .disable_statement_logging()
    }

    fn lock(&self) -> Result<File, OpenError> {
        if let Some(folder) = self.path.parent().filter(|folder| *folder != Path::new("")) {
            std::fs::create_dir_all(folder).map_err(|e| self.failed(e))?;
        }
        let mut path = self.path.clone().into_os_string();
        path.push(".lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(|e| self.failed(e))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse(self.name())),
            Err(TryLockError::Error(error)) => Err(self.failed(error)),
        }
    }

    fn failed(&self, source: impl Into<super::Cause>) -> OpenError {
        OpenError::Failed { place: self.name(), source: source.into() }
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}
