//! Exports of generated histories: what the verifier says of good and of tampered ones, and that
//! an independent checker says the same.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod agreement;
mod history;
mod tampering;
mod throughput;
