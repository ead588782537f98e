//! A record that is replaced while others read it.

use keyledger_domain::Revision;
use keyledger_domain::key::KeyStatus;

use crate::atomic::{Ordering, fence};
use crate::status::{StatusCell, StatusWord};
use crate::used::LastUse;
use crate::words::Words;

/// The place of one key: its status, its last use, and the `N` words of its record.
///
/// A record is replaced in three steps. The writer writes the new one to a place aside, which all
/// cells share; it moves the status word on, which now says "aside" and makes the new record visible;
/// it writes the new record in place too and moves the status word on again, to "in place". At every
/// moment one of the two places holds a whole record that nobody is writing, and the status word says
/// which one. A reader copies from there, then checks that the status word is still the same; only if
/// it is not, it copies again. So a reader never waits for the writer: it repeats a copy at most as
/// often as the status word moved on in the meantime.
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
    /// Puts in the first record. From then on the key is there.
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

    /// Takes over the status that an event of this revision led to.
    pub(super) fn advance(&self, revision: Revision, status: KeyStatus) {
        self.status.advance(StatusWord::new(revision, status));
    }

    /// The status; `None` while there is no key.
    pub(super) fn status(&self) -> Option<StatusWord> {
        self.status.get()
    }

    /// Calls `copy` with the words of the record, again until the copy is of one whole record, and
    /// returns the status that belongs to it; `None` while there is no key.
    pub(super) fn read(
        &self,
        aside: &Words<N>,
        mut copy: impl FnMut(&Words<N>),
    ) -> Option<StatusWord> {
        loop {
            let status = self.status.get()?;
            copy(if status.is_aside() { aside } else { &self.in_place });
            // If any word that was copied is newer than the status, so is the status below.
            fence(Ordering::Acquire);
            if self.status.is_still(status) {
                return Some(status);
            }
        }
    }

    /// The first words of the record in place. The writer may be writing it: ask only for words that
    /// a replacement leaves as they are.
    pub(super) fn first<const K: usize>(&self) -> [[u8; 8]; K] {
        self.in_place.first()
    }
}
