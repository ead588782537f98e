//! Uses that wait to be recorded: the last one of each key, and marks that say which keys have one.
//! However long the database is away, they take no more memory.

use crate::atomic::{AtomicI64, AtomicU64, Ordering};
use crate::pages::Pages;

/// When a key was last used, in microseconds since 1970, if that is not recorded yet.
#[derive(Debug)]
pub(super) struct LastUse(AtomicI64);

/// No use waits to be recorded.
const NONE: i64 = i64::MIN;
/// How many marks a word has.
const WORD: u32 = 64;
/// How many words of marks are in one allocation of a KiB.
const PAGE: usize = 128;

impl LastUse {
    pub(super) fn new() -> Self {
        Self(AtomicI64::new(NONE))
    }

    /// The use that waits, if one does.
    pub(super) fn waiting(&self) -> Option<i64> {
        let micros = self.0.load(Ordering::Acquire);
        (micros != NONE).then_some(micros)
    }

    /// Stores the time of a use. Returns whether no other use was waiting.
    fn note(&self, micros: i64) -> bool {
        // Uses less than a millisecond apart count as one, so that a key that is used all the time
        // is not written to all the time.
        let known = self.0.load(Ordering::Relaxed);
        if known != NONE && micros < known.saturating_add(1_000) {
            return false;
        }
        self.0.fetch_max(micros, Ordering::AcqRel) == NONE
    }

    fn clear(&self) {
        self.0.store(NONE, Ordering::Release);
    }

    /// Clears a use, unless a later one has replaced it.
    fn forget(&self, micros: i64) {
        let _ = self.0.compare_exchange(micros, NONE, Ordering::AcqRel, Ordering::Acquire);
    }
}

#[derive(Debug)]
struct MarkWord(AtomicU64);

impl Default for MarkWord {
    fn default() -> Self {
        Self(AtomicU64::new(0))
    }
}

/// One bit for each key: whether it has a use that waits.
#[derive(Debug)]
pub(super) struct Marks(Pages<MarkWord, PAGE>);

impl Marks {
    pub(super) fn new() -> Self {
        Self(Pages::new())
    }

    /// Makes room for the mark of this number; `None` if the number is too large. Only the writer of the
    /// index calls this, before the key becomes visible to readers.
    pub(super) fn make_room(&self, number: u32) -> Option<()> {
        self.0.get_or_make(number / WORD).map(|_| ())
    }

    /// Stores the time of a use of the key with this number, and marks the key.
    pub(super) fn note(&self, number: u32, last: &LastUse, micros: i64) {
        if last.note(micros) {
            self.mark(number);
        }
    }

    /// Marks this use of the key as recorded. With `None`, no use was waiting, which happens when two
    /// tasks record at the same time.
    pub(super) fn is_recorded(&self, number: u32, last: &LastUse, micros: Option<i64>) {
        // The mark is cleared before the use is: a thread that stores the next use then sets the mark
        // again.
        if let Some(word) = self.0.get(number / WORD) {
            word.0.fetch_and(!bit(number), Ordering::AcqRel);
        }
        if let Some(micros) = micros {
            last.forget(micros);
        }
        if last.waiting().is_some() {
            self.mark(number);
        }
    }

    /// Forgets a use of the key with this number, because the key is gone.
    pub(super) fn clear(&self, number: u32, last: &LastUse) {
        last.clear();
        if let Some(word) = self.0.get(number / WORD) {
            word.0.fetch_and(!bit(number), Ordering::AcqRel);
        }
    }

    fn mark(&self, number: u32) {
        if let Some(word) = self.0.get(number / WORD) {
            word.0.fetch_or(bit(number), Ordering::AcqRel);
        }
    }

    /// How many keys are marked.
    pub(super) fn count(&self) -> usize {
        let ones = |word: &MarkWord| usize::try_from(word.0.load(Ordering::Acquire).count_ones());
        self.0.iter().map(|word| ones(word).unwrap_or(0)).sum()
    }

    /// The numbers of the marked keys.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> {
        (0..).zip(self.0.iter()).flat_map(|(index, word): (u32, _)| {
            let marks = word.0.load(Ordering::Acquire);
            let marked = (0..WORD).filter(move |place| marks & bit(*place) != 0);
            marked.map(move |place| index * WORD + place)
        })
    }
}

fn bit(number: u32) -> u64 {
    1 << (number % WORD)
}
