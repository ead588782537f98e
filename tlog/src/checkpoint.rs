//! Checkpoints (C2SP tlog-checkpoint): signed statements of a log's size and root.

use std::fmt;

use keyledger_domain::Timestamp;

use super::{Note, NoteError, NoteSigningKey, NoteVerifyingKey, TreeHash};

const TIME: &str = "time ";
/// The maximum number of extension lines after the third line.
const MAX_EXTENSIONS: usize = 16;

/// The size and root of a log's tree at some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The name of the log. The keys that sign for it have the same name.
    pub origin: String,
    /// The number of leaves of the tree, one per event.
    pub size: u64,
    /// The root of the tree.
    pub root: TreeHash,
    /// The time of signing by the signer's clock. Nothing proves it.
    pub time: Option<Timestamp>,
}

/// Why a signed checkpoint cannot be made, or is not trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The note cannot be parsed, made or verified.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The text of the note is not in the form of a checkpoint.
    #[error("not a checkpoint: {0}")]
    Form(&'static str),
    /// A trusted key has signed a checkpoint of another log than its own.
    #[error("signed for {origin} by the key of another log, {signer}")]
    OtherLog {
        /// The log that the checkpoint names.
        origin: String,
        /// The id of the key that signed it.
        signer: String,
    },
}

impl Checkpoint {
    /// Makes a note of this checkpoint, signed with all these keys. Each key must have the origin
    /// as its name.
    ///
    /// # Errors
    /// [`CheckpointError::OtherLog`] and [`CheckpointError::Note`].
    pub fn sign<'a>(
        &self,
        keys: impl IntoIterator<Item = &'a NoteSigningKey>,
    ) -> Result<Note, CheckpointError> {
        let mut note = Note::new(self.to_string())?;
        for key in keys {
            self.is_of([key.verifying_key()])?;
            note.sign(key)?;
        }
        Ok(note)
    }

    /// Parses a signed checkpoint, and verifies that a trusted key of its log has signed it.
    ///
    /// # Errors
    /// Every variant of [`CheckpointError`].
    pub fn open(note: &str, trusted: &[NoteVerifyingKey]) -> Result<Self, CheckpointError> {
        let note = Note::parse(note)?;
        let signers = note.verify(trusted)?;
        let checkpoint = Self::parse(note.text())?;
        checkpoint.is_of(signers)?;
        Ok(checkpoint)
    }

    /// Parses the text of a checkpoint without checking any signature. Unknown extension lines are
    /// ignored.
    ///
    /// # Errors
    /// [`CheckpointError::Form`].
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let form = CheckpointError::Form;
        let body = text.strip_suffix('\n').ok_or(form("it does not end in a line feed"))?;
        let mut lines = body.split('\n');
        let origin = lines.next().filter(|line| !line.is_empty());
        let origin = origin.ok_or(form("it has no origin"))?.to_owned();
        let size = lines.next().and_then(decimal).ok_or(form("it has no decimal size"))?;
        let root = lines.next().and_then(|line| line.parse().ok());
        let root = root.ok_or(form("it has no root in base64"))?;
        let mut time = None;
        for (count, line) in lines.enumerate() {
            if line.is_empty() || count >= MAX_EXTENSIONS {
                return Err(form("it has an empty line, or more than 16 beyond the third"));
            }
            if let Some(text) = line.strip_prefix(TIME) {
                let read = Timestamp::parse(text).ok().filter(|read| read.to_string() == text);
                let once = read.filter(|_| time.is_none());
                time = Some(once.ok_or(form("its time is not one time of RFC 3339 in UTC"))?);
            }
        }
        Ok(Self { origin, size, root, time })
    }

    fn is_of<'a>(
        &self,
        signers: impl IntoIterator<Item = &'a NoteVerifyingKey>,
    ) -> Result<(), CheckpointError> {
        let mut other = String::new();
        for signer in signers {
            if signer.name() == self.origin {
                return Ok(());
            }
            other = signer.id();
        }
        Err(CheckpointError::OtherLog { origin: self.origin.clone(), signer: other })
    }
}

