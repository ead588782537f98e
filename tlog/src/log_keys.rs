//! The keys of a log: while one takes the place of another, both sign.

use super::{SigningKey, VerifyingKey};

/// The keys that sign a log's checkpoints: all of them sign each, and all have the log's name.
#[derive(Debug)]
pub struct LogKeys {
    first: SigningKey,
    others: Vec<SigningKey>,
}

/// Why keys do not sign together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogKeysError {
    /// There is none.
    #[error("there is no key")]
    None,
    /// Two have different names.
    #[error("all keys of a log have its name, but there are {0} and {1}")]
    OtherName(String, String),
    /// One is there twice.
    #[error("the key {0} is given twice")]
    Twice(String),
}

impl LogKeys {
    /// These keys; the first one's name is the log's.
    ///
    /// # Errors
    /// Every variant of [`LogKeysError`].
    pub fn new(keys: Vec<SigningKey>) -> Result<Self, LogKeysError> {
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

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &SigningKey> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// What others check their signatures with.
    #[must_use]
    pub fn public(&self) -> Vec<VerifyingKey> {
        self.all().map(|key| key.verifying_key().clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    fn key(name: &str, seed: u8) -> SigningKey {
        SigningKey::from_seed(name, Zeroizing::new([seed; 32])).unwrap()
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
