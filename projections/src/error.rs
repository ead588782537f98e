//! Errors of opening and of changing the read tables.

use keyledger_domain::KeyId;
use sqlx::migrate::Migrator;

/// Why the read tables cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenTablesError {
    /// The URL's scheme is neither `sqlite` nor `postgres`.
    #[error("a URL of the read tables begins with sqlite:// or postgres://")]
    UnknownScheme,
    /// The URL cannot be parsed.
    #[error("the URL of the read tables {url:?} cannot be used")]
    BadUrl {
        /// The URL with its password removed.
        url: String,
        /// The underlying error.
        #[source]
        source: sqlx::Error,
    },
    /// The folder of the SQLite file cannot be created.
    #[error("the folder of the read tables {path} cannot be created")]
    Folder {
        /// The path of the SQLite file.
        path: String,
        /// The underlying error.
        #[source]
        source: std::io::Error,
    },
    /// The file of the lock beside the SQLite file cannot be created or locked.
    #[error("the read tables {place} cannot be locked")]
    Lock {
        /// The path of the SQLite file.
        place: String,
        /// The underlying error.
        #[source]
        source: std::io::Error,
    },
    /// Another process makes or changes the tables at this path and has not ended in time; opening again
    /// later may succeed.
    #[error("the read tables {0} are being made or changed by another keyledger process")]
    InUse(String),
    /// SQLite cannot open the file.
    #[error("the read tables {place} cannot be opened")]
    Failed {
        /// The path of the file, or the address of the server.
        place: String,
        /// The underlying error.
        #[source]
        source: sqlx::Error,
    },
    /// The server cannot be reached or refused a statement; opening again later may succeed.
    #[error("the read tables {place} cannot be reached")]
    Unavailable {
        /// The path of the file, or the address of the server.
        place: String,
        /// The underlying error.
        #[source]
        source: sqlx::Error,
    },
    /// The database cannot hold the tables, or its role may not use them as it must.
    #[error("the read tables {place} cannot be used")]
    Refused {
        /// The address of the server.
        place: String,
        /// What must be changed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The tables were opened read-only, and their last migration is not the last that this version
    /// knows.
    #[error("the read tables are not in the form of this version: run keyledger migrate")]
    OtherVersion,
    /// A migration failed.
    #[error("the read tables cannot be migrated")]
    Migration(#[source] sqlx::migrate::MigrateError),
}

impl OpenTablesError {
    /// Whether opening again later may succeed.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::InUse(_))
    }
}

/// Why a change of the read tables failed. The change had no effect.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The revision of an event does not follow the revision of the previous event of its key.
    #[error("an event of key {key_id} does not follow the key's last event")]
    EventOutOfStep {
        /// The key of the event.
        key_id: KeyId,
    },
    /// The row of a key is missing, or its revision is not the one before the key's first new
    /// event.
    #[error("a row of the read tables does not fit the events that are to change it")]
    RowsOutOfStep,
    /// The table is not at the expected position, the lease is in another epoch, or queries read
    /// another build: another projector or a rebuild has taken over.
    #[error("another projector or a rebuild has taken over")]
    Superseded,
    /// The database reports an error.
    #[error("the read tables cannot be written")]
    Database(#[from] sqlx::Error),
}

/// Fails unless the last migration applied to the tables is the last that this version knows.
pub(crate) fn check_version(applied: Option<i64>, known: &Migrator) -> Result<(), OpenTablesError> {
    let last = known.iter().map(|migration| migration.version).max();
    if applied == last { Ok(()) } else { Err(OpenTablesError::OtherVersion) }
}
