//! The public form of an event: what is shown of it over HTTP, in messages and in spreadsheets.
//!
//! It has no field for a key's hash, so that nothing that shows events can show a hash by mistake.

use serde::Serialize;

use crate::key::{KeyCreated, KeyDeleted, KeyDetails, KeyEvent, KeyRevoked};
use crate::{EventId, KeyId, Metadata, Position, RecordedEvent, Revision, Timestamp};

/// An event as others may see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishedEvent<'a> {
    /// The event's place among all events.
    pub position: Position,
    /// The event's place among those of its key.
    pub revision: Revision,
    /// The event's id.
    pub id: EventId,
    /// The id of the key that the event is about.
    pub key_id: KeyId,
    /// The name of its type, such as `KeyCreated`.
    pub event_type: &'static str,
    /// The verb in subjects and types of messages, such as `created`.
    pub verb: &'static str,
    /// When the event occurred.
    pub occurred_at: Timestamp,
    /// Who caused the event, and in which request.
    pub metadata: &'a Metadata,
    /// What the event says of the key.
    pub data: PublishedData<'a>,
}

/// What an event says of its key. A field that the event does not have is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PublishedData<'a> {
    /// The key's owner.
    pub user_id: &'a str,
    /// The owner's address when the key was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_email: Option<&'a str>,
    /// The name that the owner gave the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    /// The beginning of the secret, by which people recognise the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_prefix: Option<&'a str>,
    /// The time from which the key does not verify.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The reason that was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
}

impl<'a> From<&'a RecordedEvent> for PublishedEvent<'a> {
    fn from(recorded: &'a RecordedEvent) -> Self {
        let RecordedEvent { position, revision, id, event, metadata } = recorded;
        let data = match event {
            KeyEvent::Created(created) => created.into(),
            KeyEvent::Revoked(revoked) => revoked.into(),
            KeyEvent::Deleted(deleted) => deleted.into(),
        };
        Self {
            position: *position,
            revision: *revision,
            id: *id,
            key_id: event.key_id(),
            event_type: event.event_type(),
            verb: event.verb(),
            occurred_at: event.occurred_at(),
            metadata,
            data,
        }
    }
}

impl<'a> PublishedData<'a> {
    /// Only the owner, and a reason where one was given.
    fn ended(user_id: &'a str, reason: Option<&'a str>) -> Self {
        let (user_email, name, key_prefix, expires_at) = (None, None, None, None);
        Self { user_id, user_email, name, key_prefix, expires_at, reason }
    }
}

impl<'a> From<&'a KeyCreated> for PublishedData<'a> {
    fn from(KeyCreated { key_id: _, details, occurred_at: _ }: &'a KeyCreated) -> Self {
        details.into()
    }
}

impl<'a> From<&'a KeyDetails> for PublishedData<'a> {
    fn from(details: &'a KeyDetails) -> Self {
        // The hash is the only detail that is not shown.
        let KeyDetails { owner, owner_email, name, prefix, hash: _, expires_at } = details;
        Self {
            user_id: owner.as_str(),
            user_email: owner_email.as_ref().map(|email| email.as_str()),
            name: Some(name.as_str()),
            key_prefix: Some(prefix.as_str()),
            expires_at: *expires_at,
            reason: None,
        }
    }
}

impl<'a> From<&'a KeyRevoked> for PublishedData<'a> {
    fn from(KeyRevoked { key_id: _, user_id, occurred_at: _, reason }: &'a KeyRevoked) -> Self {
        Self::ended(user_id.as_str(), reason.as_ref().map(|reason| reason.as_str()))
    }
}

impl<'a> From<&'a KeyDeleted> for PublishedData<'a> {
    fn from(KeyDeleted { key_id: _, user_id, occurred_at: _, reason }: &'a KeyDeleted) -> Self {
        Self::ended(user_id.as_str(), reason.as_ref().map(|reason| reason.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::tests::{created, deleted, revoked};
    use crate::testing::stream;

    #[test]
    fn no_public_form_shows_a_hash() {
        let all = [created(), revoked(), deleted()];
        for recorded in stream((1..).zip(all.clone())) {
            let KeyEvent::Created(KeyCreated { details, .. }) = created() else { panic!() };
            let published = PublishedEvent::from(&recorded);
            let shown = serde_json::to_string(&published.data).unwrap();
            let hash = serde_json::to_string(&details.hash).unwrap();
            assert!(!shown.contains(hash.trim_matches('"')), "{shown}");
            assert!(!shown.contains("hash"), "{shown}");
            assert!(published.event_type.to_lowercase().ends_with(published.verb));
        }
        assert_eq!(all.map(|event| event.event_type()), *KeyEvent::TYPES);
    }
}
