//! Exports of generated histories: the verifier's findings for valid and for altered ones, which an
//! independent checker must also report.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod agreement;
mod history;
mod tampering;
mod throughput;
mod wholes;
