//! Hashes of tree nodes.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// The SHA-256 of a node of the tree. Its text form is padded base64 (RFC 4648, section 4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeHash([u8; 32]);

/// The text or the bytes do not have the form of a [`TreeHash`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a tree's hash is 32 bytes, or 44 characters of base64")]
pub struct TreeHashError;

impl TreeHash {
    /// The root of the empty tree: the SHA-256 of no bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self(Sha256::digest([]).into())
    }

    /// The hash of the leaf that holds this entry.
    #[must_use]
    pub fn leaf(entry: &[u8]) -> Self {
        Self(Sha256::new_with_prefix([0]).chain_update(entry).finalize().into())
    }

    /// The hash of the node with these two children.
    #[must_use]
    pub fn node(left: Self, right: Self) -> Self {
        let node = Sha256::new_with_prefix([1]);
        Self(node.chain_update(left.0).chain_update(right.0).finalize().into())
    }

    /// The 32 bytes of the hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for TreeHash {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl TryFrom<&[u8]> for TreeHash {
    type Error = TreeHashError;

    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        bytes.try_into().map(Self).map_err(|_| TreeHashError)
    }
}

impl FromStr for TreeHash {
    type Err = TreeHashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // One byte more than a hash has, so that a longer text is detected.
        let mut bytes = [0; 33];
        match STANDARD.decode_slice(text, &mut bytes) {
            Ok(32) => bytes.first_chunk().copied().map(Self).ok_or(TreeHashError),
            Ok(_) | Err(_) => Err(TreeHashError),
        }
    }
}

impl fmt::Display for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for TreeHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TreeHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = TreeHash;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("44 characters of base64")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<TreeHash, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_is_base64_and_nothing_else_is_read() {
        let text = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        assert_eq!(TreeHash::empty().to_string(), text);
        assert_eq!(text.parse(), Ok(TreeHash::empty()));
        let wrong = [
            String::new(),
            text.trim_end_matches('=').to_owned(),
            text.replace('+', "-"),
            // The same bytes with a bit set that base64 does not use.
            text.replace("uFU=", "uFV="),
            format!("{text}\n"),
            format!(" {text}"),
            "A".repeat(44),
            "A".repeat(64),
        ];
        for text in wrong {
            assert_eq!(text.parse::<TreeHash>(), Err(TreeHashError), "{text}");
        }
    }

    #[test]
    fn it_survives_json() {
        let json = serde_json::to_string(&TreeHash::empty()).unwrap();
        assert_eq!(serde_json::from_str::<TreeHash>(&json).unwrap(), TreeHash::empty());
    }
}
