//! Tests of the index as others use it.

mod folding;
mod given;
mod replacing;
