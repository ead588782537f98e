//! Black-box tests, one file per capability, against the real executable.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod architecture;
mod asyncapi;
mod audit;
mod authorization;
mod backends;
mod bad_input;
mod concurrency;
mod configuration;
mod consumer;
mod copy;
mod durability;
mod gateways;
mod history;
mod idempotency;
mod journal;
mod key_list;
mod nodes;
mod openapi;
mod outages;
mod positions;
mod rebuild;
mod relay;
mod running;
mod secrecy;
mod sign_in;
mod support;
mod tree;
mod ui_contract;
mod verification;
