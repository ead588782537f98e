//! The secret of an installation.

use std::fmt;

use rand::CryptoRng;
use zeroize::Zeroizing;

/// 256 random bits that belong to a journal, and that nobody else knows. Ids that are derived with it cannot
/// be guessed by those who know all else. `Debug` does not print it, and its memory is wiped on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct InstallationSecret(Zeroizing<[u8; Self::BYTES]>);

/// The bytes are not an [`InstallationSecret`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret of an installation has 32 bytes")]
pub struct InstallationSecretError;

impl InstallationSecret {
    const BYTES: usize = 32;

    /// A new secret.
    #[must_use]
    pub fn generate<R: CryptoRng + ?Sized>(random: &mut R) -> Self {
        let mut bytes = Zeroizing::new([0; Self::BYTES]);
        random.fill_bytes(&mut *bytes);
        Self(bytes)
    }

    /// The bytes, to be stored in the journal's database.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl TryFrom<&[u8]> for InstallationSecret {
    type Error = InstallationSecretError;

    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        bytes
            .try_into()
            .map(|bytes| Self(Zeroizing::new(bytes)))
            .map_err(|_| InstallationSecretError)
    }
}

impl fmt::Debug for InstallationSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InstallationSecret(..)")
    }
}
