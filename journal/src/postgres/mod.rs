//! The journal in a PostgreSQL database, for any number of processes on any number of machines.
//!
//! Positions come from a counter row, whose lock is held until the commit: they have no gaps and
//! become visible in order. So a reader that asks for the events after a position never misses one
//! that commits later. Each process commits its waiting appends together, in one statement that is its
//! own transaction, so no lock remains when a process or the network fails. Notifications only wake
//! readers up; since they can be lost, readers also poll.

mod insert;
mod reader;
mod table;

use keyledger_domain::without_password;
use keyledger_postgres::{Location, is_execution};

use crate::sql::{Committer, SqlJournal};
use crate::{Cause, OpenError};
pub(super) use reader::PostgresReader;
use table::PostgresTable;

/// The channel on which each commit sends the new head.
const CHANNEL: &str = "keyledger_events";

/// Opens the journal for reading and appending; makes its tables if they are missing.
pub(super) async fn open(url: &str) -> Result<SqlJournal<PostgresReader>, OpenError> {
    let location = parse(url)?;
    let table = PostgresTable::open(location.clone()).await.map_err(|error| {
        // The tables were made by a newer version, or by another program.
        if matches!(&error, sqlx::Error::Migrate(mismatch) if !is_execution(mismatch)) {
            OpenError::Refused { location: location.to_string(), source: error.into() }
        } else {
            unreachable(&location, error)
        }
    })?;
    let reader = PostgresReader::open(url).await?;
    let committer = Committer::start(table, reader.notices());
    Ok(SqlJournal::new(reader, committer, None))
}

fn parse(url: &str) -> Result<Location, OpenError> {
    Location::parse(url, "keyledger-journal")
        .map_err(|error| OpenError::BadUrl { url: without_password(url), source: error.into() })
}

fn unreachable(location: &Location, source: impl Into<Cause>) -> OpenError {
    OpenError::Unreachable { location: location.to_string(), source: source.into() }
}
