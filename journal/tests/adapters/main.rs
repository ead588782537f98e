//! Each adapter passes the contract suite, and has tests of its own.

#![expect(
    clippy::unwrap_used,
    clippy::as_conversions,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod closed_keys;
mod copying;
mod kurrentdb;
mod postgres;
mod postgres_server;
mod sqlite;
