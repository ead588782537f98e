//! The read side of keyledger: tables that are derived from the events.
//!
//! This crate has no client of the journal and cannot append: its caller passes it a stream of
//! recorded events. It writes the tables that queries read and, in the same transaction, the
//! position up to which the events are applied, so each event takes effect exactly once.

#![deny(missing_docs)]

mod error;
mod keys;
mod lease;
pub mod log;
mod postgres;
mod projector;
mod query;
pub mod rebuild;
mod sqlite;
mod store;
mod tables;
mod usage;

pub use error::{OpenTablesError, WriteError};
pub use keys::{BadRow, Cursor, KeyView, ListPage, Listing, QueryError, StatusFilter};
pub use lease::Lease;
pub use projector::{PROJECTION_BATCH, Projector};
pub use rebuild::{Rebuild, RebuildError, Rebuilt};
pub use store::{Epoch, LeaseName};
pub use tables::ReadTables;

/// An error of the database that holds the read tables.
pub use sqlx::Error as DatabaseError;
