//! A key, as the list and the single key show it.

use keyledger_domain::Timestamp;
use keyledger_projections::KeyView;
use serde::Serialize;
use utoipa::ToSchema;

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
    /// Whether the key was revoked, or is closed.
    revoked: bool,
    /// Why the key is refused although nobody may have revoked it: its events were `removed` from the
    /// journal's database, a `foreign` program has written to its stream, or an event of it is `unreadable`.
    /// Absent for all other keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "removed")]
    closed: Option<String>,
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
            revoked: view.revoked_at.is_some() || view.closed.is_some(),
            closed: view.closed,
            expires_at: view.expires_at,
        }
    }
}
