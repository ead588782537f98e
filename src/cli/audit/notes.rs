//! Files of checkpoints: one signed note after another, an empty line between two.

use anyhow::Context;
use keyledger_tlog::split_notes;

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
    let notes = split_notes(&String::from_utf8_lossy(&bytes));
    let kept = |(number, text)| Kept { place: format!("{path}, note {number}"), text };
    Ok((1..).zip(notes).map(kept).collect())
}
