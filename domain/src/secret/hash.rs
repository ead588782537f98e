//! The hash of a key, which is stored in place of the key.
//!
//! Keys of this service are hashed with SHA-256. A former service may have used HMAC-SHA-256, with a secret
//! of its own.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::hex::{from_hex, hex};

/// The hash of a full key. Its text form is lower-case hex. `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash(pub(super) [u8; 32]);

/// The text or the bytes are not a SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key hash is 32 bytes, or 64 characters of lower-case hex")]
pub struct KeyHashError;

/// How the hash of a key follows from the key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HashFunction {
    /// SHA-256 (FIPS 180-4).
    #[default]
    #[serde(rename = "sha256")]
    Sha256,
    /// HMAC-SHA-256 (RFC 2104) under a secret of the service that the key was imported from.
    #[serde(rename = "hmac-sha256")]
    HmacSha256,
}

impl HashFunction {
    /// Whether this is SHA-256.
    #[must_use]
    pub fn is_sha256(&self) -> bool {
        *self == Self::Sha256
    }
}

impl KeyHash {
    /// The SHA-256 of a text.
    #[must_use]
    pub fn of(full_key: &str) -> Self {
        Self(Sha256::digest(full_key.as_bytes()).into())
    }

    /// The 32 bytes of the hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The lower-case hex form.
    #[must_use]
    pub fn to_hex(self) -> String {
        hex(&self.0)
    }

    /// Parses the lower-case hex form.
    ///
    /// # Errors
    /// [`KeyHashError`] for anything but 64 characters of `0-9a-f`.
    pub fn from_hex(digits: &str) -> Result<Self, KeyHashError> {
        from_hex(digits).map(Self).ok_or(KeyHashError)
    }
}

impl TryFrom<&[u8]> for KeyHash {
    type Error = KeyHashError;

    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        bytes.try_into().map(Self).map_err(|_| KeyHashError)
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(..)")
    }
}

impl Serialize for KeyHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_hex())
    }
}

impl<'de> Deserialize<'de> for KeyHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let hex = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::from_hex(&hex).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_sha_256_of_the_whole_text() {
        // FIPS 180-2, appendix B.1.
        let hash = KeyHash::of("abc");
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash.to_hex(), hex);
        assert_eq!(KeyHash::from_hex(hex), Ok(hash));
        for wrong in [&hex[1..], &hex.to_uppercase(), &format!("{hex}00"), ""] {
            assert_eq!(KeyHash::from_hex(wrong), Err(KeyHashError), "{wrong}");
        }
    }
}
