//! Tests of the read side with lists of events as the source.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a test fails by panicking"
)]

mod closing;
mod given;
mod growing;
mod leases;
mod listing;
mod postgres;
mod projecting;
mod reading;
mod rebuilding;
mod usage;
mod verifying;
