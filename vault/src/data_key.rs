//! The key of one person, with which the texts about that person are encrypted.

use std::fmt;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use hmac::{Hmac, Mac};
use keyledger_domain::{Commitment, OwnerId, SealedText};
use rand::CryptoRng;
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::FieldPlace;

/// What the input of each hash begins with, so that none equals that of another purpose.
const COMMITMENT: &[u8] = b"keyledger-data-key-v1";
const FINGERPRINT: &[u8] = b"keyledger-request-v1";

/// 256 random bits that belong to one person. `Debug` does not show them, and their memory is overwritten on drop.
///
/// A text is encrypted with XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03), whose nonces of 192 bits can be drawn
/// at random. The cipher does not commit to its key: for a ciphertext, two keys can be made that open it to
/// different texts. So the owner's first event has the [`Commitment`] to the key.
pub struct DataKey(Zeroizing<[u8; Self::BYTES]>);

/// The ciphertext does not open: it was altered, or moved from another field or event, or is of another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sealed text of owner {owner} does not open")]
pub struct DoesNotOpen {
    /// Whose text it is.
    pub owner: OwnerId,
}

impl DataKey {
    pub(crate) const BYTES: usize = 32;

    /// A new key.
    #[must_use]
    pub fn generate<R: CryptoRng + ?Sized>(random: &mut R) -> Self {
        let mut bytes = Zeroizing::new([0; Self::BYTES]);
        random.fill_bytes(&mut *bytes);
        Self(bytes)
    }

    /// The key with these bytes, as an export for an auditor tells it.
    #[must_use]
    pub fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// The bytes of the key, to be wrapped.
    pub(crate) fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// What fixes the key without telling it.
    #[must_use]
    pub fn commitment(&self) -> Commitment {
        let hash = Sha256::new_with_prefix(COMMITMENT).chain_update(*self.0).finalize();
        Commitment::from_bytes(hash.into())
    }

    /// Encrypts a text of this owner for one field of one event.
    #[must_use]
    pub fn seal<R: CryptoRng + ?Sized>(
        &self,
        owner: OwnerId,
        place: &FieldPlace<'_>,
        text: &str,
        random: &mut R,
    ) -> SealedText {
        let mut nonce = [0; SealedText::NONCE_BYTES];
        random.fill_bytes(&mut nonce);
        let payload = Payload { msg: text.as_bytes(), aad: &place.bytes() };
        // Fails only above 256 GiB. What opens nowhere tells nothing.
        let ciphertext = self.cipher().encrypt(&nonce.into(), payload).unwrap_or_default();
        SealedText { owner, nonce, ciphertext }
    }

    /// The text of a field.
    ///
    /// # Errors
    /// [`DoesNotOpen`] with another key, another place, or an altered ciphertext.
    pub fn open(
        &self,
        sealed: &SealedText,
        place: &FieldPlace<'_>,
    ) -> Result<Zeroizing<String>, DoesNotOpen> {
        let does_not_open = DoesNotOpen { owner: sealed.owner };
        let payload = Payload { msg: &sealed.ciphertext, aad: &place.bytes() };
        let bytes = self.cipher().decrypt(&sealed.nonce.into(), payload);
        let bytes = bytes.map_err(|_| does_not_open)?;
        String::from_utf8(bytes).map(Zeroizing::new).map_err(|_| does_not_open)
    }

    /// A fingerprint of what a request asks for, which nobody can test guesses against who does not have the key.
    /// It is a UUIDv8 (RFC 9562) of the first 128 bits of an HMAC-SHA-256 (RFC 2104).
    #[must_use]
    pub fn fingerprint(&self, asked: &[&[u8]]) -> Uuid {
        let mut mac = hmac(&self.0);
        mac.update(FINGERPRINT);
        for part in asked {
            mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(part);
        }
        let mut first = [0; 16];
        for (first, byte) in first.iter_mut().zip(mac.finalize().into_bytes()) {
            *first = byte;
        }
        uuid::Builder::from_custom_bytes(first).into_uuid()
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.0).into())
    }
}

/// An HMAC-SHA-256 (RFC 2104) under this secret.
pub(crate) fn hmac(secret: &[u8; 32]) -> Hmac<Sha256> {
    // Padded with zeros to a block of SHA-256, as HMAC does it with a short key.
    let mut block = Zeroizing::new([0; 64]);
    for (padded, byte) in block.iter_mut().zip(secret) {
        *padded = *byte;
    }
    Hmac::new(&(*block).into())
}

