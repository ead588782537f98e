//! The database that holds the read tables.

use std::sync::Arc;

use keyledger_checks::Found;
use keyledger_domain::{Position, Reached, chain, without_password};

use crate::OpenTablesError;
use crate::postgres::{self, PostgresStore};
use crate::sqlite::{self, SqliteStore};
use crate::store::Store;

/// The read tables, for queries, projectors and rebuilds; cheap to clone.
#[derive(Clone, Debug)]
pub struct ReadTables {
    pub(crate) store: Arc<dyn Store>,
}

impl ReadTables {
    /// Opens the tables at a URL such as `sqlite://data/read.db` or `postgres://db/keyledger`.
    /// Creates them where they are missing, and applies the migrations of this version.
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

    /// Looks at the tables without opening them, and changes nothing.
    pub async fn examine(url: &str) -> Found {
        let found = match url.split_once("://") {
            Some(("sqlite", _)) => sqlite::examine(url).await,
            Some(("postgres" | "postgresql", _)) => postgres::examine(url).await,
            _ => Err(OpenTablesError::UnknownScheme),
        };
        let place = without_password(url);
        found.unwrap_or_else(|error| Found::at("read tables", place).with_problem(chain(&error)))
    }

    /// How far in the journal queries see all events, read from the tables: for a process that runs
    /// no projector.
    ///
    /// # Errors
    /// The database's error.
    pub async fn reached(&self) -> Result<Reached, sqlx::Error> {
        Ok(self.store.live().await?.reached)
    }

    /// Waits until another process has notified of a change of the tables, or at most 50 ms; the
    /// position may have changed then.
    pub async fn changed(&self) {
        self.store.changed().await;
    }

    /// The stored position of the relay to this stream: every event up to it is published.
    ///
    /// # Errors
    /// The database's error.
    pub async fn relayed(&self, stream: &str) -> Result<Position, sqlx::Error> {
        self.store.relayed(stream).await
    }

    /// Stores the position of the relay to this stream. A position smaller than the stored one
    /// changes nothing.
    ///
    /// # Errors
    /// The database's error.
    pub async fn set_relayed(&self, stream: &str, position: Position) -> Result<(), sqlx::Error> {
        self.store.set_relayed(stream, position).await
    }
}
