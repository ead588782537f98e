//! Black-box tests, one file per capability, against the real executable.

mod architecture;
mod authorization;
mod bad_input;
mod concurrency;
mod configuration;
mod durability;
mod history;
mod idempotency;
mod journal;
mod key_list;
mod openapi;
mod positions;
mod rebuild;
mod running;
mod secrecy;
mod sign_in;
mod support;
mod ui_contract;
