//! The read tables in a SQLite file.

mod log;
mod statement;
mod store;
mod swap;
#[cfg(test)]
mod tests;
mod write;

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use crate::OpenTablesError;
use crate::error::check_version;
use keyledger_checks::Found;
use keyledger_checks::sqlite::{FileUsage, examine as examine_file};
use keyledger_sqlite::{LockError, Writes, lock};
use sqlx::ConnectOptions;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};

/// How long a statement waits for the end of another process's transaction.
const BUSY: Duration = Duration::from_secs(10);
/// To how many bytes the write-ahead log is cut once it was copied into the database: what it usually
/// grows to. A query that takes long makes it grow further.
const WAL_BYTES: u64 = 32 << 20;
/// The number of rows that a scan buffers.
const ROWS_AT_ONCE: usize = 100;

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations/read/sqlite");

/// The read tables in a SQLite file. There are no leases: all writers are on one machine, and a
/// write fails unless the tables are in the state that the writer expects.
#[derive(Debug)]
pub(crate) struct SqliteStore {
    /// The connections of queries. In WAL mode, queries never wait for a writer.
    reads: SqlitePool,
    /// The connection for changes. If the tables were opened read-only, this connection is read-only
    /// too, and SQLite refuses every change.
    writes: Writes,
    /// The options of a connection that writes.
    writing: SqliteConnectOptions,
    /// The options of a connection for a scan. A scan opens its own connection, so that the memory
    /// it uses is freed afterwards.
    scanning: SqliteConnectOptions,
}

impl SqliteStore {
    /// Opens the tables, creates them where they are missing, and applies the migrations.
    ///
    /// A commit does not wait for the disk (`synchronous=NORMAL`): a power failure may undo the last
    /// commits, each as a whole, and the projector applies their events again from the journal.
    pub(crate) async fn open(url: &str) -> Result<Self, OpenTablesError> {
        let options = parse(url)?;
        let path = options.get_filename().to_owned();
        if let Some(folder) = path.parent().filter(|folder| *folder != Path::new("")) {
            std::fs::create_dir_all(folder).map_err(|source| OpenTablesError::Folder {
                path: path.display().to_string(),
                source,
            })?;
        }
        let writing = options
            .clone()
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            // In pages of 4 KiB. Between two checkpoints of the WAL, a page that many commits
            // change is copied into the database file once.
            .pragma("wal_autocheckpoint", "8000")
            .pragma("journal_size_limit", WAL_BYTES.to_string());
        let place = || path.display().to_string();
        let lock = lock(&path).await.map_err(|error| match error {
            LockError::InUse => OpenTablesError::InUse(place()),
            LockError::Failed(source) => OpenTablesError::Lock { place: place(), source },
        })?;
        let mut writes = writing.connect().await.map_err(failed(&options))?;
        // `run` does the same, but its future is not `Send`.
        MIGRATIONS
            .run_direct(None, &mut writes, false)
            .await
            .map_err(OpenTablesError::Migration)?;
        drop(lock);
        Self::with(options.read_only(true), writing, writes).await
    }

    /// Opens existing tables of this version's form, and changes nothing.
    pub(crate) async fn open_read_only(url: &str) -> Result<Self, OpenTablesError> {
        let options = parse(url)?.read_only(true);
        let mut writes = options.connect().await.map_err(failed(&options))?;
        let version = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations WHERE success")
            .fetch_one(&mut writes)
            .await
            .map_err(failed(&options))?;
        check_version(version, &MIGRATIONS)?;
        Self::with(options.clone(), options, writes).await
    }

    async fn with(
        reading: SqliteConnectOptions,
        writing: SqliteConnectOptions,
        writes: SqliteConnection,
    ) -> Result<Self, OpenTablesError> {
        // Buffering rows saves a thread wake-up for every few rows. A scan reads each page once, so a
        // cache of 256 KiB is enough.
        let scanning = reading.clone().row_buffer_size(ROWS_AT_ONCE).pragma("cache_size", "-256");
        let reads = SqlitePoolOptions::new()
            .max_connections(4)
            .test_before_acquire(false)
            .connect_with(reading.clone())
            .await
            .map_err(failed(&reading))?;
        Ok(Self { reads, writes: Writes::new(writing.clone(), writes), writing, scanning })
    }
}

/// Looks at the file without opening it for a change.
pub(crate) async fn examine(url: &str) -> Result<Found, OpenTablesError> {
    Ok(examine_file(parse(url)?, &MIGRATIONS, FileUsage::Shared).await)
}

fn parse(url: &str) -> Result<SqliteConnectOptions, OpenTablesError> {
    let options = SqliteConnectOptions::from_str(url)
        .map_err(|source| OpenTablesError::BadUrl { url: url.to_owned(), source })?;
    Ok(options.busy_timeout(BUSY).disable_statement_logging())
}

/// The error for a file that SQLite cannot open.
fn failed(options: &SqliteConnectOptions) -> impl FnOnce(sqlx::Error) -> OpenTablesError + use<> {
    let place = options.get_filename().display().to_string();
    move |source| OpenTablesError::Failed { place, source }
}
