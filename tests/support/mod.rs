//! What all tests share: a service of their own, and people who use it.

pub(crate) mod client;
pub(crate) mod load;
pub(crate) mod service;
pub(crate) mod stores;

pub(crate) use client::{Answer, Client};
pub(crate) use service::{SECRET, Service, Setup, claims, keyledger, token, token_with};

/// Whether the text is a time in the form that the API promises.
pub(crate) fn is_time(text: &serde_json::Value) -> bool {
    let text = text.as_str().unwrap_or_default();
    text.len() == "2026-03-01T12:00:00.000000Z".len()
        && text.ends_with('Z')
        && keyledger_domain::Timestamp::parse(text).is_ok()
}
