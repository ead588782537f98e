//! A record that one thread replaces while others read it.

use keyledger_domain::Revision;
use keyledger_domain::key::KeyStatus;

use crate::atomic::{Ordering, fence};
use crate::status::{StatusCell, StatusWord};
use crate::used::LastUse;
use crate::words::Words;

/// The memory of one key: its status, its last use, and the `N` words of its record.
///
/// A record is replaced in three steps. The writer writes the new record to a buffer, `aside`, which
/// all cells share. It advances the status word to "aside", which makes the new record visible. Then it
/// writes the new record in place too, and advances the status word to "in place". At every moment one
/// of the two buffers holds a whole record that is not being written, and the status word says which
/// one. A reader copies from there, then checks that the status word is still the same, and copies
/// again if it is not. So a reader never waits for the writer: it repeats a copy at most as often as
/// the status word advanced in the meantime.
///
/// When a key is deleted, its cell is taken from it and later filled with the record of another key. The
/// status word says then that there is no key, before the first word of the new record is written.
#[derive(Debug)]
pub(super) struct Cell<const N: usize> {
    status: StatusCell,
    pub(super) used: LastUse,
    in_place: Words<N>,
}

impl<const N: usize> Default for Cell<N> {
    fn default() -> Self {
        Self { status: StatusCell::new(), used: LastUse::new(), in_place: Words::default() }
    }
}

impl<const N: usize> Cell<N> {
    /// Takes the cell from its key. Whoever copies its record from now on gets none.
    pub(super) fn take(&self) {
        self.status.take();
    }

    /// Whether [`Cell::take`] may be called again.
    pub(super) fn has_turns(&self) -> bool {
        self.status.has_turns()
    }

    /// Stores the first record of a key, which makes the key visible to readers. The cell must have no key.
    pub(super) fn fill(&self, bytes: &[[u8; 8]; N], revision: Revision, status: KeyStatus) {
        self.in_place.write(bytes);
        self.status.advance(StatusWord::new(revision, status));
    }

    /// Replaces the record and keeps the status. Only one thread may do it at a time, for all cells
    /// that share `aside`.
    pub(super) fn replace(&self, aside: &Words<N>, bytes: &[[u8; 8]; N], revision: Revision) {
        let Some(status) = self.status.get().map(StatusWord::status) else { return };
        let replaced = StatusWord::new(revision, status);
        aside.write(bytes);
        self.status.advance(replaced.aside());
        self.in_place.write(bytes);
        self.status.advance(replaced);
    }

    /// Sets the status that the event of this revision led to. An older revision changes nothing.
    pub(super) fn advance(&self, revision: Revision, status: KeyStatus) {
        self.status.advance(StatusWord::new(revision, status));
    }

    /// The status; `None` while the cell has no key.
    pub(super) fn status(&self) -> Option<StatusWord> {
        self.status.get()
    }

    /// Calls `copy` with the words of the record, again until the copy is of one whole record, and
    /// returns the status that belongs to it; `None` while the cell has no key.
    pub(super) fn read(
        &self,
        aside: &Words<N>,
        mut copy: impl FnMut(&Words<N>),
    ) -> Option<StatusWord> {
        loop {
            let status = self.status.get()?;
            copy(if status.is_aside() { aside } else { &self.in_place });
            // If a copied word is newer than `status`, the check below sees a newer status word.
            fence(Ordering::Acquire);
            if self.status.is_still(status) {
                return Some(status);
            }
        }
    }

    /// The first words of the record in place. The writer may be writing it: ask only for words that
    /// a replacement leaves as they are. They may be a mixture of the words of two keys, unless this is the
    /// writer.
    pub(super) fn first<const K: usize>(&self) -> [[u8; 8]; K] {
        self.in_place.first()
    }

    /// The same, of one key; `None` while the cell has none.
    pub(super) fn first_of_key<const K: usize>(&self) -> Option<[[u8; 8]; K]> {
        loop {
            let before = self.status.get()?;
            let words = self.in_place.first();
            fence(Ordering::Acquire);
            if self.status.get()?.is_of_same_key(before) {
                return Some(words);
            }
        }
    }
}
