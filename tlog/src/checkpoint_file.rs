//! The checkpoint file: signed notes, oldest first, separated by empty lines.

use std::fs::{File, create_dir_all};
use std::io::{Error, ErrorKind, Read, Result, Seek, SeekFrom, Write};
use std::path::Path;

/// The separator between two notes. A note never begins with an empty line.
const SEPARATOR: &str = "\n";
/// The beginning of a signature line.
const SIGNATURE: &str = "\u{2014} ";
/// How many bytes at the end of a file are searched for the end of its last note.
const SEARCHED: u64 = 16 * 1024;

/// Appends a note, and waits until it is on disk. Creates the file and its folder if they are
/// missing.
///
/// If the last note of the file is incomplete, because an earlier process or the machine stopped
/// while it was written, that part is removed first and returned.
///
/// # Errors
/// The operating system's error; the file then is as before, without an incomplete note. And
/// [`ErrorKind::InvalidData`] if it is not a file of checkpoints, and therefore is not changed: no note
/// ends in its last 16 KiB, and it does not begin like this note either.
pub fn append_note(path: &Path, note: &str) -> Result<Option<String>> {
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    if let Some(folder) = folder {
        create_dir_all(folder)?;
    }
    let is_new = !path.exists();
    let mut file =
        File::options().create(true).truncate(false).read(true).write(true).open(path)?;
    let incomplete = cut_incomplete(&mut file, note)?;
    let end = file.seek(SeekFrom::End(0))?;
    let between = if end > 0 { SEPARATOR } else { "" };
    let written = file.write_all(format!("{between}{note}").as_bytes());
    if let Err(error) = written.and_then(|()| file.sync_all()) {
        file.set_len(end)?;
        return Err(error);
    }
    if is_new {
        // The file's name is on disk only after this.
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(incomplete)
}

/// Removes what follows the last complete note, and returns it.
fn cut_incomplete(file: &mut File, note: &str) -> Result<Option<String>> {
    let length = file.metadata()?.len();
    let start = length.saturating_sub(SEARCHED);
    file.seek(SeekFrom::Start(start))?;
    let mut last = Vec::new();
    file.read_to_end(&mut last)?;
    let kept = complete_until(&last);
    let rest = last.get(kept..).unwrap_or_default();
    if rest.is_empty() {
        return Ok(None);
    }
    if kept == 0 && (start > 0 || !begins_alike(rest, note.as_bytes())) {
        return Err(Error::new(ErrorKind::InvalidData, "it holds something else than checkpoints"));
    }
    let rest = String::from_utf8_lossy(rest).into_owned();
    file.set_len(start + u64::try_from(kept).map_err(Error::other)?)?;
    Ok(Some(rest))
}

/// Whether bytes may be the beginning of the first note of a file, which had the same first line as this
/// note. Bytes that did not reach the disk are zero.
fn begins_alike(bytes: &[u8], note: &[u8]) -> bool {
    let origin = note.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
    bytes.iter().zip(origin).all(|(byte, expected)| byte == expected || *byte == 0)
}

/// The number of bytes up to the end of the last complete note; 0 if none is complete. A note is
/// complete if a line that is no signature follows its signatures, or nothing at all does.
fn complete_until(bytes: &[u8]) -> usize {
    let signature = SIGNATURE.as_bytes();
    let (mut complete, mut end, mut was_signed) = (0, 0, false);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let may_be_signature = line.starts_with(signature) || signature.starts_with(line);
        if was_signed && !may_be_signature {
            complete = end;
        }
        end += line.len();
        was_signed = line.starts_with(signature) && line.ends_with(b"\n");
    }
    if was_signed { end } else { complete }
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
    use super::*;

    const ONE: &str = "a\n1\n\n\u{2014} a x\n\u{2014} b y\n";
    const TWO: &str = "a\n2\n\n\u{2014} a z\n";

    /// A file of checkpoints in a folder of its own, and its path.
    fn file(bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoints");
        std::fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    #[test]
    fn an_empty_line_after_signatures_ends_a_note() {
        assert_eq!(split_notes(&format!("{ONE}\n{TWO}")), [ONE, TWO]);
        assert_eq!(split_notes(ONE), [ONE]);
        assert_eq!(split_notes(""), [""]);
    }

    #[test]
    fn a_note_that_was_written_in_part_is_removed_before_the_next() {
        let whole = format!("{ONE}\n{TWO}");
        for length in 0..=whole.len() {
            let torn = &whole.as_bytes()[..length];
            let (_folder, path) = file(torn);
            let removed = append_note(&path, TWO).unwrap().unwrap_or_default();
            let notes = split_notes(&std::fs::read_to_string(&path).unwrap());
            let first_line = ONE.len() - "\u{2014} b y\n".len();
            let complete: &[&str] = match length {
                // It cannot be seen that a second signature was to follow.
                _ if length == first_line => &[&ONE[..first_line], TWO],
                _ if length < ONE.len() => &[TWO],
                _ if length < whole.len() => &[ONE, TWO],
                _ => &[ONE, TWO, TWO],
            };
            assert_eq!(notes, complete, "after {length} bytes");
            let kept = complete[..complete.len() - 1].join("\n").len();
            assert_eq!(removed, String::from_utf8_lossy(&torn[kept..]), "after {length} bytes");
        }
    }

    #[test]
    fn bytes_that_never_reached_the_disk_are_removed() {
        let (_folder, path) = file(format!("{ONE}\0\0\0\0").as_bytes());
        assert_eq!(append_note(&path, TWO).unwrap().unwrap(), "\0\0\0\0");
        assert_eq!(std::fs::read_to_string(path).unwrap(), format!("{ONE}\n{TWO}"));
    }

    #[test]
    fn a_long_file_is_continued() {
        let long = [ONE; 2_000].join("\n");
        let (_folder, path) = file(long.as_bytes());
        assert_eq!(append_note(&path, TWO).unwrap(), None);
        assert_eq!(std::fs::read_to_string(path).unwrap(), format!("{long}\n{TWO}"));
    }

    #[test]
    fn a_file_without_checkpoints_is_not_changed() {
        for times in [1, 2_000] {
            let other = "PRIVATE+KEY\n".repeat(times);
            let (_folder, path) = file(other.as_bytes());
            assert_eq!(append_note(&path, TWO).unwrap_err().kind(), ErrorKind::InvalidData);
            assert_eq!(std::fs::read_to_string(path).unwrap(), other);
        }
    }
}
