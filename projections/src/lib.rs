//! The read side of keyledger: what follows from the events.
//!
//! This crate has no client of the journal and cannot append: whoever runs it hands it a stream of
//! recorded events. It keeps tables that queries read, and remembers in the same transaction how
//! far it has come, so that each event takes effect exactly once.

#![deny(missing_docs)]

mod keys;
mod lease;
pub mod log;
mod postgres;
mod projector;
pub mod rebuild;
mod sqlite;
mod store;
mod tables;
mod usage;

pub use keys::{BadRow, Cursor, KeyView, Listing, Page, QueryError, StatusFilter};
pub use lease::{Epoch, Lease, LeaseName};
pub use projector::{PROJECTION_BATCH, Projector};
pub use rebuild::{Rebuild, RebuildError, Rebuilt};
pub use tables::{OpenTablesError, ReadTables, WriteError};

/// An error of the database that holds the read tables.
pub use sqlx::Error as DatabaseError;
