//! A secret shared with the identity provider, for HS256.

use std::fmt;

use zeroize::Zeroizing;

/// The fewest bytes of a secret for HS256 (RFC 7518 § 3.2).
const MIN_BYTES: usize = 32;

/// A secret for HS256, of at least 32 bytes. Its memory is wiped on drop, and `Debug` does not print
/// it.
pub struct SharedSecret(Zeroizing<String>);

/// The secret has fewer than 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a shared secret has 32 bytes or more")]
pub struct WeakSecret;

impl SharedSecret {
    /// Checks the length of a secret.
    ///
    /// # Errors
    /// [`WeakSecret`] for fewer than 32 bytes.
    pub fn new(text: String) -> Result<Self, WeakSecret> {
        let text = Zeroizing::new(text);
        if text.len() < MIN_BYTES { Err(WeakSecret) } else { Ok(Self(text)) }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSecret(..)")
    }
}
