//! Uses that wait to be recorded: the last one of each record, and marks of which records have one.
//! They take no more memory however long the database is away.

use crate::atomic::{AtomicI64, AtomicU64, Ordering};

/// When something was last used, in microseconds, if that is not recorded yet.
#[derive(Debug)]
pub(super) struct LastUse(AtomicI64);

/// No use waits to be recorded.
const NONE: i64 = i64::MIN;
/// How many marks a word has.
const WORD: usize = 64;

impl LastUse {
    pub(super) fn new() -> Self {
        Self(AtomicI64::new(NONE))
    }

    /// The use that waits.
    pub(super) fn waiting(&self) -> Option<i64> {
        let micros = self.0.load(Ordering::Acquire);
        (micros != NONE).then_some(micros)
    }

    /// Notes a use, to the millisecond; tells whether it is the first that waits.
    fn note(&self, micros: i64) -> bool {
        // What is used all the time need not be written to all the time.
        let known = self.0.load(Ordering::Relaxed);
        if known != NONE && micros < known.saturating_add(1_000) {
            return false;
        }
        self.0.fetch_max(micros, Ordering::AcqRel) == NONE
    }

    /// Forgets a use, unless a later one waits.
    fn forget(&self, micros: i64) {
        let _ = self.0.compare_exchange(micros, NONE, Ordering::AcqRel, Ordering::Acquire);
    }
}

/// Which of many have a use that waits: a bit for each.
pub(super) struct Marks(Box<[AtomicU64]>);

impl Marks {
    pub(super) fn new(count: usize) -> Self {
        Self((0..count.div_ceil(WORD)).map(|_| AtomicU64::new(0)).collect())
    }

    /// Notes a use of what is at this place.
    pub(super) fn note(&self, place: usize, last: &LastUse, micros: i64) {
        if last.note(micros) {
            self.mark(place);
        }
    }

    /// Notes that a use of what is at this place is recorded; or that none was there, when two have
    /// recorded it.
    pub(super) fn is_recorded(&self, place: usize, last: &LastUse, micros: Option<i64>) {
        // Before the use is forgotten: whoever notes the next one marks it after that.
        if let Some(word) = self.0.get(place / WORD) {
            word.fetch_and(!bit(place), Ordering::AcqRel);
        }
        if let Some(micros) = micros {
            last.forget(micros);
        }
        if last.waiting().is_some() {
            self.mark(place);
        }
    }

    fn mark(&self, place: usize) {
        if let Some(word) = self.0.get(place / WORD) {
            word.fetch_or(bit(place), Ordering::AcqRel);
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        let ones = |word: &AtomicU64| usize::try_from(word.load(Ordering::Acquire).count_ones());
        self.0.iter().map(|word| ones(word).unwrap_or(0)).sum()
    }

    /// The places that are marked.
    pub(super) fn places(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().flat_map(|(index, word)| {
            let marks = word.load(Ordering::Acquire);
            let places = (0..WORD).filter(move |place| marks & bit(*place) != 0);
            places.map(move |place| index * WORD + place)
        })
    }
}

fn bit(place: usize) -> u64 {
    1 << (place % WORD)
}
