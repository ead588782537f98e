//! A counter that many threads increment often.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const PARTS: usize = 16;

/// A counter in 16 parts, so that threads rarely write to the same cache line. Reading adds them up.
#[derive(Debug, Default)]
pub(super) struct BusyCounter([Part; PARTS]);

/// One part, aligned so that it shares no cache line (nor a prefetched pair of them) with another.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Part(AtomicU64);

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static PART: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The index of this thread's part.
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
