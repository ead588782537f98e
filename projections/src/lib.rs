//! The read side of keyledger: what follows from the events.
//!
//! This crate has no client of the journal and cannot append: whoever runs it hands it a stream of
//! recorded events. It keeps tables that queries read, and remembers in the same transaction how
//! far it has come, so that each event takes effect exactly once.

#![deny(missing_docs)]

pub mod audit;
mod keys;
mod lease;
mod position;
mod postgres;
mod projector;
pub mod rebuild;
mod sqlite;
mod store;
mod tables;
pub mod tree;
pub mod usage;
pub mod verification;

use keyledger_domain::{Position, RecordedEvent};

pub use keys::{BadRow, Cursor, KeyView, Listing, Page, QueryError, StatusFilter};
pub use lease::{Duty, Lease, Term};
pub use position::{Lagging, Progress};
pub use projector::{ProjectionError, Projector};
pub use rebuild::{Rebuild, Rebuilt};
pub use tables::{OpenTablesError, ReadTables, WriteError};

/// What a subscription to the journal delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly every delivery is an event")]
pub enum Delivery {
    /// The next event.
    Event(RecordedEvent),
    /// All events up to this position, which was the journal's head, have been delivered.
    CaughtUp(Position),
}
