//! The journal port: one contract for every adapter, and what is particular to each.

mod contract;
mod given;
mod sqlite;
