//! Files of checkpoints: one signed note after another, an empty line between two.

use anyhow::Context;
use keyledger_projections::audit::{Checkpoint, VerifyingKey};

/// How the line of a signature begins.
const SIGNATURE: &str = "\u{2014} ";

/// The checkpoints in a file, if all of them are signed by a key that is trusted.
pub(super) fn read(path: &str, trusted: &[VerifyingKey]) -> anyhow::Result<Vec<Checkpoint>> {
    let text = std::fs::read_to_string(path);
    let text = text.with_context(|| format!("the checkpoint {path:?} cannot be read"))?;
    let believe = |note: String| {
        let checkpoint = Checkpoint::open(&note, trusted);
        checkpoint.with_context(|| format!("the checkpoint {path:?} is not believed"))
    };
    split(&text).into_iter().map(believe).collect()
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
