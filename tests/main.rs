//! Black-box tests of the real executable, in folders by subject.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod architecture;
mod audit;
mod cli;
mod cluster;
mod deploy;
mod http;
mod limits;
mod log;
mod openrag;
mod support;
mod telemetry;
mod verification;
