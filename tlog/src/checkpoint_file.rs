//! The checkpoint file: signed notes, oldest first, separated by empty lines.

use std::fs::{File, create_dir_all};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::note::MAX_LENGTH;
use super::{Checkpoint, CheckpointError, LogKeys, Note, NoteError, NoteVerifyingKey};

/// The separator between two notes. A note never begins with an empty line.
const SEPARATOR: &str = "\n";
/// The beginning of a signature line.
const SIGNATURE: &str = "\u{2014} ";
/// The number of bytes at the end of the file that surely hold its last note, and a part of another
/// that was not written in full.
const TAIL: usize = 2 * MAX_LENGTH + 16;

/// The file that a node appends its signed checkpoints to. A note that was not written in full,
/// because the process or the machine stopped, is ignored, and removed by the next append.
#[derive(Debug)]
pub struct CheckpointFile {
    path: PathBuf,
    origin: String,
    keys: Vec<NoteVerifyingKey>,
}

/// Why the checkpoint file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointFileError {
    /// The operating system's error.
    #[error("the file cannot be read or written")]
    Io(#[from] std::io::Error),
    /// The end of the file is not a checkpoint that keyledger wrote.
    #[error("the end of the file is not a signed checkpoint")]
    Damaged(#[from] CheckpointError),
}

/// The end of the file.
#[derive(Debug, Default)]
struct Tail {
    /// The last complete note.
    last: Option<Checkpoint>,
    /// The length of the file up to and including that note.
    length: u64,
    /// Whether the line feed after that note is missing.
    is_open: bool,
}

impl CheckpointFile {
    /// The file at this path, of the log with these keys.
    #[must_use]
    pub fn new(path: &Path, keys: &LogKeys) -> Self {
        let (origin, keys) = (keys.origin().to_owned(), keys.public());
        Self { path: path.to_owned(), origin, keys }
    }

    /// The last checkpoint in the file; `None` if there is none, or no file. A signature of one of
    /// the log's keys is verified; a checkpoint that only former keys have signed is taken as it is.
    ///
    /// # Errors
    /// Every variant of [`CheckpointFileError`].
    pub fn last(&self) -> Result<Option<Checkpoint>, CheckpointFileError> {
        match File::open(&self.path) {
            Ok(mut file) => Ok(self.tail(&mut file)?.last),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Appends a note, and waits until it is on disk. Creates the file and its folder if they are
    /// missing. Returns the number of bytes of an incomplete note that were removed first.
    ///
    /// # Errors
    /// Every variant of [`CheckpointFileError`]. The file is then as before, without an incomplete
    /// note; if it cannot be shortened either, the next append does that.
    pub fn append(&self, note: &str) -> Result<u64, CheckpointFileError> {
        let folder = self.path.parent().filter(|folder| *folder != Path::new(""));
        if let Some(folder) = folder {
            create_dir_all(folder)?;
        }
        let is_new = !self.path.exists();
        let mut file = File::options().create(true).read(true).append(true).open(&self.path)?;
        let tail = self.tail(&mut file)?;
        let removed = file.metadata()?.len().saturating_sub(tail.length);
        if removed > 0 {
            file.set_len(tail.length)?;
        }
        let end = if tail.is_open { "\n" } else { "" };
        let between = if tail.length > 0 { SEPARATOR } else { "" };
        let written = file.write_all(format!("{end}{between}{note}").as_bytes());
        if let Err(error) = written.and_then(|()| file.sync_all()) {
            file.set_len(tail.length)?;
            return Err(error.into());
        }
        if is_new {
            // The file's name is on disk only after this.
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        }
        Ok(removed)
    }

    fn tail(&self, file: &mut File) -> Result<Tail, CheckpointFileError> {
        let length = file.metadata()?.len();
        let from = length.saturating_sub(u64::try_from(TAIL).unwrap_or(u64::MAX));
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::with_capacity(TAIL);
        file.take(length.saturating_sub(from)).read_to_end(&mut bytes)?;
        let rest = bytes.split_off(complete(&bytes));
        let last = split_notes(&String::from_utf8_lossy(&bytes)).pop().unwrap_or_default();
        let length = from.saturating_add(bytes_of(&bytes));
        // After a complete note, an empty line begins the next one, and another line continues its
        // signatures.
        let next = rest.strip_prefix(SEPARATOR.as_bytes());
        let is_new = next.is_some() || last.is_empty();
        let begun = next.unwrap_or(&rest);
        let before = if is_new { "" } else { &last };
        if !begun.is_empty() {
            // Only the line feed is missing, or more.
            let whole = format!("{before}{}\n", String::from_utf8_lossy(begun));
            if let Ok(whole) = self.open(&whole) {
                let length = length.saturating_add(bytes_of(&rest));
                return Ok(Tail { last: Some(whole), length, is_open: true });
            }
            let expected = if is_new { format!("{}\n", self.origin) } else { SIGNATURE.to_owned() };
            let expected = expected.as_bytes();
            if !begun.starts_with(expected) && !expected.starts_with(begun) {
                return Err(CheckpointError::Note(NoteError::Signatures).into());
            }
        }
        let last = if last.is_empty() { None } else { Some(self.open(&last)?) };
        Ok(Tail { last, length, is_open: false })
    }

    fn open(&self, note: &str) -> Result<Checkpoint, CheckpointError> {
        match Checkpoint::open(note, &self.keys) {
            Err(CheckpointError::Note(NoteError::UnknownKey(_))) => {
                Checkpoint::parse(Note::parse(note)?.text())
            }
            opened => opened,
        }
    }
}

fn bytes_of(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// The length up to and including the last whole signature line.
fn complete(bytes: &[u8]) -> usize {
    let (mut length, mut complete) = (0_usize, 0);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        length = length.saturating_add(line.len());
        if line.starts_with(SIGNATURE.as_bytes()) && line.ends_with(b"\n") {
            complete = length;
        }
    }
    complete
}

/// Splits the text of a checkpoint file into notes, in order. Checks no signatures. Returns at
/// least one note, which may be empty.
#[must_use]
pub fn split_notes(text: &str) -> Vec<String> {
    let (mut notes, mut note) = (Vec::new(), String::new());
    let mut was_signature = false;
    for line in text.split_inclusive('\n') {
        if was_signature && line == SEPARATOR {
            notes.push(std::mem::take(&mut note));
        } else {
            note.push_str(line);
        }
        was_signature = line.starts_with(SIGNATURE);
    }
    if !note.is_empty() || notes.is_empty() {
        notes.push(note);
    }
    notes
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;
    use zeroize::Zeroizing;

    use super::*;
    use crate::{NoteSigningKey, TreeHash};

    fn keys(seeds: &[u8]) -> LogKeys {
        let key = |seed: &u8| NoteSigningKey::from_seed("a", Zeroizing::new([*seed; 32])).unwrap();
        LogKeys::new(seeds.iter().map(key).collect()).unwrap()
    }

    fn checkpoint(size: u64) -> Checkpoint {
        Checkpoint { origin: "a".to_owned(), size, root: TreeHash::leaf(b"root"), time: None }
    }

    fn note(size: u64, keys: &LogKeys) -> String {
        checkpoint(size).sign(keys.all()).unwrap().to_string()
    }

    #[test]
    fn an_empty_line_after_signatures_ends_a_note() {
        let (one, two) = ("a\n1\n\n\u{2014} a x\n\u{2014} b y\n", "a\n2\n\n\u{2014} a z\n");
        assert_eq!(split_notes(&format!("{one}\n{two}")), [one, two]);
        assert_eq!(split_notes(one), [one]);
        assert_eq!(split_notes(""), [""]);
    }

    #[test]
    fn a_note_that_was_cut_off_anywhere_is_replaced_by_the_next() {
        let folder = TempDir::new().unwrap();
        let keys = keys(&[1, 2]);
        let (first, second, third) = (note(1, &keys), note(2, &keys), note(3, &keys));
        let path = folder.path().join("data/checkpoints");
        let file = CheckpointFile::new(&path, &keys);
        assert_eq!(file.last().unwrap(), None, "there is no file");
        file.append(&first).unwrap();
        file.append(&second).unwrap();
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(whole, format!("{first}\n{second}").as_bytes());
        // With the signature of the first key alone, a note is complete.
        let one_signature = whole.len() - second.lines().last().unwrap().len() - 1;
        for cut in first.len()..=whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let kept = file.last().unwrap().unwrap().size;
            assert_eq!(kept, if cut + 1 >= one_signature { 2 } else { 1 }, "{cut}");
            file.append(&third).unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            let notes = split_notes(&text);
            assert_eq!(notes.first(), Some(&first), "{cut}");
            assert_eq!(notes.last(), Some(&third), "{cut}");
            for note in notes {
                Checkpoint::open(&note, &keys.public()).unwrap();
            }
        }
    }

    #[test]
    fn a_file_that_ends_in_something_else_is_left_as_it_is() {
        let folder = TempDir::new().unwrap();
        let keys = keys(&[1]);
        let path = folder.path().join("checkpoints");
        let file = CheckpointFile::new(&path, &keys);
        let good = note(7, &keys);
        let forged = good.replace("a\n7\n", "a\n8\n");
        for (what, text) in [
            ("another page", "<!DOCTYPE html>\n<html></html>\n".to_owned()),
            ("other line ends", good.replace('\n', "\r\n")),
            ("more than notes", format!("{good}\nmore\n")),
            ("a forged note", forged),
            ("only signatures", "\u{2014} a AAAAAAAA\n".to_owned()),
        ] {
            std::fs::write(&path, &text).unwrap();
            let refused = file.last();
            assert!(matches!(refused, Err(CheckpointFileError::Damaged(_))), "{what}: {refused:?}");
            assert!(file.append(&good).is_err(), "{what}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "{what}");
        }
    }

    #[test]
    fn the_last_note_of_a_long_file_is_found_and_a_former_key_may_have_signed_it() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("checkpoints");
        let (old, new) = (keys(&[1]), keys(&[2]));
        let notes: Vec<_> = (1..=1_000).map(|size| note(size, &old)).collect();
        std::fs::write(&path, notes.join("\n")).unwrap();
        assert!(std::fs::metadata(&path).unwrap().len() > u64::try_from(TAIL).unwrap());
        let file = CheckpointFile::new(&path, &new);
        assert_eq!(file.last().unwrap(), Some(checkpoint(1_000)));
        file.append(&note(1_001, &new)).unwrap();
        assert_eq!(file.last().unwrap(), Some(checkpoint(1_001)));
    }
}
