//! The read side, fed with a list of events.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a test fails by panicking"
)]

mod given;
mod growing;
mod leases;
mod projecting;
mod reading;
mod rebuilding;
mod usage;
mod verifying;
