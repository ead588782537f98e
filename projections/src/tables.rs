//! The database that holds the read tables.

use std::sync::Arc;

use keyledger_domain::{KeyId, Position};
use sqlx::migrate::Migrator;

use crate::postgres::PostgresStore;
use crate::sqlite::SqliteStore;
use crate::store::Store;

/// The read tables, for queries, projectors and rebuilds; cheap to clone.
#[derive(Clone, Debug)]
pub struct ReadTables {
    pub(crate) store: Arc<dyn Store>,
}

/// Why the read tables cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenTablesError {
    /// The URL names no kind of database that this program knows.
    #[error("a URL of the read tables begins with sqlite:// or postgres://")]
    UnknownScheme,
    /// The URL cannot be understood.
    #[error("the URL of the read tables {url:?} cannot be used")]
    BadUrl {
        /// The URL, without a password.
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
    #[error("the read tables {place} cannot be opened")]
    Failed {
        /// Which.
        place: String,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// The server does not answer as it must, or not yet.
    #[error("the read tables {place} cannot be reached")]
    Unavailable {
        /// Which.
        place: String,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// The tables were opened read-only, and have not the form that this version reads.
    #[error("the read tables have not the form of this version: run keyledger migrate")]
    OtherVersion,
    /// The tables cannot be brought to this version's form.
    #[error("the read tables cannot be migrated")]
    Migration(#[source] sqlx::migrate::MigrateError),
}

impl OpenTablesError {
    /// Whether it may be different in a moment.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
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
    /// Opens the tables at a URL such as `sqlite://data/read.db` or `postgres://db/keyledger`; makes
    /// them where they are missing, and brings them to this version's form.
    ///
    /// # Errors
    /// Every variant of [`OpenTablesError`].
    pub async fn open(url: &str) -> Result<Self, OpenTablesError> {
        let store: Arc<dyn Store> = match url.split_once("://") {
            Some(("sqlite", _)) => Arc::new(SqliteStore::open(url).await?),
            Some(("postgres" | "postgresql", _)) => Arc::new(PostgresStore::open(url).await?),
            _ => return Err(OpenTablesError::UnknownScheme),
        };
        Ok(Self { store })
    }

    /// Opens existing tables for queries only: creates nothing, applies no migration, and the
    /// database refuses every write.
    ///
    /// # Errors
    /// [`OpenTablesError::UnknownScheme`], [`OpenTablesError::BadUrl`],
    /// [`OpenTablesError::OtherVersion`], and [`OpenTablesError::Failed`] (SQLite) or
    /// [`OpenTablesError::Unavailable`] (PostgreSQL), also if there are no tables.
    pub async fn open_read_only(url: &str) -> Result<Self, OpenTablesError> {
        let store: Arc<dyn Store> = match url.split_once("://") {
            Some(("sqlite", _)) => Arc::new(SqliteStore::open_read_only(url).await?),
            Some(("postgres" | "postgresql", _)) => {
                Arc::new(PostgresStore::open_read_only(url).await?)
            }
            _ => return Err(OpenTablesError::UnknownScheme),
        };
        Ok(Self { store })
    }

    /// How far queries are in the journal, from the tables themselves: for a process in which no
    /// projector runs.
    ///
    /// # Errors
    /// The database's error.
    pub async fn position(&self) -> Result<Position, sqlx::Error> {
        Ok(self.store.live().await?.position)
    }

    /// Waits until it is worth asking for the position again: until a projector elsewhere has told
    /// of a change, or a short time has passed.
    pub async fn changed(&self) {
        self.store.changed().await;
    }

    /// Where the relay to this stream has come, as it last remembered.
    ///
    /// # Errors
    /// The database's error.
    pub async fn relayed(&self, stream: &str) -> Result<Position, sqlx::Error> {
        self.store.relayed(stream).await
    }

    /// Remembers where the relay to this stream has come. It never goes back.
    ///
    /// # Errors
    /// The database's error.
    pub async fn set_relayed(&self, stream: &str, position: Position) -> Result<(), sqlx::Error> {
        self.store.set_relayed(stream, position).await
    }
}

/// Compares the last migration of the tables with the last that this version knows.
pub(crate) fn check_version(applied: Option<i64>, known: &Migrator) -> Result<(), OpenTablesError> {
    let last = known.iter().map(|migration| migration.version).max();
    if applied == last { Ok(()) } else { Err(OpenTablesError::OtherVersion) }
}
