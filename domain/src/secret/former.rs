//! Keys of a former service: their hashes under its secret, and their form.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::KeyHash;

/// The most bytes of a key that is looked up.
const MAX_KEY_BYTES: usize = 512;

/// Whether a presented text may be a key of a former service, whatever its form was: 1 to 512 visible ASCII
/// characters, as a header can hold.
#[must_use]
pub fn may_be_imported(text: &str) -> bool {
    (1..=MAX_KEY_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A secret under which a former service hashed its keys with HMAC-SHA-256 (RFC 2104). `Debug` does not show
/// it, and its memory is overwritten when it is dropped.
#[derive(Clone)]
pub struct HmacSecret(Hmac<Sha256>);

/// Anyone could compute hashes under an empty secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret is empty")]
pub struct HmacSecretError;

impl HmacSecret {
    /// The secret with these bytes.
    ///
    /// # Errors
    /// [`HmacSecretError`] if there are none.
    pub fn new(bytes: &[u8]) -> Result<Self, HmacSecretError> {
        if bytes.is_empty() {
            return Err(HmacSecretError);
        }
        // HMAC takes secrets of every length.
        Hmac::new_from_slice(bytes).map(Self).map_err(|_| HmacSecretError)
    }

    /// The HMAC of a text under this secret.
    #[must_use]
    pub fn hash(&self, full_key: &str) -> KeyHash {
        let mut mac = self.0.clone();
        mac.update(full_key.as_bytes());
        KeyHash(mac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for HmacSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HmacSecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_hmac_of_the_whole_text() {
        // RFC 4231, test case 2.
        let secret = HmacSecret::new(b"Jefe").unwrap();
        let hash = secret.hash("what do ya want for nothing?");
        let hex = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hash.to_hex(), hex);
        assert_eq!(format!("{secret:?}"), "HmacSecret(..)");
        assert!(HmacSecret::new(b"").is_err());
        assert_ne!(HmacSecret::new(&[b'x'; 200]).unwrap().hash("a"), KeyHash::of("a"));
    }

    #[test]
    fn a_key_of_a_former_service_is_short_and_visible() {
        let longest = "x".repeat(512);
        for text in ["a", "sk-1", "lf_\"'{}", &longest] {
            assert!(may_be_imported(text), "{text}");
        }
        let longer = "x".repeat(513);
        for text in ["", " ", "a b", "a\n", "\u{7f}", "é", &longer] {
            assert!(!may_be_imported(text), "{text}");
        }
    }
}
