//! The journal: an append-only log of events in a total order. Every other state is derived from it.
//!
//! [`Journal`] and [`JournalReader`] are the port. The adapters in `sqlite/`, `postgres/` and
//! `kurrentdb/` all pass one contract suite, in `testing/`.
//!
//! # Features
//! `testing`: the contract suite, and events to append in tests. It makes `contract_suite!` available,
//! with which an adapter runs the suite.

#![deny(missing_docs)]

mod append;
pub mod copy;
mod error;
mod kurrentdb;
mod open;
mod open_keys;
mod port;
mod postgres;
mod sql;
mod sqlite;
#[cfg(feature = "testing")]
pub mod testing;

pub use append::{Append, Appended, Expected, NewEvent};
pub(crate) use error::Unreadable;
pub use error::{AppendError, Cause, CloseError, OpenError, ReadError};
pub use open::{check_scheme, examine, open, open_reader};
pub use open_keys::OpenKeys;
pub use port::{Journal, JournalReader, KeySubscription, Subscription};
