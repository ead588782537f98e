//! A key's status as of one of its events.

use keyledger_domain::Revision;
use keyledger_domain::key::KeyStatus;

use crate::atomic::{AtomicU64, Ordering};

/// One word per key that only grows: the revision of the key's last event, the status that this event
/// led to, and which buffer holds the record. An older status that arrives late changes nothing.
#[derive(Debug)]
pub(super) struct StatusCell(AtomicU64);

/// A value of a [`StatusCell`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StatusWord(u64);

/// There is no key yet. This is no valid status word, since the record of a key's first event is never
/// aside.
const EMPTY: u64 = 0;
/// This bit says that the record is in place, not aside.
const IN_PLACE: u64 = 1;

impl StatusWord {
    /// Words of later revisions are greater. For one revision, "in place" is greater than "aside".
    pub(super) fn new(revision: Revision, status: KeyStatus) -> Self {
        let status = match status {
            KeyStatus::Active => 0,
            KeyStatus::Revoked => 1,
            KeyStatus::Deleted => 2,
        };
        Self(u64::from(revision.as_u32()) << 3 | status << 1 | IN_PLACE)
    }

    /// The same, while the record is aside.
    pub(super) fn aside(self) -> Self {
        Self(self.0 & !IN_PLACE)
    }

    pub(super) fn is_aside(self) -> bool {
        self.0 & IN_PLACE == 0
    }

    pub(super) fn revision(self) -> Revision {
        // Always fits, since the word was made from a revision of 32 bits.
        Revision::new(u32::try_from(self.0 >> 3).unwrap_or(u32::MAX))
    }

    pub(super) fn status(self) -> KeyStatus {
        match self.0 >> 1 & 3 {
            0 => KeyStatus::Active,
            1 => KeyStatus::Revoked,
            _ => KeyStatus::Deleted,
        }
    }
}

impl StatusCell {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(EMPTY))
    }

    /// Sets this word, unless the cell holds a greater one already.
    pub(super) fn advance(&self, to: StatusWord) {
        self.0.fetch_max(to.0, Ordering::AcqRel);
    }

    /// The current word; `None` while there is no key.
    pub(super) fn get(&self) -> Option<StatusWord> {
        Some(self.0.load(Ordering::Acquire)).filter(|word| *word != EMPTY).map(StatusWord)
    }

    /// Whether the cell still holds this word. Call it after a fence: see [`Cell::read`].
    ///
    /// [`Cell::read`]: crate::cell::Cell::read
    pub(super) fn is_still(&self, word: StatusWord) -> bool {
        self.0.load(Ordering::Relaxed) == word.0
    }
}
