//! The atomics that the index is built from, and how large its parts are.
//!
//! Unit tests of this crate are the models in `models.rs`. They run the crate's own code on loom's
//! atomics, so that loom can try every order in which threads can meet, and with parts so small that
//! it can finish. Tests of everything else are in `tests/` and use the crate as others do.

#[cfg(not(test))]
pub(super) use production::*;

#[cfg(test)]
pub(super) use model::*;

#[cfg(not(test))]
mod production {
    pub(crate) use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering, fence};

    pub(crate) use arc_swap::ArcSwap;

    /// How many hash tables the index has. Each grows on its own, so no single growth takes long.
    pub(crate) const TABLES: usize = 64;

    /// How many numbers of removed keys rest before one is used again.
    pub(crate) const AT_REST: usize = 1_024;

    /// How many items of this size, in bytes, fill a page: a little less than a MiB, so that the
    /// allocator's own header does not start another page of memory.
    pub(crate) const fn items_of_page(size: usize) -> usize {
        ((1 << 20) - 4_096) / size
    }
}

#[cfg(test)]
mod model {
    use std::sync::{Arc, Mutex};

    pub(crate) use loom::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering, fence};

    pub(crate) const TABLES: usize = 1;

    pub(crate) const AT_REST: usize = 0;

    pub(crate) const fn items_of_page(_: usize) -> usize {
        4
    }

    /// Stands in for `arc_swap::ArcSwap`, whose atomics loom cannot see. It promises no more than
    /// that one: a load sees everything that happened before the store of the value it returns.
    #[derive(Debug)]
    pub(crate) struct ArcSwap<T> {
        /// Every value ever stored.
        values: Mutex<Vec<Arc<T>>>,
        /// The index of the current one.
        current: AtomicU32,
    }

    impl<T> ArcSwap<T> {
        pub(crate) fn from_pointee(value: T) -> Self {
            Self { values: Mutex::new(vec![Arc::new(value)]), current: AtomicU32::new(0) }
        }

        pub(crate) fn load(&self) -> Arc<T> {
            let current = usize::try_from(self.current.load(Ordering::Acquire)).unwrap();
            self.values.lock().unwrap()[current].clone()
        }

        pub(crate) fn store(&self, value: Arc<T>) {
            let mut values = self.values.lock().unwrap();
            let current = u32::try_from(values.len()).unwrap();
            values.push(value);
            drop(values);
            self.current.store(current, Ordering::Release);
        }
    }
}
