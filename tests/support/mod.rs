//! What all tests share: services of their own, people who use them, and ways to wait.

pub(crate) mod browser;
pub(crate) mod client;
pub(crate) mod fuzzer;
pub(crate) mod load;
pub(crate) mod log;
pub(crate) mod nats;
pub(crate) mod runbook;
pub(crate) mod service;
pub(crate) mod setup;
pub(crate) mod stores;
pub(crate) mod token;

pub(crate) use client::{Answer, Client, assert_problem, assert_status, raw_answer};
pub(crate) use keyledger_test_servers::process::{Process, run, run_within};
pub(crate) use keyledger_test_servers::wait;
pub(crate) use service::{Service, latest, took_lease};
pub(crate) use setup::{Setup, keyledger, preloadable};
pub(crate) use stores::events_of;
pub(crate) use token::{SECRET, claims, from_now, token, token_of, token_with};

/// Whether the text is a time in the form that the API promises.
pub(crate) fn is_time(text: &serde_json::Value) -> bool {
    let text = text.as_str().unwrap_or_default();
    text.len() == "2026-03-01T12:00:00.000000Z".len()
        && text.ends_with('Z')
        && keyledger_domain::Timestamp::parse(text).is_ok()
}
