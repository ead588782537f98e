//! A key's status as of one of its events.

use keyledger_domain::Revision;
use keyledger_domain::key::KeyStatus;

use crate::atomic::{AtomicU64, Ordering};

/// One word per cell that only grows: how many keys had the cell before this one, the revision of the key's
/// last event, the status that this event led to, and which buffer holds the record. An older status that
/// arrives late changes nothing.
#[derive(Debug)]
pub(super) struct StatusCell(AtomicU64);

/// A value of a [`StatusCell`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StatusWord(u64);

/// This bit says that the record is in place, not aside.
const IN_PLACE: u64 = 1;
/// Where the number of earlier keys begins. The bits below it are all zero while the cell has no key: that
/// is no status, since the record of a key's first event is never aside.
const TURN: u32 = 35;
const LAST_TURN: u64 = u64::MAX >> TURN;

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

    /// The same status, of the key that has the cell now.
    fn in_turn(self, turn: u64) -> Self {
        Self(self.0 & !(u64::MAX << TURN) | turn << TURN)
    }

    /// Whether both words are of the same key.
    pub(super) fn is_of_same_key(self, other: Self) -> bool {
        self.0 >> TURN == other.0 >> TURN
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
        Revision::new(u32::try_from(self.0 >> 3 & u64::from(u32::MAX)).unwrap_or(u32::MAX))
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
        Self(AtomicU64::new(0))
    }

    /// Sets this status of the key that has the cell, unless it holds a greater one already. Only the
    /// writer of the index gives the cell to another key.
    pub(super) fn advance(&self, to: StatusWord) {
        let to = to.in_turn(self.0.load(Ordering::Relaxed) >> TURN);
        self.0.fetch_max(to.0, Ordering::AcqRel);
    }

    /// Takes the cell from its key, so that another can have it. Until that one's status is set, there is
    /// no key.
    pub(super) fn take(&self) {
        let turn = self.0.load(Ordering::Relaxed) >> TURN;
        self.0.fetch_max((turn + 1) << TURN, Ordering::AcqRel);
    }

    /// Whether [`StatusCell::take`] may be called again: the count of keys has an end, at 536,870,911.
    pub(super) fn has_turns(&self) -> bool {
        self.0.load(Ordering::Relaxed) >> TURN < LAST_TURN
    }

    /// The current word; `None` while there is no key.
    pub(super) fn get(&self) -> Option<StatusWord> {
        let word = self.0.load(Ordering::Acquire);
        (word << (u64::BITS - TURN) != 0).then_some(StatusWord(word))
    }

    /// Whether the cell still holds this word. Call it after a fence: see [`Cell::read`].
    ///
    /// [`Cell::read`]: crate::cell::Cell::read
    pub(super) fn is_still(&self, word: StatusWord) -> bool {
        self.0.load(Ordering::Relaxed) == word.0
    }
}
