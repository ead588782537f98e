//! The database that holds the read tables.

use std::sync::Arc;

use keyledger_domain::Position;

use crate::OpenTablesError;
use crate::postgres::PostgresStore;
use crate::sqlite::SqliteStore;
use crate::store::Store;

/// The read tables, for queries, projectors and rebuilds; cheap to clone.
#[derive(Clone, Debug)]
pub struct ReadTables {
    pub(crate) store: Arc<dyn Store>,
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
