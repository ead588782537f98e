//! A hash table of numbers that is read without locks while one writer adds to it.
//!
//! Open addressing with linear probing. A slot is one word: empty, or a number and a part of the hash
//! that it belongs to, so that nearly all that is not meant is passed over without a look elsewhere.
//! A slot that was filled never changes again.

use crate::atomic::{AtomicU64, Ordering};

const EMPTY: u64 = 0;

/// The parts of a SHA-256, which are as good as random, that say where its slot is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Its first 64 bits: where to begin.
    start: u64,
    /// The next 32: what to compare first.
    tag: u64,
}

impl Place {
    pub(super) fn of(hash: &[u8; 32]) -> Self {
        let (words, _) = hash.as_chunks::<8>();
        let word = |index: usize| words.get(index).map_or(0, |word| u64::from_be_bytes(*word));
        Self { start: word(0), tag: word(1) & 0xFFFF_FFFF_0000_0000 }
    }

    /// One of `count` parts of the table: of those with the same first bits.
    pub(super) fn part(self, count: usize) -> usize {
        scale(self.start, count)
    }

    /// The place within such a part, of `count` that there are.
    pub(super) fn within(self, count: usize) -> Self {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        Self { start: self.start.wrapping_mul(count), ..self }
    }
}

/// A number below `count` that grows with the hash, as evenly as the hash is random.
fn scale(hash: u64, count: usize) -> usize {
    let scaled = u128::from(hash) * u128::try_from(count).unwrap_or(0);
    usize::try_from(scaled >> 64).unwrap_or(0)
}

fn number_of(word: u64) -> Option<u32> {
    u32::try_from((word & 0xFFFF_FFFF).checked_sub(1)?).ok()
}

/// The table.
#[derive(Debug)]
pub(super) struct Slots {
    words: Box<[AtomicU64]>,
    /// How many numbers it holds.
    used: AtomicU64,
}

impl Slots {
    /// A table with room for this many numbers, and a few more.
    pub(super) fn with_room(count: usize) -> Self {
        let size = count.saturating_add(count / 4).saturating_add(4);
        Self { words: (0..size).map(|_| AtomicU64::new(EMPTY)).collect(), used: AtomicU64::new(0) }
    }

    /// How many numbers it holds.
    pub(super) fn len(&self) -> usize {
        usize::try_from(self.used.load(Ordering::Relaxed)).unwrap_or(usize::MAX)
    }

    /// Whether there is room for another number: with four fifths in use, searches are still short.
    pub(super) fn has_room(&self) -> bool {
        self.len() < self.words.len() / 5 * 4
    }

    /// All numbers that it holds.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> {
        self.words.iter().filter_map(|slot| number_of(slot.load(Ordering::Acquire)))
    }

    /// All slots, from where the search begins, once around.
    fn probe(&self, place: Place) -> impl Iterator<Item = &AtomicU64> {
        let (before, after) = self.words.split_at(scale(place.start, self.words.len()));
        after.iter().chain(before)
    }

    /// Calls `visit` with each number that may belong to this hash, in the order in which they were
    /// put in, until it says something.
    pub(super) fn find<T>(&self, place: Place, visit: impl Fn(u32) -> Option<T>) -> Option<T> {
        for slot in self.probe(place) {
            let word = slot.load(Ordering::Acquire);
            if word == EMPTY {
                return None;
            }
            if (word ^ place.tag) >> 32 == 0
                && let Some(number) = number_of(word)
                && let Some(found) = visit(number)
            {
                return Some(found);
            }
        }
        None
    }

    /// Puts in a number, of `u32::MAX - 1` at most. There must be room, and only one may do it at a
    /// time. Whatever was written before can be read by whoever finds the number.
    pub(super) fn insert(&self, place: Place, number: u32) {
        let word = place.tag | (u64::from(number) + 1);
        for slot in self.probe(place) {
            if slot.load(Ordering::Relaxed) == EMPTY {
                self.used.fetch_add(1, Ordering::Relaxed);
                return slot.store(word, Ordering::Release);
            }
        }
    }
}
