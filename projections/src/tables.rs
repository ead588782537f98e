//! The database that holds the read tables.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use keyledger_domain::KeyId;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, Sqlite, Transaction};
use tokio::sync::{Mutex, MutexGuard};

/// How long a statement waits for another process's transaction.
const BUSY: Duration = Duration::from_secs(10);

/// The read tables, for queries, projectors and rebuilds; cheap to clone.
#[derive(Clone, Debug)]
pub struct ReadTables {
    /// For queries. They never wait for the one that writes.
    pub(crate) reads: SqlitePool,
    /// For changes: SQLite has one writer at a time.
    writes: Arc<Mutex<SqliteConnection>>,
}

/// Why the read tables cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenTablesError {
    /// The URL cannot be understood.
    #[error("the URL of the read tables {url:?} cannot be used")]
    BadUrl {
        /// The URL.
        url: String,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// The folder of the file cannot be made.
    #[error("the folder of the read tables {path} cannot be made")]
    Folder {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The database does not open.
    #[error("the read tables cannot be opened")]
    Failed(#[source] sqlx::Error),
    /// The tables cannot be brought to this version's form.
    #[error("the read tables cannot be migrated")]
    Migration(#[source] sqlx::migrate::MigrateError),
}

/// Why the read tables cannot be changed; nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// An event does not follow on what came before it in its key's stream.
    #[error("an event of key {key_id} does not follow on the key's last one")]
    EventOutOfStep {
        /// The key.
        key_id: KeyId,
    },
    /// A row is not at the revision just before the events that are to change it, or is not there.
    #[error("a row of the read tables does not fit the events that are to change it")]
    RowsOutOfStep,
    /// Another projector or a rebuild has taken over.
    #[error("another projector or a rebuild has taken over")]
    Superseded,
    /// The database does not work.
    #[error("the read tables cannot be written")]
    Database(#[from] sqlx::Error),
}

impl ReadTables {
    /// Opens the tables at a URL such as `sqlite://data/read.db`; makes them where they are
    /// missing, and brings them to this version's form.
    ///
    /// What is lost with an unsynced commit can be built anew from the journal, so commits do not
    /// wait for the disk (`synchronous=NORMAL`): a power cut may take the last ones back, whole.
    ///
    /// # Errors
    /// Every variant of [`OpenTablesError`].
    pub async fn open(url: &str) -> Result<Self, OpenTablesError> {
        let options = SqliteConnectOptions::from_str(url)
            .map_err(|source| OpenTablesError::BadUrl { url: url.to_owned(), source })?
            .busy_timeout(BUSY)
            .disable_statement_logging();
        let path = options.get_filename();
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
            // Pages that change often are copied into the database once for many commits, and 64 MiB
            // of them stay in memory.
            .pragma("wal_autocheckpoint", "8000")
            .pragma("cache_size", "-65536");
        let mut writes = writing.connect().await.map_err(OpenTablesError::Failed)?;
        // `run` would do the same with a future that cannot be sent between threads.
        sqlx::migrate!("../migrations/read/sqlite")
            .run_direct(None, &mut writes, false)
            .await
            .map_err(OpenTablesError::Migration)?;
        let reads = SqlitePoolOptions::new()
            .max_connections(4)
            .test_before_acquire(false)
            .connect_with(options.read_only(true))
            .await
            .map_err(OpenTablesError::Failed)?;
        Ok(Self { reads, writes: Arc::new(Mutex::new(writes)) })
    }

    /// The connection that writes, once nobody else uses it.
    pub(crate) async fn writer(&self) -> MutexGuard<'_, SqliteConnection> {
        self.writes.lock().await
    }
}

/// Begins a transaction that will write, before any other process can.
pub(crate) async fn begin(
    connection: &mut SqliteConnection,
) -> Result<Transaction<'_, Sqlite>, sqlx::Error> {
    connection.begin_with("BEGIN IMMEDIATE").await
}
