//! Opens a journal by its URL.

use std::sync::Arc;

use keyledger_checks::Found;
use keyledger_domain::{chain, without_password};

use crate::{Journal, JournalReader, OpenError, kurrentdb, postgres, sqlite};

/// The adapters.
enum Kind {
    Sqlite,
    Postgres,
    Kurrent,
}

/// Opens a journal for reading and appending.
///
/// # Errors
/// Every variant of [`OpenError`].
pub async fn open(url: &str) -> Result<Arc<dyn Journal>, OpenError> {
    Ok(match kind(url)? {
        Kind::Sqlite => Arc::new(sqlite::open(url).await?),
        Kind::Postgres => Arc::new(postgres::open(url).await?),
        Kind::Kurrent => Arc::new(kurrentdb::KurrentJournal::open(url).await?),
    })
}

/// Opens a journal for reading only. Another process may append to it at the same time.
///
/// # Errors
/// Every variant of [`OpenError`] but [`OpenError::InUse`].
pub async fn open_reader(url: &str) -> Result<Arc<dyn JournalReader>, OpenError> {
    Ok(match kind(url)? {
        Kind::Sqlite => Arc::new(sqlite::SqliteReader::open(url).await?),
        Kind::Postgres => Arc::new(postgres::open_reader(url).await?),
        Kind::Kurrent => Arc::new(kurrentdb::KurrentJournal::open(url).await?),
    })
}

/// Looks at a journal without opening it: whether a process could that appends, or one that only reads. Nothing is
/// changed, but that a pulse is appended to KurrentDB, as nodes do every second: no question tells whether a
/// user may append.
pub async fn examine(url: &str, appends: bool) -> Found {
    let found = match kind(url) {
        Ok(Kind::Sqlite) => sqlite::examine(url, appends).await,
        Ok(Kind::Postgres) => postgres::examine(url, appends).await,
        Ok(Kind::Kurrent) => kurrentdb::examine(url).await,
        Err(error) => Err(error),
    };
    let unusable = |error| Found::at("journal", without_password(url)).with_problem(chain(&error));
    found.unwrap_or_else(unusable)
}

/// Checks that the URL has a scheme that [`open`] knows.
///
/// # Errors
/// [`OpenError::UnknownScheme`].
pub fn check_scheme(url: &str) -> Result<(), OpenError> {
    kind(url).map(drop)
}

fn kind(url: &str) -> Result<Kind, OpenError> {
    match url.split_once("://") {
        Some(("sqlite", _)) => Ok(Kind::Sqlite),
        Some(("postgres" | "postgresql", _)) => Ok(Kind::Postgres),
        Some(("esdb" | "esdb+discover" | "kurrentdb" | "kurrentdb+discover", _)) => {
            Ok(Kind::Kurrent)
        }
        _ => Err(OpenError::UnknownScheme(url.split(':').next().unwrap_or_default().to_owned())),
    }
}
