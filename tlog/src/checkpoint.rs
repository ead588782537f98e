//! Checkpoints (C2SP tlog-checkpoint): a log says what its tree is, and signs that.

use std::fmt;

use keyledger_domain::Timestamp;

use super::{Note, NoteError, SigningKey, TreeHash, VerifyingKey};

const TIME: &str = "time ";
/// The most lines of a kind that this code does not know.
const MAX_EXTENSIONS: usize = 16;

/// What a log says of its tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log, and the name of the keys that sign for it.
    pub origin: String,
    /// The number of events in the tree.
    pub size: u64,
    /// The tree's root.
    pub root: TreeHash,
    /// When it was signed, by the signer's clock: a claim that nothing proves.
    pub time: Option<Timestamp>,
}

/// Why a text is not a checkpoint that can be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The note cannot be read, made or believed.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The note's text is not a checkpoint.
    #[error("not a checkpoint: {0}")]
    Form(&'static str),
    /// A key that is trusted has signed for another log.
    #[error("signed for {origin} by the key of another log, {signer}")]
    OtherLog {
        /// The log that the checkpoint speaks of.
        origin: String,
        /// Who signed it.
        signer: String,
    },
}

impl Checkpoint {
    /// The note that these keys sign. All of them have the origin as their name.
    ///
    /// # Errors
    /// [`CheckpointError::OtherLog`], and those of signing.
    pub fn sign<'a>(
        &self,
        keys: impl IntoIterator<Item = &'a SigningKey>,
    ) -> Result<Note, CheckpointError> {
        let mut note = Note::new(self.to_string())?;
        for key in keys {
            self.is_of([key.verifying_key()])?;
            note.sign(key)?;
        }
        Ok(note)
    }

    /// Reads a signed checkpoint and believes it, if a key that is trusted has signed it.
    ///
    /// # Errors
    /// Every variant of [`CheckpointError`].
    pub fn open(note: &str, trusted: &[VerifyingKey]) -> Result<Self, CheckpointError> {
        let note = Note::parse(note)?;
        let signers = note.verify(trusted)?;
        let checkpoint = Self::parse(note.text())?;
        checkpoint.is_of(signers)?;
        Ok(checkpoint)
    }

    /// Reads the text of a checkpoint, whoever may have written it. Lines that it may have beyond
    /// those that are known are passed over.
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
        signers: impl IntoIterator<Item = &'a VerifyingKey>,
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

/// The text that is signed.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.size, self.root)?;
        match self.time {
            Some(time) => writeln!(f, "{TIME}{time}"),
            None => Ok(()),
        }
    }
}

/// A number as it is written: digits alone, and no zero before others.
fn decimal(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    fn key(name: &str, seed: u8) -> SigningKey {
        SigningKey::from_seed(name, Zeroizing::new([seed; 32])).unwrap()
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
        // The example of the specification.
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
