//! The public HTTP interface of one service.

mod authorization;
mod bad_input;
mod concurrency;
mod generators;
mod history;
mod idempotency;
mod key_list;
pub(crate) mod key_sets;
mod openapi;
mod paths;
mod positions;
mod secrecy;
mod sign_in;
mod ui_contract;
