//! What can happen to a key. Names and fields are the stored form: they never change.

use serde::{Deserialize, Serialize};

use super::KeyDetails;
use crate::{Email, KeyId, Reason, Timestamp, UserId};

/// The key was created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyCreated {
    /// The id of the new key.
    pub key_id: KeyId,
    /// What was chosen for the key.
    pub details: KeyDetails,
    /// When the key was created.
    pub occurred_at: Timestamp,
}

impl KeyCreated {
    /// Whether the key comes from a former service. The event then occurred before it was recorded.
    #[must_use]
    pub fn is_imported(&self) -> bool {
        self.key_id == KeyId::for_imported_hash(&self.details.hash)
    }
}

/// The key was revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRevoked {
    /// The id of the revoked key.
    pub key_id: KeyId,
    /// The user who owns the key.
    pub user_id: UserId,
    /// When the key was revoked.
    pub occurred_at: Timestamp,
    /// The reason that was given, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

/// The key was deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyDeleted {
    /// The id of the deleted key.
    pub key_id: KeyId,
    /// The user who owned the key.
    pub user_id: UserId,
    /// When the key was deleted.
    pub occurred_at: Timestamp,
    /// The reason that was given, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

/// The identity provider has another address of the key's owner than before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyOwnerEmailChanged {
    /// The id of the key.
    pub key_id: KeyId,
    /// The user who owns the key.
    pub user_id: UserId,
    /// The owner's address from now on.
    pub user_email: Email,
    /// When the sign-in token that names the address was issued (`iat`, RFC 7519 § 4.1.6), by the identity
    /// provider's clock. A token that was issued before this one does not change the address again.
    pub token_issued_at: Timestamp,
    /// When the address was taken over.
    pub occurred_at: Timestamp,
}

/// Declares [`KeyEvent`] from the one list of events: variant, type of the data, name of the type
/// in the stored form, verb. Names, verbs, encoding and decoding follow from the list, so that none
/// of them can miss an event.
macro_rules! events {
    ($($(#[$doc:meta])* $variant:ident($data:ident), $name:literal, $verb:literal;)+) => {
        /// Something that happened to a key.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum KeyEvent {
            $($(#[$doc])* $variant($data),)+
        }

        $(impl $data {
            /// The type's name in the stored form.
            pub const TYPE: &'static str = $name;
        })+

        impl KeyEvent {
            /// The names of all types in the stored form.
            pub const TYPES: &'static [&'static str] = &[$($data::TYPE),+];

            /// The type's name in the stored form.
            #[must_use]
            pub fn event_type(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $data::TYPE,)+
                }
            }

            /// What was done to the key, as messages name it: `created` for example.
            #[must_use]
            pub fn verb(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $verb,)+
                }
            }

            /// The event's data as JSON.
            pub(crate) fn data(&self) -> Result<String, serde_json::Error> {
                match self {
                    $(Self::$variant(data) => serde_json::to_string(data),)+
                }
            }

            /// Reads the data of an event of this type; `None` if there is no such type.
            pub(crate) fn from_data(
                event_type: &str,
                data: &[u8],
            ) -> Option<Result<Self, serde_json::Error>> {
                match event_type {
                    $($data::TYPE => Some(serde_json::from_slice(data).map(Self::$variant)),)+
                    _ => None,
                }
            }
        }
    };
}

events! {
    /// The key was created.
    Created(KeyCreated), "KeyCreated", "created";
    /// The key was revoked.
    Revoked(KeyRevoked), "KeyRevoked", "revoked";
    /// The key was deleted.
    Deleted(KeyDeleted), "KeyDeleted", "deleted";
    /// The address of the key's owner has changed.
    OwnerEmailChanged(KeyOwnerEmailChanged), "KeyOwnerEmailChanged", "owner-email-changed";
}

impl KeyEvent {
    /// The user who owns the key.
    #[must_use]
    pub fn owner(&self) -> &UserId {
        match self {
            Self::Created(event) => &event.details.owner,
            Self::Revoked(event) => &event.user_id,
            Self::Deleted(event) => &event.user_id,
            Self::OwnerEmailChanged(event) => &event.user_id,
        }
    }

    /// The id of the key that the event is about.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        match self {
            Self::Created(event) => event.key_id,
            Self::Revoked(event) => event.key_id,
            Self::Deleted(event) => event.key_id,
            Self::OwnerEmailChanged(event) => event.key_id,
        }
    }

    /// When the event occurred.
    #[must_use]
    pub fn occurred_at(&self) -> Timestamp {
        match self {
            Self::Created(event) => event.occurred_at,
            Self::Revoked(event) => event.occurred_at,
            Self::Deleted(event) => event.occurred_at,
            Self::OwnerEmailChanged(event) => event.occurred_at,
        }
    }

    /// Whether the event may change what verification says of the key: that it is valid, or why not.
    #[must_use]
    pub fn may_change_verdict(&self) -> bool {
        match self {
            Self::Created(_) | Self::Revoked(_) | Self::Deleted(_) => true,
            Self::OwnerEmailChanged(_) => false,
        }
    }
}
