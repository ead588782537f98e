//! The journal in a PostgreSQL database, for any number of processes on any number of machines.
//!
//! Positions come from a counter row, whose lock is held until the commit: they have no gaps and
//! become visible in order. So a reader that asks for the events after a position never misses one
//! that commits later. Each process commits its waiting appends together, in one statement that is its
//! own transaction, so no lock remains when a process or the network fails; a commit that waits for a
//! missing standby keeps it (see [`keyledger_postgres::Changes`]). Notifications only wake readers up;
//! since they can be lost, readers also poll.

mod insert;
mod reader;
mod table;

use keyledger_checks::{self as checks, Found};
use keyledger_domain::without_password;
use keyledger_postgres::{Location, Rights, SchemaError, prepare};
use sqlx::migrate::Migrator;

use crate::sql::{Committer, SqlJournal};
use crate::{Cause, OpenError};
pub(super) use reader::PostgresReader;
use table::PostgresTable;

/// The channel on which each commit sends the new head.
const CHANNEL: &str = "keyledger_events";

/// What the role of a process that appends does with the tables.
const RIGHTS: &Rights = &[
    ("keyledger_journal_migrations", &["SELECT"]),
    ("events", &["SELECT", "INSERT"]),
    ("journal_head", &["SELECT", "UPDATE"]),
    ("installation", &["SELECT", "INSERT"]),
];

/// The same for a process that only reads.
const READS: &Rights =
    &[("events", &["SELECT"]), ("journal_head", &["SELECT"]), ("installation", &["SELECT"])];

/// Opens the journal for reading and appending; makes its tables if they are missing.
pub(super) async fn open(url: &str) -> Result<SqlJournal<PostgresReader>, OpenError> {
    let location = parse(url)?;
    prepare(&location, &migrations(), RIGHTS).await.map_err(|error| match error {
        SchemaError::Database(error) => unreachable(&location, error),
        error @ (SchemaError::Version(_)
        | SchemaError::Encoding(_)
        | SchemaError::NoTables { .. }
        | SchemaError::NoRights(_)) => {
            OpenError::Refused { location: location.to_string(), source: error.into() }
        }
    })?;
    let reader = PostgresReader::open(&location).await?;
    let committer = Committer::start(PostgresTable::new(location), reader.notices());
    Ok(SqlJournal::new(reader, committer, None))
}

/// Opens the journal for reading only.
pub(super) async fn open_reader(url: &str) -> Result<PostgresReader, OpenError> {
    PostgresReader::open(&parse(url)?).await
}

/// Looks at the database without a change.
pub(super) async fn examine(url: &str, appends: bool) -> Result<Found, OpenError> {
    let rights = if appends { RIGHTS } else { READS };
    Ok(checks::postgres::examine(&parse(url)?, &migrations(), rights, appends).await)
}

/// The migrations of the journal. The read tables may be in the same database, with migrations of their own.
fn migrations() -> Migrator {
    let mut migrations = sqlx::migrate!("../migrations/journal/postgres");
    migrations.dangerous_set_table_name("keyledger_journal_migrations");
    migrations
}

fn parse(url: &str) -> Result<Location, OpenError> {
    Location::parse(url, "keyledger-journal")
        .map_err(|error| OpenError::BadUrl { url: without_password(url), source: error.into() })
}

fn unreachable(location: &Location, source: impl Into<Cause>) -> OpenError {
    OpenError::Unreachable { location: location.to_string(), source: source.into() }
}
