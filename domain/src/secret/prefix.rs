//! The beginning of a key: the prefix of all keys, and what is shown of one key.

use serde::{Deserialize, Serialize};

/// The first part of every key, before the underscore: 2 to 16 characters of `a-z0-9`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPrefix(pub(super) String);

/// The text is not a [`KeyPrefix`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key prefix has 2 to 16 characters of a-z and 0-9")]
pub struct KeyPrefixError;

impl KeyPrefix {
    /// Parses a prefix without its underscore.
    ///
    /// # Errors
    /// [`KeyPrefixError`] for anything but 2 to 16 characters of `a-z0-9`.
    pub fn parse(text: &str) -> Result<Self, KeyPrefixError> {
        if is_prefix(text) { Ok(Self(text.to_owned())) } else { Err(KeyPrefixError) }
    }

    /// Whether a text begins as the keys with this prefix do.
    #[must_use]
    pub fn begins(&self, text: &str) -> bool {
        text.strip_prefix(&self.0).is_some_and(|rest| rest.starts_with('_'))
    }
}

pub(super) fn is_prefix(text: &str) -> bool {
    (2..=16).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// The beginning of a secret, by which people recognise a key: the prefix and 8 random characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DisplayPrefix(pub(super) String);

/// The text is not a [`DisplayPrefix`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a display prefix has 1 to 32 visible ASCII characters")]
pub struct DisplayPrefixError;

impl DisplayPrefix {
    /// Parses a prefix from outside. The limit is below the length of every whole key of this service, so that
    /// one that is given by mistake is refused. Keys of former services may be shorter.
    ///
    /// # Errors
    /// [`DisplayPrefixError`] for anything but 1 to 32 visible ASCII characters.
    pub fn parse(text: &str) -> Result<Self, DisplayPrefixError> {
        let fits = (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if fits { Ok(Self(text.to_owned())) } else { Err(DisplayPrefixError) }
    }

    /// The prefix as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A prefix that was parsed before it was stored.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_short_and_plain() {
        for text in ["ab", "live2", "abcdefghij012345"] {
            assert!(KeyPrefix::parse(text).is_ok(), "{text}");
        }
        for text in ["", "a", "Ab", "a_b", "a-b", "abcdefghij0123456", "éé"] {
            assert_eq!(KeyPrefix::parse(text), Err(KeyPrefixError), "{text}");
        }
    }

    #[test]
    fn the_underscore_belongs_to_the_beginning_of_a_key() {
        let prefix = KeyPrefix::parse("orag").unwrap();
        assert!(prefix.begins("orag_") && prefix.begins("orag_x"));
        for text in ["", "orag", "orags_x", "Orag_x", "ora_x", " orag_x"] {
            assert!(!prefix.begins(text), "{text}");
        }
    }
}
