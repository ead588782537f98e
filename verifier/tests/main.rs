//! Tests of the index as others use it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod finding;
mod folding;
mod forgetting;
mod given;
mod proving;
mod replacing;
