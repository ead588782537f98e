//! The state of one part of the service, as its supervisor and its work report it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::readiness::{Part, Readiness, State};

/// Reports the state of one part; cheap to clone.
#[derive(Clone, Debug)]
pub struct Health {
    part: Part,
    readiness: Readiness,
    progressed: Arc<AtomicBool>,
}

impl Health {
    /// Reports the state of this part to `readiness`.
    #[must_use]
    pub fn new(part: Part, readiness: &Readiness) -> Self {
        Self { part, readiness: readiness.clone(), progressed: Arc::default() }
    }

    /// The part's name in `/readyz`, metrics and log lines.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.part.name()
    }

    /// Reports a state.
    pub fn set(&self, state: State) {
        self.readiness.set(self.part, state);
    }

    /// Whether the part is in this state.
    #[must_use]
    pub fn is(&self, state: State) -> bool {
        self.readiness.is(self.part, state)
    }

    /// Reports that the work has made progress, so that the backoff starts again at its shortest wait.
    pub fn progressed(&self) {
        self.progressed.store(true, Ordering::Relaxed);
    }

    /// Whether the work has made progress since the last call.
    pub(super) fn take_progress(&self) -> bool {
        self.progressed.swap(false, Ordering::Relaxed)
    }
}