impl Clone for DataKey {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    const PLACE: FieldPlace<'static> = FieldPlace {
        stream: "apikey-00000000-0000-0000-0000-000000000007",
        revision: 3,
        event_id: Uuid::from_u128(9),
        event_type: "KeyCreated",
        field: "name",
    };

    fn key(seed: u64) -> DataKey {
        DataKey::generate(&mut StdRng::seed_from_u64(seed))
    }

    fn owner() -> OwnerId {
        OwnerId::from_uuid(Uuid::from_u128(1))
    }

    fn sealed(key: &DataKey, text: &str) -> SealedText {
        key.seal(owner(), &PLACE, text, &mut StdRng::seed_from_u64(5))
    }

    #[test]
    fn a_text_opens_where_it_was_sealed() {
        for text in ["", "ci bot", "ü\u{1F511}"] {
            let sealed = sealed(&key(1), text);
            assert_eq!(*key(1).open(&sealed, &PLACE).unwrap(), text);
            assert!(text.is_empty() || !format!("{sealed:?}").contains(text));
        }
        assert_eq!(format!("{:?}", key(1)), "DataKey(..)");
    }

    #[test]
    fn a_ciphertext_that_was_moved_or_altered_and_another_key_are_refused() {
        let (key, other) = (key(1), key(2));
        let sealed = sealed(&key, "ci bot");
        let refused = DoesNotOpen { owner: owner() };
        for place in [
            FieldPlace { stream: "apikey-00000000-0000-0000-0000-000000000008", ..PLACE },
            FieldPlace { revision: 4, ..PLACE },
            FieldPlace { event_id: Uuid::from_u128(10), ..PLACE },
            FieldPlace { event_type: "KeyRevoked", ..PLACE },
            FieldPlace { field: "reason", ..PLACE },
        ] {
            assert_eq!(key.open(&sealed, &place).unwrap_err(), refused, "{place:?}");
        }
        assert_eq!(other.open(&sealed, &PLACE).unwrap_err(), refused);
        for byte in 0..sealed.ciphertext.len() {
            let mut altered = sealed.clone();
            altered.ciphertext[byte] ^= 1;
            assert_eq!(key.open(&altered, &PLACE).unwrap_err(), refused);
        }
        let shorter = SealedText { ciphertext: vec![0; 15], ..sealed.clone() };
        assert_eq!(key.open(&shorter, &PLACE).unwrap_err(), refused);
        let mut nonce = sealed.clone();
        nonce.nonce[0] ^= 1;
        assert_eq!(key.open(&nonce, &PLACE).unwrap_err(), refused);
    }

    #[test]
    fn no_two_texts_have_the_same_nonce() {
        let mut random = StdRng::seed_from_u64(1);
        let [one, two] = [(); 2].map(|()| key(1).seal(owner(), &PLACE, "a", &mut random));
        assert_ne!(one, two);
    }

    #[test]
    fn another_key_has_another_commitment_and_makes_other_fingerprints() {
        assert_eq!(key(1).commitment(), key(1).commitment());
        assert_ne!(key(1).commitment(), key(2).commitment());
        let asked: &[&[u8]] = &[b"a", b"b"];
        assert_eq!(key(1).fingerprint(asked), key(1).fingerprint(asked));
        assert_ne!(key(1).fingerprint(asked), key(2).fingerprint(asked));
        assert_ne!(key(1).fingerprint(asked), key(1).fingerprint(&[b"ab", b""]));
    }

    /// The expected texts were computed with a short Python script (hashlib, and libsodium through PyNaCl).
    #[test]
    fn others_can_compute_the_same() {
        let key = DataKey::from_bytes(Zeroizing::new([7; 32]));
        assert_eq!(
            key.commitment().to_string(),
            "adce686a9e26030123d33951d719bc2ef2632d4fd09f23db609b2890a84a8f46"
        );
        let nonce = [9; SealedText::NONCE_BYTES];
        let payload = Payload { msg: b"ci bot", aad: &PLACE.bytes() };
        let ciphertext = key.cipher().encrypt(&nonce.into(), payload).unwrap();
        assert_eq!(
            keyledger_domain::hex(&ciphertext),
            "dd1bc2e813de216d43f1cc18fcf0dcc87394dfc9579b"
        );
    }
}
