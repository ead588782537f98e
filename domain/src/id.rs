//! Identifiers, each with its own type.

use std::fmt;
use std::str::FromStr;

use hmac::{Hmac, KeyInit, Mac};
use rand::{CryptoRng, Rng};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use uuid::{Uuid, Version};
use zeroize::Zeroizing;

use crate::{InstallationSecret, KeyHash, Timestamp};

/// Identifies a key. The text form is a lower-case hyphenated UUID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(Uuid);

impl KeyId {
    /// The namespace of ids that are derived from the hash of an imported key (UUIDv5, RFC 9562).
    const IMPORTED: Uuid = Uuid::from_u128(0x8f1d_3c52_77b4_5e0e_8a53_64c1_0f3e_9d27);

    /// What the name of the stream of each key begins with.
    pub const STREAM_PREFIX: &str = "apikey-";

    /// A new id: UUIDv7 (RFC 9562), so that ids made later sort later.
    #[must_use]
    pub fn generate<R: Rng + ?Sized>(now: Timestamp, random: &mut R) -> Self {
        Self(uuid_at(now, random))
    }

    /// The id that is derived from this owner's idempotency key. It is the same for each attempt,
    /// so that the journal refuses a second creation; and nobody can tell it who does not have the secret.
    ///
    /// It is a UUIDv8 (RFC 9562) of the first 128 bits of an HMAC-SHA-256 (RFC 2104).
    #[must_use]
    pub fn for_idempotency_key(
        secret: &InstallationSecret,
        owner: &UserId,
        idempotency_key: &str,
    ) -> Self {
        let mut mac = Hmac::<Sha256>::new(&(*block(secret.as_bytes())).into());
        // A user id holds no control character, so the separator cannot occur in it.
        mac.update(format!("{owner}\0{idempotency_key}").as_bytes());
        let mut first = [0; 16];
        for (first, byte) in first.iter_mut().zip(mac.finalize().into_bytes()) {
            *first = byte;
        }
        Self(uuid::Builder::from_custom_bytes(first).into_uuid())
    }

    /// The id of an imported key with this hash. It is the same in each import.
    #[must_use]
    pub fn for_imported_hash(hash: &KeyHash) -> Self {
        Self(Uuid::new_v5(&Self::IMPORTED, hash.as_bytes()))
    }

    /// Whether several requests may ask for a key with this id: it is derived from an idempotency key or
    /// from the hash of an imported key.
    #[must_use]
    pub fn may_recur(self) -> bool {
        matches!(self.0.get_version(), Some(Version::Sha1 | Version::Custom))
    }

    /// The id with this UUID.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The id as a UUID.
    #[must_use]
    pub const fn as_uuid(self) -> Uuid {
        self.0
    }

    /// A hash for tables in memory: the random bits of the id, spread over 64 bits. Callers cannot
    /// choose an id, so they cannot cause collisions.
    #[must_use]
    pub fn hash_bits(self) -> u64 {
        let (_, low) = self.0.as_u64_pair();
        low.wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    /// The name of the stream that holds the key's events: `apikey-<key id>`.
    #[must_use]
    pub fn stream(self) -> String {
        format!("{}{}", Self::STREAM_PREFIX, self.0)
    }

    /// The id of the key whose events this stream holds; `None` if the stream is not of a key.
    #[must_use]
    pub fn from_stream(name: &str) -> Option<Self> {
        name.strip_prefix(Self::STREAM_PREFIX)?.parse().ok()
    }
}

impl FromStr for KeyId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::from_str(text).map(Self)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A key as a block of SHA-256, padded with zeros, as HMAC does it with a short key.
fn block(key: &[u8; 32]) -> Zeroizing<[u8; 64]> {
    let mut block = Zeroizing::new([0; 64]);
    for (padded, byte) in block.iter_mut().zip(key) {
        *padded = *byte;
    }
    block
}

/// A UUIDv7 (RFC 9562) of this time, to the millisecond. A time before 1970 counts as 1970.
fn uuid_at<R: Rng + ?Sized>(now: Timestamp, random: &mut R) -> Uuid {
    let millis = u64::try_from(now.unix_micros().div_euclid(1_000)).unwrap_or(0);
    let mut bytes = [0; 10];
    random.fill_bytes(&mut bytes);
    uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
}

/// Identifies one attempt at one command. Two attempts never share an id, not even two attempts at
/// the same idempotent request, because each generates its own secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandId(Uuid);

impl CommandId {
    /// A new random id.
    #[must_use]
    pub fn generate<R: Rng + ?Sized>(random: &mut R) -> Self {
        let mut bytes = [0; 16];
        random.fill_bytes(&mut bytes);
        Self(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }

    /// A new id that says when the command was given, to the millisecond: a UUIDv7 (RFC 9562).
    #[must_use]
    pub fn at<R: Rng + ?Sized>(now: Timestamp, random: &mut R) -> Self {
        Self(uuid_at(now, random))
    }

    /// The id of the command's event with this index, from 0: a UUIDv5 (RFC 9562) of both, so that
    /// an append that is sent again has the same ids.
    #[must_use]
    pub fn event_id(self, index: usize) -> EventId {
        EventId(Uuid::new_v5(&self.0, index.to_string().as_bytes()))
    }

    /// The id as a UUID.
    #[must_use]
    pub fn as_uuid(self) -> Uuid {
        self.0
    }
}

/// Identifies an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(Uuid);

impl EventId {
    /// The id with this UUID.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The id as a UUID.
    #[must_use]
    pub fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Identifies a person or service that owns keys or acts on them: the handle that stands for a user everywhere but
/// in the vault. It is random, so it leads to nobody once the vault has forgotten it. The text form is a lower-case
/// hyphenated UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OwnerId(Uuid);

impl OwnerId {
    /// What the name of the stream of each owner begins with.
    pub const STREAM_PREFIX: &str = "owner-";

