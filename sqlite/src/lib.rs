//! How the read tables and the vault write to SQLite files.

#![deny(missing_docs)]

mod creation;
mod writes;

pub use creation::{LockError, lock};
pub use writes::{Paused, Writer, Writes};
