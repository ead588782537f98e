//! The journal port: one contract for every adapter, and what is particular to each.

mod contract;
pub(crate) mod given;
mod kurrentdb;
mod postgres;
mod sqlite;
