//! The public form of an event: what is shown of it over HTTP, in messages and in spreadsheets.
//!
//! It has no field for a key's hash, so that nothing that shows events can show a hash by mistake.

use serde::Serialize;

use crate::key::{KeyCreated, KeyDeleted, KeyDetails, KeyEvent, KeyOwnerEmailChanged, KeyRevoked};
use crate::{
    Email, EventId, KeyId, Metadata, Position, Reason, RecordedEvent, Revision, SourceId,
    Timestamp, UserId,
};

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
    /// The owner's address as of this event.
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
    /// The id that an imported key had at the former service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_id: Option<&'a str>,
    /// The reason that was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    /// When the sign-in token was issued that named the owner's new address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_issued_at: Option<Timestamp>,
}

impl<'a> From<&'a RecordedEvent> for PublishedEvent<'a> {
    fn from(recorded: &'a RecordedEvent) -> Self {
        let RecordedEvent { position, revision, id, event, metadata } = recorded;
        let data = match event {
            KeyEvent::Created(created) => created.into(),
            KeyEvent::Revoked(revoked) => revoked.into(),
            KeyEvent::Deleted(deleted) => deleted.into(),
            KeyEvent::OwnerEmailChanged(changed) => changed.into(),
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
    /// Only the owner.
    fn of(owner: &'a UserId) -> Self {
        Self {
            user_id: owner.as_str(),
            user_email: None,
            name: None,
            key_prefix: None,
            expires_at: None,
            source_id: None,
            reason: None,
            token_issued_at: None,
        }
    }

    /// Only the owner, and a reason where one was given.
    fn ended(owner: &'a UserId, reason: Option<&'a Reason>) -> Self {
        Self { reason: reason.map(Reason::as_str), ..Self::of(owner) }
    }
}

impl<'a> From<&'a KeyCreated> for PublishedData<'a> {
    fn from(KeyCreated { key_id: _, details, occurred_at: _ }: &'a KeyCreated) -> Self {
        details.into()
    }
}

impl<'a> From<&'a KeyDetails> for PublishedData<'a> {
    fn from(details: &'a KeyDetails) -> Self {
        // The hash, and how it was computed, are the only details that are not shown.
        let KeyDetails {
            owner,
            owner_email,
            name,
            prefix,
            hash: _,
            expires_at,
            hash_function: _,
            source_id,
        } = details;
        Self {
            user_email: owner_email.as_ref().map(Email::as_str),
            name: Some(name.as_str()),
            key_prefix: Some(prefix.as_str()),
            expires_at: *expires_at,
            source_id: source_id.as_ref().map(SourceId::as_str),
            ..Self::of(owner)
        }
    }
}

impl<'a> From<&'a KeyRevoked> for PublishedData<'a> {
    fn from(KeyRevoked { key_id: _, user_id, occurred_at: _, reason }: &'a KeyRevoked) -> Self {
        Self::ended(user_id, reason.as_ref())
    }
}

impl<'a> From<&'a KeyDeleted> for PublishedData<'a> {
    fn from(KeyDeleted { key_id: _, user_id, occurred_at: _, reason }: &'a KeyDeleted) -> Self {
        Self::ended(user_id, reason.as_ref())
    }
}

impl<'a> From<&'a KeyOwnerEmailChanged> for PublishedData<'a> {
    fn from(changed: &'a KeyOwnerEmailChanged) -> Self {
        let KeyOwnerEmailChanged {
            key_id: _,
            user_id,
            user_email,
            token_issued_at,
            occurred_at: _,
        } = changed;
        Self {
            user_email: Some(user_email.as_str()),
            token_issued_at: Some(*token_issued_at),
            ..Self::of(user_id)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::tests::{created, deleted, email_changed, revoked};
    use crate::testing::{at, stream};

    #[test]
    fn no_public_form_shows_a_hash() {
        let changed = email_changed("ann@example.net", at(1), at(1));
        let all = [created(), revoked(), deleted(), changed];
        for recorded in stream((1..).zip(all.clone())) {
            let KeyEvent::Created(KeyCreated { details, .. }) = created() else { panic!() };
            let published = PublishedEvent::from(&recorded);
            let shown = serde_json::to_string(&published.data).unwrap();
            let hash = serde_json::to_string(&details.hash).unwrap();
            assert!(!shown.contains(hash.trim_matches('"')), "{shown}");
            assert!(!shown.contains("hash"), "{shown}");
            let verb = published.verb.replace('-', "");
            assert!(published.event_type.to_lowercase().ends_with(&verb));
        }
        assert_eq!(all.map(|event| event.event_type()), *KeyEvent::TYPES);
    }
}
