//! Reads checkpoint files: signed notes, separated by empty lines.

use anyhow::Context;
use keyledger_tlog::export::Finding;
use keyledger_tlog::{Mangling, split_notes};

/// A signed note from a file.
pub(super) struct Kept {
    /// The file and the number of the note in it, to be printed.
    pub(super) place: String,
    pub(super) text: String,
}

/// Reads the notes of a file without checking their signatures: at least one. A file that was changed
/// on its way is a finding.
pub(super) fn read(path: &str) -> anyhow::Result<Result<Vec<Kept>, Finding>> {
    let bytes = std::fs::read(path);
    let bytes = bytes.with_context(|| format!("the checkpoint {path:?} cannot be read"))?;
    if let Some(how) = Mangling::of_notes(&bytes) {
        return Ok(Err(Finding::MangledFile { place: Some(path.to_owned()), how }));
    }
    // Bytes that are not UTF-8 are replaced. They make a note without a valid signature, which the
    // check reports.
    let notes = split_notes(&String::from_utf8_lossy(&bytes));
    let kept = |(number, text)| Kept { place: format!("{path}, note {number}"), text };
    Ok(Ok((1..).zip(notes).map(kept).collect()))
}
