//! A counter for what happens all the time on all threads.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const PARTS: usize = 16;

/// A counter in parts, so that threads do not wait for each other's memory; cheap to read seldom.
#[derive(Debug, Default)]
pub(super) struct BusyCounter([Part; PARTS]);

/// Alone in what processors share.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Part(AtomicU64);

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static PART: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The part of this thread.
fn part() -> usize {
    PART.get().unwrap_or_else(|| {
        let part = THREADS.fetch_add(1, Ordering::Relaxed) % PARTS;
        PART.set(Some(part));
        part
    })
}

impl BusyCounter {
    pub(super) fn inc(&self) {
        if let Some(Part(count)) = self.0.get(part()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn get(&self) -> u64 {
        self.0.iter().map(|Part(count)| count.load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_many_threads_count_is_all_counted() {
        let counter = BusyCounter::default();
        std::thread::scope(|scope| {
            for _ in 0..PARTS + 3 {
                scope.spawn(|| (0..1_000).for_each(|_| counter.inc()));
            }
        });
        assert_eq!(counter.get(), (u64::try_from(PARTS).unwrap() + 3) * 1_000);
    }
}
