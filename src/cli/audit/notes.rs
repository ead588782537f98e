//! Files of checkpoints: one signed note after another, an empty line between two.

use anyhow::Context;

/// How the line of a signature begins.
const SIGNATURE: &str = "\u{2014} ";

/// A signed note of a file.
pub(super) struct Kept {
    /// Where it stands, for people.
    pub(super) place: String,
    pub(super) text: String,
}

/// The notes in a file, believed or not: at least one, which may be empty.
pub(super) fn read(path: &str) -> anyhow::Result<Vec<Kept>> {
    let bytes = std::fs::read(path);
    let bytes = bytes.with_context(|| format!("the checkpoint {path:?} cannot be read"))?;
    // Bytes that are no text are no reason to stop: they make a note that nobody has signed.
    let notes = split(&String::from_utf8_lossy(&bytes));
    let kept = |(number, text)| Kept { place: format!("{path}, note {number}"), text };
    Ok((1..).zip(notes).map(kept).collect())
}

fn split(text: &str) -> Vec<String> {
    let (mut notes, mut note) = (Vec::new(), String::new());
    let mut was_signature = false;
    for line in text.split_inclusive('\n') {
        if was_signature && line == "\n" {
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
        assert_eq!(split(&format!("{one}\n{two}")), [one, two]);
        assert_eq!(split(one), [one]);
        assert_eq!(split(""), [""]);
    }
}
