//! What the index holds about a key.

use keyledger_domain::key::KeyStatus;
use keyledger_domain::{HashFunction, KeyHash, KeyId, Revision, Timestamp};
use serde::{Serialize, Serializer};
use uuid::Uuid;

/// The data of a key, except its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRecord<'a> {
    /// The key's id. It never changes.
    pub key_id: KeyId,
    /// The hash of the key's text. It never changes.
    pub hash: KeyHash,
    /// How the hash follows from the text.
    pub hash_function: HashFunction,
    /// The user to whom the key belongs.
    pub owner: Owner<'a>,
    /// The owner's email address, if it is known.
    pub owner_email: Option<&'a str>,
    /// The name that the owner gave to the key.
    pub name: &'a str,
    /// When the key was created.
    pub created_at: Timestamp,
    /// From this time on the key does not verify; `None` if it never expires.
    pub expires_at: Option<Timestamp>,
}

/// A key with the status that its last event led to: what a [`KeySource`](crate::KeySource) hands in,
/// and what [`Index::find`](crate::Index::find) returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadedKey<'a> {
    /// The key's data.
    pub record: KeyRecord<'a>,
    /// The revision of the key's last event.
    pub revision: Revision,
    /// The key's status as of that revision.
    pub status: KeyStatus,
}

/// The id of a key's owner. Most identity providers name users by UUIDs, which take less memory as
/// such than as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner<'a> {
    /// A UUID, written in lower case with hyphens.
    Uuid(Uuid),
    /// Any other text.
    Text(&'a str),
}

impl<'a> Owner<'a> {
    /// The owner with this id.
    #[must_use]
    pub fn of(id: &'a str) -> Self {
        let mut buffer = Uuid::encode_buffer();
        match Uuid::try_parse(id) {
            Ok(uuid) if uuid.hyphenated().encode_lower(&mut buffer) == id => Self::Uuid(uuid),
            Ok(_) | Err(_) => Self::Text(id),
        }
    }

    /// The id as text. A UUID is written into `buffer`; any other text is returned as it is.
    #[must_use]
    pub fn text<'b>(&self, buffer: &'b mut [u8; 36]) -> &'b str
    where
        'a: 'b,
    {
        match self {
            Self::Uuid(uuid) => uuid.hyphenated().encode_lower(buffer),
            Self::Text(text) => text,
        }
    }
}

impl Serialize for Owner<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text(&mut [0; 36]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_has_the_text_that_it_was_made_of() {
        let uuid = "0b9fbb4a-c5bc-56bf-bb7f-7456ac743748";
        for text in [uuid, &uuid.to_uppercase(), &uuid.replace('-', ""), "ann", ""] {
            let owner = Owner::of(text);
            assert_eq!(owner.text(&mut [0; 36]), text);
            assert_eq!(matches!(owner, Owner::Uuid(_)), text == uuid, "{text}");
        }
    }
}
