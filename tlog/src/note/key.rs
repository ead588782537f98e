//! Keys of signed notes, and their text forms.

use std::fmt;
use std::str::FromStr;

// The library that TLS already brings: it adds no crate to the build, and its Ed25519 refuses the
// second form that a signature could be given.
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::super::merkle::hex;
use super::{decode_key, encode_key};

/// The type of the keys and signatures: Ed25519.
pub(super) const KEY_TYPE: u8 = 1;
const MAX_NAME: usize = 255;
const PRIVATE: &str = "PRIVATE+KEY+";

/// What tells keys of one name apart: the key id of the specification.
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

/// Whether a key can have this name: it stands between spaces, and before a plus.
pub(super) fn is_name(name: &str) -> bool {
    let fits = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
    (1..=MAX_NAME).contains(&name.len()) && name.chars().all(fits)
}

/// The text is not that of a key, or the key cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteKeyError {
    /// The name is empty, too long, or has a space, a plus or a control character.
    #[error("a key's name has 1 to 255 bytes, none of them a space, a plus or a control character")]
    Name,
    /// The text has not the form of a key.
    #[error("not a key: <name>+<8 hex digits>+<base64>, after PRIVATE+KEY+ if it is private")]
    Form,
    /// The text names another key than it holds.
    #[error("the key's hex digits are not those of its name and its bytes")]
    Fingerprint,
    /// The private key is refused.
    #[error("the bytes are no private key")]
    Seed,
}

/// What a signature is checked with; the text form is the `vkey` of C2SP.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct VerifyingKey {
    name: String,
    fingerprint: Fingerprint,
    public: [u8; 32],
}

impl VerifyingKey {
    /// The key with this name and these 32 bytes (RFC 8032).
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

    /// The key's name: that of the log whose checkpoints it signs.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name and the hex digits that tell keys of one name apart: `<name>+<8 hex digits>`.
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

impl FromStr for VerifyingKey {
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

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}+{}", self.name, self.fingerprint, *encode_key(&self.public))
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What checkpoints are signed with; the text form is the `skey` of C2SP. It cannot be cloned or
/// printed, and its memory is wiped when it is dropped.
pub struct SigningKey {
    seed: Zeroizing<[u8; 32]>,
    verifying: VerifyingKey,
}

impl SigningKey {
    /// The key with this name that follows from 32 random bytes.
    ///
    /// # Errors
    /// [`NoteKeyError::Name`] and [`NoteKeyError::Seed`].
    pub fn from_seed(name: &str, seed: Zeroizing<[u8; 32]>) -> Result<Self, NoteKeyError> {
        let pair = pair(&seed).ok_or(NoteKeyError::Seed)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| NoteKeyError::Seed)?;
        Ok(Self { seed, verifying: VerifyingKey::new(name, public)? })
    }

    /// Reads the private text form.
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

    /// The private text form, for the one file that it is kept in.
    #[must_use]
    pub fn private_text(&self) -> Zeroizing<String> {
        let VerifyingKey { name, fingerprint, .. } = &self.verifying;
        let encoded = encode_key(&self.seed);
        Zeroizing::new(format!("{PRIVATE}{name}+{fingerprint}+{}", *encoded))
    }

    /// What its signatures are checked with.
    #[must_use]
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// `None` if the library fails, as it does when there is no memory.
    pub(super) fn sign(&self, text: &[u8]) -> Option<[u8; 64]> {
        // Made anew for each signature, of which there is one a minute: the library's own copy of
        // the seed, which it wipes too, is then not kept.
        pair(&self.seed)?.try_sign(text).ok()?.as_ref().try_into().ok()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, ..)", self.verifying.id())
    }
}

fn pair(seed: &[u8; 32]) -> Option<Ed25519KeyPair> {
    Ed25519KeyPair::from_seed_unchecked(seed).ok()
}

/// The name, the fingerprint and the bytes of a key's text form.
fn parts(text: &str) -> Result<(&str, &str, Zeroizing<[u8; 32]>), NoteKeyError> {
    // The name has no plus; the base64 may have some.
    let mut parts = text.splitn(3, '+');
    let (name, fingerprint, encoded) = (parts.next(), parts.next(), parts.next());
    let bytes = encoded.and_then(decode_key);
    match (name, fingerprint, bytes) {
        (Some(name), Some(fingerprint), Some(bytes)) => Ok((name, fingerprint, bytes)),
        _ => Err(NoteKeyError::Form),
    }
}
