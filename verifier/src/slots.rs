//! A hash table of numbers that is read without locks while one writer adds to it.
//!
//! It uses open addressing with linear probing. A slot is one word: empty, or a number and 32 bits of
//! the hash that it belongs to, so that nearly every other hash is passed over without a look at its
//! record. A slot whose number was removed is marked as such, so that searches go on past it, and may be
//! filled again. A table that is full is not extended: the writer fills another one, without the removed
//! numbers, and puts it in its place.

use crate::atomic::{AtomicU64, Ordering};

const EMPTY: u64 = 0;
/// A number was removed. This is no number, since its lower half is zero.
const REMOVED: u64 = 1 << 32;

/// The parts of a SHA-256 that determine its slot. They are distributed like random numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct SlotKey {
    /// Its first 64 bits: where the search begins.
    start: u64,
    /// The next 32 bits, in the upper half: what is compared first.
    tag: u64,
}

impl SlotKey {
    pub(super) fn of(hash: &[u8; 32]) -> Self {
        let (words, _) = hash.as_chunks::<8>();
        let word = |index: usize| words.get(index).map_or(0, |word| u64::from_be_bytes(*word));
        Self { start: word(0), tag: word(1) & 0xFFFF_FFFF_0000_0000 }
    }

    /// Which of `count` tables the hash belongs to.
    pub(super) fn table(self, count: usize) -> usize {
        scale(self.start, count)
    }

    /// The key to use within that table.
    pub(super) fn within(self, count: usize) -> Self {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        Self { start: self.start.wrapping_mul(count), ..self }
    }
}

/// A number below `count` that grows with the hash, and is as evenly spread as the hash.
fn scale(hash: u64, count: usize) -> usize {
    let scaled = u128::from(hash) * u128::try_from(count).unwrap_or(0);
    usize::try_from(scaled >> 64).unwrap_or(0)
}

fn number_of(word: u64) -> Option<u32> {
    u32::try_from((word & 0xFFFF_FFFF).checked_sub(1)?).ok()
}

/// A hash table of numbers.
#[derive(Debug)]
pub(super) struct Slots {
    words: Box<[AtomicU64]>,
    /// How many slots are not empty.
    used: AtomicU64,
    /// How many numbers it holds.
    held: AtomicU64,
}

impl Slots {
    /// A table with room for this many numbers, and a few more.
    pub(super) fn with_room(count: usize) -> Self {
        let size = count.saturating_add(count / 4).saturating_add(4);
        Self {
            words: (0..size).map(|_| AtomicU64::new(EMPTY)).collect(),
            used: AtomicU64::new(0),
            held: AtomicU64::new(0),
        }
    }

    /// How many numbers it holds.
    pub(super) fn len(&self) -> usize {
        usize::try_from(self.held.load(Ordering::Relaxed)).unwrap_or(usize::MAX)
    }

    /// Whether there is room for another number. The limit is four fifths of the slots, which keeps
    /// searches short.
    pub(super) fn has_room(&self) -> bool {
        let used = usize::try_from(self.used.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        used < self.words.len() / 5 * 4
    }

    /// All numbers that it holds.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> {
        self.words.iter().filter_map(|slot| number_of(slot.load(Ordering::Acquire)))
    }

    /// All slots, beginning with the one where the search for this key begins, and wrapping around.
    fn probe(&self, key: SlotKey) -> impl Iterator<Item = &AtomicU64> {
        let (before, after) = self.words.split_at(scale(key.start, self.words.len()));
        after.iter().chain(before)
    }

    /// Calls `visit` with each number that may belong to this hash, until it returns something.
    pub(super) fn find<T>(
        &self,
        key: SlotKey,
        mut visit: impl FnMut(u32) -> Option<T>,
    ) -> Option<T> {
        for slot in self.probe(key) {
            let word = slot.load(Ordering::Acquire);
            if word == EMPTY {
                return None;
            }
            if (word ^ key.tag) >> 32 == 0
                && let Some(number) = number_of(word)
                && let Some(found) = visit(number)
            {
                return Some(found);
            }
        }
        None
    }

    /// Adds a number, of `u32::MAX - 1` at most. There must be room, and only one thread may do it at
    /// a time. A thread that finds the number sees everything that was written before this call.
    pub(super) fn insert(&self, key: SlotKey, number: u32) {
        let word = key.tag | (u64::from(number) + 1);
        for slot in self.probe(key) {
            let before = slot.load(Ordering::Relaxed);
            if before == EMPTY {
                self.used.fetch_add(1, Ordering::Relaxed);
            }
            if before == EMPTY || before == REMOVED {
                self.held.fetch_add(1, Ordering::Relaxed);
                return slot.store(word, Ordering::Release);
            }
        }
    }

    /// Removes a number. Only the thread that adds numbers may do it.
    pub(super) fn remove(&self, key: SlotKey, number: u32) {
        let word = key.tag | (u64::from(number) + 1);
        for slot in self.probe(key) {
            match slot.load(Ordering::Relaxed) {
                found if found == word => {
                    self.held.fetch_sub(1, Ordering::Relaxed);
                    return slot.store(REMOVED, Ordering::Release);
                }
                EMPTY => return,
                _ => {}
            }
        }
    }
}
