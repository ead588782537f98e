//! Key-encryption keys in files.

use std::fmt;

use async_trait::async_trait;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use keyledger_domain::hex;
use rand::CryptoRng;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::key_encryption::{KeyEncryption, KeyEncryptionError, WrappedFor};

/// What the text of a key begins with.
const FORM: &str = "keyledger-vault-key-v1:";
const ID: &[u8] = b"keyledger-vault-key-id-v1";
const NONCE_BYTES: usize = 24;

/// A key-encryption key: whoever has it and the vault can open everything that is stored of people. `Debug` does
/// not show it, and its memory is overwritten on drop.
pub struct VaultKey {
    bytes: Zeroizing<[u8; 32]>,
    id: String,
}

/// Why a text is not a [`VaultKey`], or several are no [`VaultKeys`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultKeyError {
    /// The text does not have the form of a key.
    #[error("the file has no vault key: `keyledger vault keygen` makes one")]
    Malformed,
    /// No key is given.
    #[error("there is no key")]
    None,
    /// A key is given twice.
    #[error("the key {0} is given twice")]
    Twice(String),
}

impl VaultKey {
    /// A new key.
    #[must_use]
    pub fn generate<R: CryptoRng + ?Sized>(random: &mut R) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        random.fill_bytes(&mut *bytes);
        Self::of(bytes)
    }

    /// Parses the text of a key; white space around it does not count.
    ///
    /// # Errors
    /// [`VaultKeyError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, VaultKeyError> {
        let digits = text.trim().strip_prefix(FORM).ok_or(VaultKeyError::Malformed)?;
        let decoded = BASE64.decode(digits).map(Zeroizing::new);
        let decoded = decoded.map_err(|_| VaultKeyError::Malformed)?;
        let bytes = decoded.as_slice().try_into().map_err(|_| VaultKeyError::Malformed)?;
        Ok(Self::of(Zeroizing::new(bytes)))
    }

    /// The text of the key, which must be kept secret.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        let digits = Zeroizing::new(BASE64.encode(*self.bytes));
        Zeroizing::new(format!("{FORM}{}", *digits))
    }

    /// The key's id: 16 hexadecimal digits, which may be shown.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    fn of(bytes: Zeroizing<[u8; 32]>) -> Self {
        let hash = Sha256::new_with_prefix(ID).chain_update(*bytes).finalize();
        let (id, _) = hash.split_at(8);
        Self { id: hex(id), bytes }
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.bytes).into())
    }

    /// Nonce and ciphertext.
    fn wrap(&self, secret: &[u8], of: WrappedFor) -> Vec<u8> {
        let mut nonce = [0; NONCE_BYTES];
        rand::Rng::fill_bytes(&mut UnwrapErr(SysRng), &mut nonce);
        let payload = Payload { msg: secret, aad: &of.bytes() };
        // Fails only above 256 GiB.
        let ciphertext = self.cipher().encrypt(&nonce.into(), payload).unwrap_or_default();
        [nonce.as_slice(), &ciphertext].concat()
    }

    fn unwrap(&self, wrapped: &[u8], of: WrappedFor) -> Option<Zeroizing<[u8; 32]>> {
        let (nonce, ciphertext) = wrapped.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload { msg: ciphertext, aad: &of.bytes() };
        let secret = self.cipher().decrypt(&(*nonce).into(), payload).map(Zeroizing::new).ok()?;
        secret.as_slice().try_into().map(Zeroizing::new).ok()
    }
}

impl fmt::Debug for VaultKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VaultKey({}, ..)", self.id)
    }
}

/// The keys of a vault that are in files: the first wraps, and all of them unwrap.
#[derive(Debug)]
pub struct VaultKeys {
    first: VaultKey,
    older: Vec<VaultKey>,
}

impl VaultKeys {
    /// A set of keys, of which the first is the one that wraps.
    ///
    /// # Errors
    /// [`VaultKeyError::None`] and [`VaultKeyError::Twice`].
    pub fn new(keys: Vec<VaultKey>) -> Result<Self, VaultKeyError> {
        let mut keys = keys.into_iter();
        let mut all = Self { first: keys.next().ok_or(VaultKeyError::None)?, older: Vec::new() };
        for key in keys {
            if all.get(key.id()).is_some() {
                return Err(VaultKeyError::Twice(key.id));
            }
            all.older.push(key);
        }
        Ok(all)
    }

    fn get(&self, id: &str) -> Option<&VaultKey> {
        std::iter::once(&self.first).chain(&self.older).find(|key| key.id == id)
    }
}

#[async_trait]
impl KeyEncryption for VaultKeys {
    fn current(&self) -> &str {
        &self.first.id
    }

    async fn wrap(
        &self,
        key_id: &str,
        secret: &[u8; 32],
        of: WrappedFor,
    ) -> Result<Vec<u8>, KeyEncryptionError> {
        let key = self.get(key_id);
        let key = key.ok_or_else(|| KeyEncryptionError::UnknownKey(key_id.to_owned()))?;
        Ok(key.wrap(secret, of))
    }

    async fn unwrap(
        &self,
        key_id: &str,
        wrapped: &[u8],
        of: WrappedFor,
    ) -> Result<Zeroizing<[u8; 32]>, KeyEncryptionError> {
        let key = self.get(key_id);
        let key = key.ok_or_else(|| KeyEncryptionError::UnknownKey(key_id.to_owned()))?;
        let does_not_open = || KeyEncryptionError::DoesNotOpen(key_id.to_owned());
        key.unwrap(wrapped, of).ok_or_else(does_not_open)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn key(seed: u64) -> VaultKey {
        VaultKey::generate(&mut StdRng::seed_from_u64(seed))
    }

    #[test]
    fn a_key_survives_its_text_and_is_not_shown() {
        let text = key(1).text();
        assert_eq!(VaultKey::parse(&format!("{}\n", *text)).unwrap().id(), key(1).id());
        assert_ne!(key(1).id(), key(2).id());
        assert_eq!(format!("{:?}", key(1)), format!("VaultKey({}, ..)", key(1).id()));
        for other in ["", "keyledger-vault-key-v1:", &text[1..], &text[..text.len() - 1]] {
            assert_eq!(VaultKey::parse(other).unwrap_err(), VaultKeyError::Malformed, "{other}");
        }
    }

    #[test]
    fn keys_are_some_and_different() {
        assert_eq!(VaultKeys::new(Vec::new()).unwrap_err(), VaultKeyError::None);
        let twice = VaultKeys::new(vec![key(1), key(2), key(1)]).unwrap_err();
        assert_eq!(twice, VaultKeyError::Twice(key(1).id().to_owned()));
    }

    #[test]
    fn what_one_key_wraps_it_alone_unwraps_and_only_for_the_same_purpose() {
        let (for_one, for_two) = (WrappedFor::LookUps(1), WrappedFor::LookUps(2));
        let wrapped = key(1).wrap(&[7; 32], for_one);
        assert_eq!(*key(1).unwrap(&wrapped, for_one).unwrap(), [7; 32]);
        assert!(key(1).unwrap(&wrapped, for_two).is_none());
        assert!(key(2).unwrap(&wrapped, for_one).is_none());
        assert!(key(1).unwrap(&wrapped[1..], for_one).is_none());
        assert!(key(1).unwrap(&[], for_one).is_none());
        assert_ne!(key(1).wrap(&[7; 32], for_one), wrapped, "the nonce is another one");
    }
}
