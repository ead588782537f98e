//! The keys of signed notes, and their text forms.

use std::fmt;
use std::str::FromStr;

// TLS already depends on this library, so it adds no crate to the build. Its Ed25519 accepts only
// one encoding of a signature.
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use keyledger_domain::hex;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{decode_key, encode_key};

/// The type byte of keys and signatures: Ed25519.
pub(super) const KEY_TYPE: u8 = 1;
const MAX_NAME: usize = 255;
const PRIVATE: &str = "PRIVATE+KEY+";

/// The first four bytes of a key's hash, which distinguish keys of one name: the "key ID" of C2SP.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint(pub(super) [u8; 4]);

impl Fingerprint {
    fn of(name: &str, public: &[u8; 32]) -> Self {
        let hash = Sha256::new_with_prefix(name.as_bytes())
            .chain_update([b'\n', KEY_TYPE])
            .chain_update(public)
            .finalize();
        let [a, b, c, d, ..] = <[u8; 32]>::from(hash);
        Self([a, b, c, d])
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether a key can have this name. Formats delimit names by spaces and plus signs.
pub(super) fn is_name(name: &str) -> bool {
    let fits = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
    (1..=MAX_NAME).contains(&name.len()) && name.chars().all(fits)
}

/// Why a key cannot be parsed or made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteKeyError {
    /// The name is empty, too long, or has a space, a plus or a control character.
    #[error("a key's name has 1 to 255 bytes, none of them a space, a plus or a control character")]
    Name,
    /// The text is not in the form of a key.
    #[error("not a key: <name>+<8 hex digits>+<base64>, after PRIVATE+KEY+ if it is private")]
    Form,
    /// The hex digits in the text do not match the name and the bytes.
    #[error("the key's hex digits are not those of its name and its bytes")]
    Fingerprint,
    /// The library refuses the private key.
    #[error("the bytes are no private key")]
    Seed,
}

/// A public key, which verifies signatures. Its text form is the `vkey` of C2SP.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NoteVerifyingKey {
    name: String,
    fingerprint: Fingerprint,
    public: [u8; 32],
}

impl NoteVerifyingKey {
    /// The public key with this name and these 32 bytes (RFC 8032).
    ///
    /// # Errors
    /// [`NoteKeyError::Name`].
    pub fn new(name: &str, public: [u8; 32]) -> Result<Self, NoteKeyError> {
        if !is_name(name) {
            return Err(NoteKeyError::Name);
        }
        let fingerprint = Fingerprint::of(name, &public);
        Ok(Self { name: name.to_owned(), fingerprint, public })
    }

    /// The key's name, which is the name of the log whose checkpoints it signs.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name, and the hex digits that distinguish keys of one name: `<name>+<8 hex digits>`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}+{}", self.name, self.fingerprint)
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    pub(super) fn verifies(&self, text: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.public).verify(text, signature).is_ok()
    }
}

impl FromStr for NoteVerifyingKey {
    type Err = NoteKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, fingerprint, bytes) = parts(text)?;
        let key = Self::new(name, *bytes)?;
        if key.fingerprint.to_string() == fingerprint {
            Ok(key)
        } else {
            Err(NoteKeyError::Fingerprint)
        }
    }
}

impl fmt::Display for NoteVerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}+{}", self.name, self.fingerprint, *encode_key(&self.public))
    }
}

impl fmt::Debug for NoteVerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A private key, which signs checkpoints. Its text form is the `skey` of C2SP. It cannot be cloned
/// or printed, and its memory is wiped when it is dropped.
pub struct NoteSigningKey {
    seed: Zeroizing<[u8; 32]>,
    verifying: NoteVerifyingKey,
}

impl NoteSigningKey {
    /// The private key with this name and this seed, which must be 32 random bytes.
    ///
    /// # Errors
    /// [`NoteKeyError::Name`] and [`NoteKeyError::Seed`].
    pub fn from_seed(name: &str, seed: Zeroizing<[u8; 32]>) -> Result<Self, NoteKeyError> {
        let pair = pair(&seed).ok_or(NoteKeyError::Seed)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| NoteKeyError::Seed)?;
        Ok(Self { seed, verifying: NoteVerifyingKey::new(name, public)? })
    }

    /// Parses the private text form.
    ///
    /// # Errors
    /// Every variant of [`NoteKeyError`].
    pub fn parse(text: &str) -> Result<Self, NoteKeyError> {
        let rest = text.strip_prefix(PRIVATE).ok_or(NoteKeyError::Form)?;
        let (name, fingerprint, seed) = parts(rest)?;
        let key = Self::from_seed(name, seed)?;
        if key.verifying.fingerprint.to_string() == fingerprint {
            Ok(key)
        } else {
            Err(NoteKeyError::Fingerprint)
        }
    }

    /// The private text form, to be written to a file that only the service can read.
    #[must_use]
    pub fn private_text(&self) -> Zeroizing<String> {
        let NoteVerifyingKey { name, fingerprint, .. } = &self.verifying;
        let encoded = encode_key(&self.seed);
        Zeroizing::new(format!("{PRIVATE}{name}+{fingerprint}+{}", *encoded))
    }

    /// The public key that verifies its signatures.
    #[must_use]
    pub fn verifying_key(&self) -> &NoteVerifyingKey {
        &self.verifying
    }

    /// Signs a text. `None` if the library fails, as it does when memory is exhausted.
    pub(super) fn sign(&self, text: &[u8]) -> Option<[u8; 64]> {
        // The pair is made for each signature, about one a minute, so that the library's copy of
        // the seed is not kept in memory. The library wipes it on drop.
        pair(&self.seed)?.try_sign(text).ok()?.as_ref().try_into().ok()
    }
}

impl fmt::Debug for NoteSigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoteSigningKey({}, ..)", self.verifying.id())
    }
}

fn pair(seed: &[u8; 32]) -> Option<Ed25519KeyPair> {
    Ed25519KeyPair::from_seed_unchecked(seed).ok()
}

/// Splits the text form of a key into name, fingerprint and bytes.
fn parts(text: &str) -> Result<(&str, &str, Zeroizing<[u8; 32]>), NoteKeyError> {
    // A name contains no plus sign; base64 may.
    let mut parts = text.splitn(3, '+');
    let (name, fingerprint, encoded) = (parts.next(), parts.next(), parts.next());
    let bytes = encoded.and_then(decode_key);
    match (name, fingerprint, bytes) {
        (Some(name), Some(fingerprint), Some(bytes)) => Ok((name, fingerprint, bytes)),
        _ => Err(NoteKeyError::Form),
    }
}
