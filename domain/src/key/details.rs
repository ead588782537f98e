//! What a key is, spelled once: the commands that make keys, the event of creation and the key's
//! state all hold a [`KeyDetails`].
//!
//! A new field is added to [`KeyDetails`] and to [`StoredKeyCreated`]. Every place that shows or
//! stores details takes them apart without `..`, so that the compiler then names each of them.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::KeyCreated;
use crate::{
    DisplayPrefix, Email, HashFunction, KeyHash, KeyId, KeyName, SourceId, Timestamp, UserId,
};

/// What is chosen for a key when it is created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyDetails {
    /// The user who owns the key.
    pub owner: UserId,
    /// The owner's address; `None` if the identity provider gave none. Of a key's details only this one
    /// changes later.
    pub owner_email: Option<Email>,
    /// The name that the owner gave the key.
    pub name: KeyName,
    /// The beginning of the secret, by which people recognise the key.
    pub prefix: DisplayPrefix,
    /// The hash of the secret. The secret itself is not stored.
    pub hash: KeyHash,
    /// The time from which the key does not verify; `None` if it does not expire.
    pub expires_at: Option<Timestamp>,
    /// How the hash follows from the secret. Only imported keys have another than SHA-256.
    pub hash_function: HashFunction,
    /// The id that an imported key had at the former service, if that is known.
    pub source_id: Option<SourceId>,
}

/// The stored form of [`KeyCreated`]. Names and order never change; a field that is added stands
/// last, and is absent in older events.
#[derive(Serialize, Deserialize)]
struct StoredKeyCreated<'a> {
    key_id: KeyId,
    user_id: Cow<'a, UserId>,
    /// `null` if there is none.
    user_email: Cow<'a, Option<Email>>,
    name: Cow<'a, KeyName>,
    key_prefix: Cow<'a, DisplayPrefix>,
    key_hash: KeyHash,
    occurred_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    /// Absent for SHA-256.
    #[serde(default, skip_serializing_if = "HashFunction::is_sha256")]
    hash_function: HashFunction,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source_id: Option<Cow<'a, SourceId>>,
}

impl Serialize for KeyCreated {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { key_id, details, occurred_at } = self;
        let KeyDetails {
            owner,
            owner_email,
            name,
            prefix,
            hash,
            expires_at,
            hash_function,
            source_id,
        } = details;
        StoredKeyCreated {
            key_id: *key_id,
            user_id: Cow::Borrowed(owner),
            user_email: Cow::Borrowed(owner_email),
            name: Cow::Borrowed(name),
            key_prefix: Cow::Borrowed(prefix),
            key_hash: *hash,
            occurred_at: *occurred_at,
            expires_at: *expires_at,
            hash_function: *hash_function,
            source_id: source_id.as_ref().map(Cow::Borrowed),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for KeyCreated {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let StoredKeyCreated {
            key_id,
            user_id,
            user_email,
            name,
            key_prefix,
            key_hash,
            occurred_at,
            expires_at,
            hash_function,
            source_id,
        } = StoredKeyCreated::deserialize(deserializer)?;
        let details = KeyDetails {
            owner: user_id.into_owned(),
            owner_email: user_email.into_owned(),
            name: name.into_owned(),
            prefix: key_prefix.into_owned(),
            hash: key_hash,
            expires_at,
            hash_function,
            source_id: source_id.map(Cow::into_owned),
        };
        Ok(Self { key_id, details, occurred_at })
    }
}
