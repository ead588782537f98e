//! The journal in a PostgreSQL database, for any number of processes on any number of machines.
//!
//! Positions come from a counter row, whose lock a commit holds to its end: they have no gaps, and
//! become visible in order. So a reader that asks for what comes after a position never passes over
//! an event that commits later. Each process commits what waits in it together, in one statement
//! that is its own transaction, so nothing stays locked when a process or the network dies.
//! Notifications only wake readers up; a poll stands behind them.

mod insert;
mod reader;
mod table;

use keyledger_postgres::{Place, is_execution, without_password};

use super::group::{Grouped, Writer};
use super::{Cause, OpenError};
pub(super) use reader::PostgresReader;
use table::PostgresTable;

/// The channel on which a commit tells the position that it has come to.
const CHANNEL: &str = "keyledger_events";

/// Opens the journal for reading and appending; makes its tables where they are missing.
pub(super) async fn open(url: &str) -> Result<Grouped<PostgresReader>, OpenError> {
    let place = place(url)?;
    let table = PostgresTable::open(place.clone()).await.map_err(|error| {
        // This program is older than the tables, or the tables are somebody else's.
        if matches!(&error, sqlx::Error::Migrate(mismatch) if !is_execution(mismatch)) {
            OpenError::Failed { place: place.to_string(), source: error.into() }
        } else {
            unavailable(&place, error)
        }
    })?;
    let reader = PostgresReader::open(url).await?;
    let writer = Writer::start(table, reader.tell());
    Ok(Grouped::new(reader, writer, None))
}

fn place(url: &str) -> Result<Place, OpenError> {
    Place::parse(url, "keyledger-journal")
        .map_err(|error| OpenError::BadUrl { url: without_password(url), source: error.into() })
}

fn unavailable(place: &Place, source: impl Into<Cause>) -> OpenError {
    OpenError::Unavailable { place: place.to_string(), source: source.into() }
}
