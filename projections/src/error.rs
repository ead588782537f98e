//! Why the read tables cannot be opened or changed.

use keyledger_domain::KeyId;
use sqlx::migrate::Migrator;

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

/// Compares the last migration of the tables with the last that this version knows.
pub(crate) fn check_version(applied: Option<i64>, known: &Migrator) -> Result<(), OpenTablesError> {
    let last = known.iter().map(|migration| migration.version).max();
    if applied == last { Ok(()) } else { Err(OpenTablesError::OtherVersion) }
}
