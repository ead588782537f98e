//! The signing keys of a log. There are several while one key replaces another; all of them sign.

use super::{NoteSigningKey, NoteVerifyingKey};

/// The keys that sign a log's checkpoints. All of them sign each checkpoint, and all have the log's
/// name.
#[derive(Debug)]
pub struct LogKeys {
    first: NoteSigningKey,
    others: Vec<NoteSigningKey>,
}

/// Why a set of keys cannot sign for one log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogKeysError {
    /// No key is given.
    #[error("there is no key")]
    None,
    /// Two keys have different names.
    #[error("all keys of a log have its name, but there are {0} and {1}")]
    OtherName(String, String),
    /// A key is given twice.
    #[error("the key {0} is given twice")]
    Twice(String),
}

impl LogKeys {
    /// Makes a set of keys. The name of the first key is the log's name.
    ///
    /// # Errors
    /// Every variant of [`LogKeysError`].
    pub fn new(keys: Vec<NoteSigningKey>) -> Result<Self, LogKeysError> {
        let mut keys = keys.into_iter();
        let first = keys.next().ok_or(LogKeysError::None)?;
        let mut all = Self { first, others: Vec::new() };
        for key in keys {
            let public = key.verifying_key();
            if public.name() != all.origin() {
                let (one, other) = (all.origin().to_owned(), public.name().to_owned());
                return Err(LogKeysError::OtherName(one, other));
            }
            if all.all().any(|known| known.verifying_key() == public) {
                return Err(LogKeysError::Twice(public.id()));
            }
            all.others.push(key);
        }
        Ok(all)
    }

    /// The log's name.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.first.verifying_key().name()
    }

    /// All signing keys, in the given order.
    pub fn all(&self) -> impl Iterator<Item = &NoteSigningKey> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The public keys that verify the signatures, in the same order.
    #[must_use]
    pub fn public(&self) -> Vec<NoteVerifyingKey> {
        self.all().map(|key| key.verifying_key().clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    fn key(name: &str, seed: u8) -> NoteSigningKey {
        NoteSigningKey::from_seed(name, Zeroizing::new([seed; 32])).unwrap()
    }

    #[test]
    fn keys_of_one_name_sign_together() {
        let keys = LogKeys::new(vec![key("a", 2), key("a", 1)]).unwrap();
        assert_eq!(keys.origin(), "a");
        let public = [key("a", 2), key("a", 1)].map(|key| key.verifying_key().clone());
        assert_eq!(keys.public(), public);
    }

    #[test]
    fn other_names_the_same_key_and_no_key_are_refused() {
        let refused = |keys| LogKeys::new(keys).unwrap_err();
        assert_eq!(refused(Vec::new()), LogKeysError::None);
        let other = refused(vec![key("a", 1), key("b", 2)]);
        assert_eq!(other, LogKeysError::OtherName("a".to_owned(), "b".to_owned()));
        let twice = refused(vec![key("a", 1), key("a", 2), key("a", 1)]);
        assert_eq!(twice, LogKeysError::Twice(key("a", 1).verifying_key().id()));
    }
}
