//! How many connections a listener has.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The places of a listener's connections. When all are taken, the connection that has been idle for
/// longest makes room for the next one.
#[derive(Debug)]
pub(super) struct Room {
    places: Arc<Semaphore>,
    most: usize,
    /// Notified for each connection that waits for a place. It wakes the idle connections in the order in
    /// which they began to wait for it.
    wanted: Notify,
    /// Whether the log says that all places are taken.
    is_told: AtomicBool,
}

impl Room {
    pub(super) fn new(most: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(most)),
            most,
            wanted: Notify::new(),
            is_told: AtomicBool::new(false),
        }
    }

    /// A place, as soon as there is one. It is free again when the permit is dropped.
    pub(super) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            if self.places.available_permits() > self.most / 2 {
                self.is_told.store(false, Ordering::Relaxed);
            }
            return Some(place);
        }
        if !self.is_told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                connections = self.most,
                "a listener has as many connections as it may; idle ones are closed for new ones"
            );
        }
        self.wanted.notify_one();
        // Fails only when the semaphore is closed, which never happens.
        self.places.clone().acquire_owned().await.ok()
    }

    /// Waits until a connection must make room for another.
    pub(super) async fn is_wanted(&self) {
        self.wanted.notified().await;
    }
}
