//! What wraps the keys in the vault. A key management service would be another implementation.

use async_trait::async_trait;
use keyledger_domain::{Cause, OwnerId};
use zeroize::Zeroizing;

/// Wraps secrets of 32 bytes with keys that are not in the vault.
#[async_trait]
pub trait KeyEncryption: std::fmt::Debug + Send + Sync + 'static {
    /// The id of the key that new secrets are to be wrapped with.
    fn current(&self) -> &str;

    /// The secret, wrapped with this key for this purpose.
    ///
    /// # Errors
    /// [`KeyEncryptionError::UnknownKey`] and [`KeyEncryptionError::Unavailable`].
    async fn wrap(
        &self,
        key_id: &str,
        secret: &[u8; 32],
        of: WrappedFor,
    ) -> Result<Vec<u8>, KeyEncryptionError>;

    /// The secret that was wrapped with this key for this purpose.
    ///
    /// # Errors
    /// Every variant of [`KeyEncryptionError`].
    async fn unwrap(
        &self,
        key_id: &str,
        wrapped: &[u8],
        of: WrappedFor,
    ) -> Result<Zeroizing<[u8; 32]>, KeyEncryptionError>;
}

/// What a wrapped secret is for. It does not unwrap for anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrappedFor {
    /// It is the data key of this owner.
    Owner(OwnerId),
    /// It is the key under which users are looked up in this generation.
    LookUps(i64),
}

impl WrappedFor {
    /// The purpose as associated data.
    #[must_use]
    pub fn bytes(self) -> Vec<u8> {
        match self {
            Self::Owner(owner) => format!("keyledger-wrap-v1 data key {owner}"),
            Self::LookUps(generation) => format!("keyledger-wrap-v1 look-up key {generation}"),
        }
        .into_bytes()
    }
}

/// Why a secret is not wrapped or unwrapped.
#[derive(Debug, thiserror::Error)]
pub enum KeyEncryptionError {
    /// The vault's key with this id is not there.
    #[error("the vault's key {0} is not among those of KEYLEDGER_VAULT_KEY")]
    UnknownKey(String),
    /// The wrapped secret was altered, or belongs elsewhere.
    #[error("what was wrapped with the vault's key {0} does not unwrap")]
    DoesNotOpen(String),
    /// The service that wraps cannot be reached; another attempt may succeed.
    #[error("the key management service is unavailable")]
    Unavailable(#[source] Cause),
}
