//! The names and shapes that go over the wire.

use axum::http::HeaderName;
use keyledger_domain::Timestamp;
use keyledger_domain::key::Key;
use keyledger_projections::KeyView;
use serde::Serialize;
use utoipa::ToSchema;

pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub(super) const LAGGING: HeaderName = HeaderName::from_static("keyledger-lagging");
pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
pub(super) const MIN_POSITION: HeaderName = HeaderName::from_static("keyledger-min-position");
pub(super) const POSITION: HeaderName = HeaderName::from_static("keyledger-position");
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// An answer that says no more than that it was done.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Success {
    /// Always true.
    pub(super) success: bool,
}

/// A key, as lists show it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KeyItem {
    #[schema(value_type = Uuid)]
    key_id: String,
    /// The beginning of the key, to recognise it by.
    #[schema(example = "orag_AbCdEfGh")]
    key_prefix: String,
    name: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When the key last verified, within seconds; `null` when it never did.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    last_used_at: Option<Timestamp>,
    revoked: bool,
    /// From when on the key does not verify; absent when it does not expire.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    expires_at: Option<Timestamp>,
}

impl From<KeyView> for KeyItem {
    fn from(view: KeyView) -> Self {
        Self {
            key_id: view.key_id.to_string(),
            key_prefix: view.prefix.as_str().to_owned(),
            name: view.name.as_str().to_owned(),
            created_at: view.created_at,
            last_used_at: view.last_used_at,
            revoked: view.revoked_at.is_some(),
            expires_at: view.expires_at,
        }
    }
}

/// An owner's keys, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KeyList {
    /// Always true.
    pub(super) success: bool,
    pub(super) keys: Vec<KeyItem>,
    /// Where the next page begins; `null` on the last. Only there when pages were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_cursor: Option<Option<String>>,
}

/// One key.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KeyAnswer {
    /// Always true.
    pub(super) success: bool,
    pub(super) key: KeyItem,
}

/// A key that was just made, with the secret that is shown this once.
#[derive(Serialize, ToSchema)]
pub(super) struct CreatedKey<'a> {
    /// Always true.
    success: bool,
    #[schema(value_type = Uuid)]
    key_id: String,
    /// The beginning of the key, to recognise it by.
    #[schema(example = "orag_AbCdEfGh")]
    key_prefix: &'a str,
    name: &'a str,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    expires_at: Option<Timestamp>,
    /// The key itself. It is not stored and cannot be shown again.
    api_key: &'a str,
}

impl<'a> CreatedKey<'a> {
    pub(super) fn new(key: &'a Key, api_key: &'a str) -> Self {
        Self {
            success: true,
            key_id: key.id.to_string(),
            key_prefix: key.prefix.as_str(),
            name: key.name.as_str(),
            created_at: key.created_at,
            expires_at: key.expires_at,
            api_key,
        }
    }
}
