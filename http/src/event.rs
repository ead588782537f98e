//! The form of events in histories and audits. It never contains a key's hash.

use keyledger_domain::{PublishedData, PublishedEvent, RecordedEvent, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// Something that happened to a key.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HistoryEvent {
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
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HistoryData {
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
    /// The id that an imported key had at the former service.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    source_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
    /// When the sign-in token was issued that named the owner's new address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    token_issued_at: Option<Timestamp>,
}

/// Something that happened to a key, among what happened to all of them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditEvent {
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
        let published = PublishedEvent::from(&recorded);
        Self {
            position: published.position.as_u64(),
            revision: published.revision.as_u32(),
            event_id: published.id.as_uuid(),
            event_type: published.event_type,
            occurred_at: published.occurred_at,
            actor: published.metadata.actor.to_string(),
            correlation_id: published.metadata.correlation_id.clone(),
            data: published.data.into(),
        }
    }
}

impl From<PublishedData<'_>> for HistoryData {
    fn from(data: PublishedData<'_>) -> Self {
        let PublishedData {
            user_id,
            user_email,
            name,
            key_prefix,
            expires_at,
            source_id,
            reason,
            token_issued_at,
        } = data;
        let owned = |text: Option<&str>| text.map(ToOwned::to_owned);
        Self {
            user_id: user_id.to_owned(),
            user_email: owned(user_email),
            name: owned(name),
            key_prefix: owned(key_prefix),
            expires_at,
            source_id: owned(source_id),
            reason: owned(reason),
            token_issued_at,
        }
    }
}
