//! The checkpoint file: signed notes, oldest first, separated by empty lines.

use std::fs::{File, create_dir_all};
use std::io::Write;
use std::path::Path;

/// The separator between two notes. A note never begins with an empty line.
const SEPARATOR: &str = "\n";
/// The beginning of a signature line.
const SIGNATURE: &str = "\u{2014} ";

/// Appends a note, and waits until it is on disk. Creates the file and its folder if they are
/// missing.
///
/// # Errors
/// The operating system's error. The file may then hold a part of the note.
pub fn append_note(path: &Path, note: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| *folder != Path::new("")) {
        create_dir_all(folder)?;
    }
    let mut file = File::options().create(true).append(true).open(path)?;
    let between = if file.metadata()?.len() > 0 { SEPARATOR } else { "" };
    file.write_all(format!("{between}{note}").as_bytes())?;
    file.sync_all()
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

    #[test]
    fn an_empty_line_after_signatures_ends_a_note() {
        let (one, two) = ("a\n1\n\n\u{2014} a x\n\u{2014} b y\n", "a\n2\n\n\u{2014} a z\n");
        assert_eq!(split_notes(&format!("{one}\n{two}")), [one, two]);
        assert_eq!(split_notes(one), [one]);
        assert_eq!(split_notes(""), [""]);
    }
}
