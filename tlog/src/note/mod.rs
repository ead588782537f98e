//! Signed notes (C2SP signed-note): a text with the signatures of one or more keys.

mod key;
#[cfg(test)]
mod tests;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use key::{Fingerprint, KEY_TYPE, is_name};
pub use key::{NoteKeyError, NoteSigningKey, NoteVerifyingKey};

/// The maximum length of a note, in bytes.
pub(crate) const MAX_LENGTH: usize = 64 * 1024;
/// The maximum number of signatures: of our keys, and of other signers.
const MAX_SIGNATURES: usize = 64;
/// The beginning of a signature line: an em dash and a space.
const SIGNATURE_MARK: &str = "\u{2014} ";

/// A text and its signatures. Do not trust the text before [`Note::verify`] succeeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Signature {
    name: String,
    fingerprint: Fingerprint,
    bytes: Vec<u8>,
}

/// Why a note cannot be made, parsed or verified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// The text does not end in a line feed, or contains another control character.
    #[error("a note's text ends in a line feed, and has no other control character")]
    Text,
    /// The note is longer than 64 KiB.
    #[error("the note is longer than 65536 bytes")]
    TooLong,
    /// There is no blank line, or it is not followed by 1 to 64 signatures.
    #[error("the note does not end in a blank line and 1 to 64 signatures")]
    Signatures,
    /// The library cannot sign the text.
    #[error("the note cannot be signed")]
    Sign,
    /// The signature of a trusted key is wrong.
    #[error("the signature of {0} is wrong")]
    BadSignature(String),
    /// No trusted key has signed the note.
    #[error("signed by none of the keys that are trusted, but by {0}")]
    UnknownKey(String),
}

impl Note {
    /// A note without signatures.
    ///
    /// # Errors
    /// [`NoteError::Text`] and [`NoteError::TooLong`].
    pub fn new(text: String) -> Result<Self, NoteError> {
        if text.len() > MAX_LENGTH / 2 {
            return Err(NoteError::TooLong);
        }
        let plain = !text.chars().any(|c| c < ' ' && c != '\n');
        if plain && text.ends_with('\n') {
            Ok(Self { text, signatures: Vec::new() })
        } else {
            Err(NoteError::Text)
        }
    }

    /// Adds the key's signature, in place of an earlier one of the same key. While one key replaces
    /// another, both sign, so that readers who trust either can verify the note.
    ///
    /// # Errors
    /// [`NoteError::Sign`], and [`NoteError::Signatures`] when there are 64 of them.
    pub fn sign(&mut self, key: &NoteSigningKey) -> Result<(), NoteError> {
        let (name, fingerprint) = (key.verifying_key().name(), key.verifying_key().fingerprint());
        let bytes = key.sign(self.text.as_bytes()).ok_or(NoteError::Sign)?.to_vec();
        self.signatures.retain(|other| (&*other.name, other.fingerprint) != (name, fingerprint));
        if self.signatures.len() >= MAX_SIGNATURES {
            return Err(NoteError::Signatures);
        }
        self.signatures.push(Signature { name: name.to_owned(), fingerprint, bytes });
        Ok(())
    }

    /// Parses a signed note. Checks no signatures.
    ///
    /// # Errors
    /// [`NoteError::TooLong`], [`NoteError::Text`] and [`NoteError::Signatures`].
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        if note.len() > MAX_LENGTH {
            return Err(NoteError::TooLong);
        }
        // The last empty line ends the text, which may contain other empty lines.
        let end = note.rfind("\n\n").ok_or(NoteError::Signatures)?;
        let (text, signatures) = note.split_at_checked(end + 1).ok_or(NoteError::Signatures)?;
        let signatures = signatures
            .strip_prefix('\n')
            .and_then(|lines| lines.strip_suffix('\n'))
            .ok_or(NoteError::Signatures)?
            .split('\n')
            .map(|line| Signature::parse(line).ok_or(NoteError::Signatures))
            .collect::<Result<Vec<_>, _>>()?;
        if signatures.len() > MAX_SIGNATURES {
            return Err(NoteError::Signatures);
        }
        if text.chars().any(|c| c < ' ' && c != '\n') {
            return Err(NoteError::Text);
        }
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// The text, up to and including its last line feed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the trusted keys that have signed: at least one. Ignores signatures of other keys.
    ///
    /// # Errors
    /// [`NoteError::BadSignature`] when the signature of a trusted key is wrong, and
    /// [`NoteError::UnknownKey`] when no trusted key has signed.
    pub fn verify<'a>(
        &self,
        trusted: &'a [NoteVerifyingKey],
    ) -> Result<Vec<&'a NoteVerifyingKey>, NoteError> {
        let mut signers = Vec::new();
        for signature in &self.signatures {
            for key in trusted {
                if key.name() != signature.name || key.fingerprint() != signature.fingerprint {
                    continue;
                }
                if !key.verifies(self.text.as_bytes(), &signature.bytes) {
                    return Err(NoteError::BadSignature(key.id()));
                }
                if !signers.contains(&key) {
                    signers.push(key);
                }
            }
        }
        if signers.is_empty() {
            let others: Vec<_> = self.signatures.iter().map(Signature::key_id).collect();
            return Err(NoteError::UnknownKey(others.join(", ")));
        }
        Ok(signers)
    }
}

impl Signature {
    fn parse(line: &str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix(SIGNATURE_MARK)?.split_once(' ')?;
        let decoded = STANDARD.decode(encoded).ok()?;
        let (fingerprint, bytes) = decoded.split_first_chunk::<4>()?;
        let fingerprint = Fingerprint(*fingerprint);
        let known = is_name(name) && !bytes.is_empty();
        known.then(|| Self { name: name.to_owned(), fingerprint, bytes: bytes.to_vec() })
    }

    fn key_id(&self) -> String {
        format!("{}+{}", self.name, self.fingerprint)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        f.write_str("\n")?;
        for signature in &self.signatures {
            let bytes = [signature.fingerprint.0.as_slice(), &signature.bytes].concat();
            let encoded = STANDARD.encode(bytes);
            writeln!(f, "{SIGNATURE_MARK}{} {encoded}", signature.name)?;
        }
        Ok(())
    }
}

/// Encodes a key's type and 32 bytes, as in both text forms of keys.
fn encode_key(bytes: &[u8; 32]) -> zeroize::Zeroizing<String> {
    let mut typed = zeroize::Zeroizing::new([KEY_TYPE; 33]);
    for (to, from) in typed.iter_mut().skip(1).zip(bytes) {
        *to = *from;
    }
    zeroize::Zeroizing::new(STANDARD.encode(typed.as_slice()))
}

fn decode_key(text: &str) -> Option<zeroize::Zeroizing<[u8; 32]>> {
    // One byte more than a typed key has, so that a longer text is detected.
    let mut typed = zeroize::Zeroizing::new([0; 34]);
    let length = STANDARD.decode_slice(text, typed.as_mut_slice()).ok()?;
    let (kind, rest) = typed.split_first()?;
    let bytes = rest.first_chunk::<32>()?;
    (length == 33 && *kind == KEY_TYPE).then(|| zeroize::Zeroizing::new(*bytes))
}
