//! Events, as histories and audits show them: never a key's hash.

use keyledger_domain::key::KeyEvent;
use keyledger_domain::{RecordedEvent, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// Something that happened to a key.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HistoryEvent {
    /// Its place among all events.
    #[schema(minimum = 1)]
    position: u64,
    /// Its place among the key's events, from 0.
    revision: u32,
    event_id: Uuid,
    #[serde(rename = "type")]
    #[schema(example = "KeyRevoked")]
    event_type: &'static str,
    #[schema(value_type = String, format = DateTime)]
    occurred_at: Timestamp,
    /// Who did it.
    actor: String,
    /// The request that it was part of.
    correlation_id: String,
    data: HistoryData,
}

/// What an event tells of the key; never its hash.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct HistoryData {
    /// The key's owner.
    user_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user_email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    key_prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
}

/// Something that happened to a key, among what happened to all of them.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AuditEvent {
    /// The key.
    key_id: Uuid,
    #[serde(flatten)]
    event: HistoryEvent,
}

impl From<RecordedEvent> for AuditEvent {
    fn from(recorded: RecordedEvent) -> Self {
        Self { key_id: recorded.event.key_id().as_uuid(), event: recorded.into() }
    }
}

impl From<RecordedEvent> for HistoryEvent {
    fn from(recorded: RecordedEvent) -> Self {
        Self {
            position: recorded.position.as_u64(),
            revision: recorded.revision.as_u32(),
            event_id: recorded.id.as_uuid(),
            event_type: recorded.event.event_type(),
            occurred_at: recorded.event.occurred_at(),
            actor: recorded.metadata.actor.to_string(),
            correlation_id: recorded.metadata.correlation_id,
            data: recorded.event.into(),
        }
    }
}

impl From<KeyEvent> for HistoryData {
    fn from(event: KeyEvent) -> Self {
        let ended = |user_id: &str, reason: Option<&str>| Self {
            user_id: user_id.to_owned(),
            reason: reason.map(ToOwned::to_owned),
            ..Self::default()
        };
        match event {
            KeyEvent::Created(created) => Self {
                user_id: created.user_id.to_string(),
                user_email: created.user_email.map(|email| email.as_str().to_owned()),
                name: Some(created.name.as_str().to_owned()),
                key_prefix: Some(created.key_prefix.as_str().to_owned()),
                expires_at: created.expires_at,
                reason: None,
            },
            KeyEvent::Revoked(revoked) => {
                ended(revoked.user_id.as_str(), revoked.reason.as_ref().map(|r| r.as_str()))
            }
            KeyEvent::Deleted(deleted) => {
                ended(deleted.user_id.as_str(), deleted.reason.as_ref().map(|r| r.as_str()))
            }
        }
    }
}
