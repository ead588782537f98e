//! What is stored of a person: encrypted texts, and the commitment to the key that opens them.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::hex::{from_hex, hex};
use crate::{OwnerId, Position, Timestamp};

/// A text that says something of a person, encrypted with that person's data key. Once the key is destroyed,
/// nobody can tell the text.
///
/// It is stored as `{"o": owner id, "n": nonce, "c": ciphertext}`, the latter two in Base64url (RFC 4648 § 5)
/// without padding.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedText {
    /// The person whose key opens it.
    pub owner: OwnerId,
    /// The nonce, which no other text of this person has.
    pub nonce: [u8; Self::NONCE_BYTES],
    /// The ciphertext with its authentication tag of 16 bytes.
    pub ciphertext: Vec<u8>,
}

impl SealedText {
    /// How many bytes a nonce has.
    pub const NONCE_BYTES: usize = 24;
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    o: OwnerId,
    n: String,
    c: String,
}

impl Serialize for SealedText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { owner, nonce, ciphertext } = self;
        let stored = Stored { o: *owner, n: BASE64.encode(nonce), c: BASE64.encode(ciphertext) };
        stored.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SealedText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Stored { o: owner, n, c } = Stored::deserialize(deserializer)?;
        let bytes = |text: &str| BASE64.decode(text).map_err(|_| de::Error::custom("no Base64url"));
        let nonce = bytes(&n)?.try_into().map_err(|_| de::Error::custom("no nonce of 24 bytes"))?;
        Ok(Self { owner, nonce, ciphertext: bytes(&c)? })
    }
}

impl fmt::Debug for SealedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedText(of {}, ..)", self.owner)
    }
}

/// Where and when an owner was erased: the event that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// The event's position in the journal.
    pub position: Position,
    /// When it occurred.
    pub at: Timestamp,
}

/// What fixes a data key without telling it: a SHA-256 over a domain text and the key. The first event of an owner
/// has it, so that nobody can later show another key, with which a ciphertext would open to another text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Commitment([u8; 32]);

/// The text is not a [`Commitment`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a commitment has 64 lower-case hexadecimal digits")]
pub struct CommitmentError;

impl Commitment {
    /// The commitment with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Commitment {
    type Err = CommitmentError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        from_hex(text).map(Self).ok_or(CommitmentError)
    }
}

impl Serialize for Commitment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Commitment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const TEXT: &str = concat!(
        r#"{"o":"00000000-0000-0000-0000-000000000001","n":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB","#,
        r#""c":"_wIC"}"#
    );

    #[test]
    fn a_sealed_text_has_one_stored_form() {
        let owner = OwnerId::from_uuid(Uuid::from_u128(1));
        let sealed = SealedText { owner, nonce: [1; 24], ciphertext: vec![255, 2, 2] };
        assert_eq!(serde_json::to_string(&sealed).unwrap(), TEXT);
        assert_eq!(serde_json::from_str::<SealedText>(TEXT).unwrap(), sealed);
        for other in [
            TEXT.replace("AQEB\"", "AQE\""),
            TEXT.replace("_wIC", "/wIC"),
            TEXT.replace("_wIC", "_wIC="),
            TEXT.replace("\"c\"", "\"d\""),
            "\"ann\"".to_owned(),
        ] {
            assert!(serde_json::from_str::<SealedText>(&other).is_err(), "{other}");
        }
    }

    #[test]
    fn a_commitment_is_64_digits() {
        let text = "00ff".repeat(16);
        let commitment: Commitment = text.parse().unwrap();
        assert_eq!(commitment.to_string(), text);
        assert_eq!(commitment.as_bytes()[..2], [0, 255]);
        for other in ["", &text[2..], &text.to_uppercase(), &format!("{text}0"), &"é".repeat(32)] {
            assert_eq!(other.parse::<Commitment>(), Err(CommitmentError), "{other}");
        }
    }
}
