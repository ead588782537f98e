//! What can happen to a key. The names and fields are the stored form: they never change.

use serde::{Deserialize, Serialize};

use crate::{DisplayPrefix, Email, KeyHash, KeyId, KeyName, Reason, Timestamp, UserId};

/// Something that happened to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyEvent {
    /// The key was created.
    Created(KeyCreated),
    /// The key was revoked.
    Revoked(KeyRevoked),
    /// The key was deleted.
    Deleted(KeyDeleted),
}

/// The key was created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyCreated {
    /// The key.
    pub key_id: KeyId,
    /// Its owner.
    pub user_id: UserId,
    /// The owner's address then; `null` where the identity provider gave none.
    pub user_email: Option<Email>,
    /// What the owner calls it.
    pub name: KeyName,
    /// What people recognise it by.
    pub key_prefix: DisplayPrefix,
    /// What stands in the secret's place.
    pub key_hash: KeyHash,
    /// When.
    pub occurred_at: Timestamp,
    /// From when on it no longer verifies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// The key was revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRevoked {
    /// The key.
    pub key_id: KeyId,
    /// Its owner.
    pub user_id: UserId,
    /// When.
    pub occurred_at: Timestamp,
    /// Why, where a reason was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

/// The key was deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyDeleted {
    /// The key.
    pub key_id: KeyId,
    /// Its owner.
    pub user_id: UserId,
    /// When.
    pub occurred_at: Timestamp,
    /// Why, where a reason was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

impl KeyCreated {
    /// The type's name in the stored form.
    pub const TYPE: &'static str = "KeyCreated";
}

impl KeyRevoked {
    /// The type's name in the stored form.
    pub const TYPE: &'static str = "KeyRevoked";
}

impl KeyDeleted {
    /// The type's name in the stored form.
    pub const TYPE: &'static str = "KeyDeleted";
}

impl KeyEvent {
    /// The names of all types in the stored form.
    pub const TYPES: [&'static str; 3] = [KeyCreated::TYPE, KeyRevoked::TYPE, KeyDeleted::TYPE];

    /// The key's owner.
    #[must_use]
    pub fn owner(&self) -> &UserId {
        match self {
            Self::Created(event) => &event.user_id,
            Self::Revoked(event) => &event.user_id,
            Self::Deleted(event) => &event.user_id,
        }
    }

    /// The key that it happened to.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        match self {
            Self::Created(event) => event.key_id,
            Self::Revoked(event) => event.key_id,
            Self::Deleted(event) => event.key_id,
        }
    }

    /// The type's name in the stored form.
    #[must_use]
    pub fn event_type(&self) -> &'static str {
        match self {
            Self::Created(_) => KeyCreated::TYPE,
            Self::Revoked(_) => KeyRevoked::TYPE,
            Self::Deleted(_) => KeyDeleted::TYPE,
        }
    }

    /// When it happened.
    #[must_use]
    pub fn occurred_at(&self) -> Timestamp {
        match self {
            Self::Created(event) => event.occurred_at,
            Self::Revoked(event) => event.occurred_at,
            Self::Deleted(event) => event.occurred_at,
        }
    }
}