    /// A new random id (UUIDv4, RFC 9562).
    #[must_use]
    pub fn generate<R: CryptoRng + ?Sized>(random: &mut R) -> Self {
        let mut bytes = [0; 16];
        random.fill_bytes(&mut bytes);
        Self(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }

    /// The id with this UUID.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The id as a UUID.
    #[must_use]
    pub const fn as_uuid(self) -> Uuid {
        self.0
    }

    /// The name of the stream that holds the owner's events: `owner-<owner id>`.
    #[must_use]
    pub fn stream(self) -> String {
        format!("{}{}", Self::STREAM_PREFIX, self.0)
    }

    /// The id of the owner whose events this stream holds; `None` if the stream is not of an owner.
    #[must_use]
    pub fn from_stream(name: &str) -> Option<Self> {
        name.strip_prefix(Self::STREAM_PREFIX)?.parse().ok()
    }
}

impl FromStr for OwnerId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::from_str(text).map(Self)
    }
}

impl fmt::Display for OwnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Identifies a user, as the identity provider does: 1 to 255 characters, without control
/// characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserId(String);

/// Why a text is not a [`UserId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UserIdError {
    /// The text is empty.
    #[error("a user id is empty")]
    Empty,
    /// The text has more than 255 characters.
    #[error("a user id has more than 255 characters")]
    TooLong,
    /// The text holds a control character.
    #[error("a user id holds a control character")]
    ControlCharacter,
}

impl UserId {
    /// Parses a user id from outside.
    ///
    /// # Errors
    /// Every variant of [`UserIdError`].
    pub fn parse(text: &str) -> Result<Self, UserIdError> {
        if text.is_empty() {
            return Err(UserIdError::Empty);
        }
        if text.chars().count() > 255 {
            return Err(UserIdError::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(UserIdError::ControlCharacter);
        }
        Ok(Self(text.to_owned()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// An id that was parsed before it was stored.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn an_idempotency_key_leads_to_one_id_per_owner() {
        let (ann, bob) = (UserId::parse("ann").unwrap(), UserId::parse("bob").unwrap());
        let [secret, other] =
            [1_u8, 2].map(|byte| InstallationSecret::try_from([byte; 32].as_slice()));
        let (secret, other) = (secret.unwrap(), other.unwrap());
        let id = KeyId::for_idempotency_key(&secret, &ann, "k1");
        assert_eq!(id, KeyId::for_idempotency_key(&secret, &ann, "k1"));
        assert_ne!(id, KeyId::for_idempotency_key(&secret, &ann, "k2"));
        assert_ne!(id, KeyId::for_idempotency_key(&secret, &bob, "k1"));
        assert_ne!(id, KeyId::for_idempotency_key(&other, &ann, "k1"));
        assert!(id.may_recur());
    }

    #[test]
    fn ids_made_later_sort_later() {
        let mut random = StdRng::seed_from_u64(1);
        let early = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
        let late = early.plus_seconds(1).unwrap();
        assert!(KeyId::generate(early, &mut random) < KeyId::generate(late, &mut random));
    }

    #[test]
    fn the_events_of_a_command_have_ids_of_their_own_that_do_not_change() {
        let command = CommandId::generate(&mut StdRng::seed_from_u64(1));
        assert_eq!(command.event_id(0), command.event_id(0));
        assert_ne!(command.event_id(0), command.event_id(1));
    }

    #[test]
    fn a_user_id_is_bounded_and_printable() {
        assert_eq!(UserId::parse(""), Err(UserIdError::Empty));
        assert_eq!(UserId::parse(&"x".repeat(256)), Err(UserIdError::TooLong));
        assert_eq!(UserId::parse("a\nb"), Err(UserIdError::ControlCharacter));
        assert_eq!(UserId::parse(&"ü".repeat(255)).unwrap().as_str().chars().count(), 255);
    }
}
