//! A few words that one thread writes while others copy them.

use crate::atomic::{AtomicU64, Ordering, fence};

/// `N` words, each of them atomic; together they are not. A copy that is made while the words are
/// written may mix old and new ones, so the reader has to find out afterwards whether it does: see
/// [`Cell`](crate::cell::Cell).
#[derive(Debug)]
pub(super) struct Words<const N: usize>([AtomicU64; N]);

impl<const N: usize> Default for Words<N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl<const N: usize> Words<N> {
    /// Copies the words.
    pub(super) fn copy_to(&self, bytes: &mut [[u8; 8]; N]) {
        for (bytes, word) in bytes.iter_mut().zip(&self.0) {
            *bytes = word.load(Ordering::Relaxed).to_le_bytes();
        }
    }

    /// Copies the first words only.
    pub(super) fn first<const K: usize>(&self) -> [[u8; 8]; K] {
        let mut words = self.0.iter();
        std::array::from_fn(|_| {
            words.next().map_or(0, |word| word.load(Ordering::Relaxed)).to_le_bytes()
        })
    }

    /// Writes the words. Only one thread may do it at a time.
    ///
    /// A thread that copies any of them, and then passes a fence, sees all that this thread stored
    /// before the call: that is how it learns that its copy is void.
    pub(super) fn write(&self, bytes: &[[u8; 8]; N]) {
        fence(Ordering::Release);
        for (word, bytes) in self.0.iter().zip(bytes) {
            let new = u64::from_le_bytes(*bytes);
            // A word that stays the same is left alone, and with it the caches of other cores.
            if word.load(Ordering::Relaxed) != new {
                word.store(new, Ordering::Relaxed);
            }
        }
    }
}