/// The text of the note that is signed.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.size, self.root)?;
        match self.time {
            Some(time) => writeln!(f, "{TIME}{time}"),
            None => Ok(()),
        }
    }
}

/// Parses a decimal number without a sign and without leading zeros.
fn decimal(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    fn key(name: &str, seed: u8) -> NoteSigningKey {
        NoteSigningKey::from_seed(name, Zeroizing::new([seed; 32])).unwrap()
    }

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            origin: "keys.example.com/production".to_owned(),
            size: 20_852_163,
            root: TreeHash::leaf(b"root"),
            time: Some(Timestamp::parse("2030-01-31T12:00:00Z").unwrap()),
        }
    }

    #[test]
    fn the_text_is_that_of_the_specification() {
        let text = "keys.example.com/production\n20852163\n\
                    PAb5plclr2BSYfY2ZyyWINQJcx2JpFHXRV/pxK4WeCk=\ntime 2030-01-31T12:00:00.000000Z\n";
        assert_eq!(checkpoint().to_string(), text);
        assert_eq!(Checkpoint::parse(text), Ok(checkpoint()));
        // The example in the specification.
        let example = "example.com/behind-the-sofa\n20852163\n\
                       CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        assert_eq!(Checkpoint::parse(example).unwrap().to_string(), example);
        assert!(Checkpoint::parse(&format!("{example}other extension\n")).is_ok());
    }

    #[test]
    fn what_has_not_the_form_of_a_checkpoint_is_refused() {
        let good = checkpoint().to_string();
        let root = checkpoint().root.to_string();
        for wrong in [
            String::new(),
            "\n".to_owned(),
            good.trim_end().to_owned(),
            format!("\n{good}"),
            format!("{good}\n"),
            format!("{good}{}", "time 2030-01-31T12:00:00.000000Z\n"),
            good.replace("20852163", "020852163"),
            good.replace("20852163", "+20852163"),
            good.replace("20852163", "-1"),
            good.replace("20852163", ""),
            good.replace("20852163", "18446744073709551616"),
            good.replace(&root, &root[..43]),
            good.replace(".000000Z", "Z"),
            good.replace("time ", "time  "),
            format!("{good}{}", "more\n".repeat(17)),
        ] {
            assert!(matches!(Checkpoint::parse(&wrong), Err(CheckpointError::Form(_))), "{wrong}");
        }
    }

    #[test]
    fn a_checkpoint_is_believed_when_a_key_of_its_log_has_signed_it() {
        let origin = checkpoint().origin;
        let (old, new) = (key(&origin, 1), key(&origin, 2));
        let note = checkpoint().sign([&old, &new]).unwrap().to_string();
        for trusted in [&old, &new] {
            let trusted = [trusted.verifying_key().clone()];
            assert_eq!(Checkpoint::open(&note, &trusted), Ok(checkpoint()));
        }
        let unknown = [key(&origin, 3).verifying_key().clone()];
        let refused = Checkpoint::open(&note, &unknown);
        assert!(matches!(refused, Err(CheckpointError::Note(NoteError::UnknownKey(_)))));
        let forged = note.replace("20852163", "20852164");
        let refused = Checkpoint::open(&forged, &[old.verifying_key().clone()]);
        assert!(matches!(refused, Err(CheckpointError::Note(NoteError::BadSignature(_)))));
    }

    #[test]
    fn no_log_signs_for_another() {
        let other = key("keys.example.com/test", 1);
        let refused = checkpoint().sign([&other]);
        assert!(matches!(refused, Err(CheckpointError::OtherLog { .. })), "{refused:?}");
        let mut note = Note::new(checkpoint().to_string()).unwrap();
        note.sign(&other).unwrap();
        let refused = Checkpoint::open(&note.to_string(), &[other.verifying_key().clone()]);
        assert!(matches!(refused, Err(CheckpointError::OtherLog { .. })), "{refused:?}");
    }
}
