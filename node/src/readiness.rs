//! Whether the service can do its work: the states of its parts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A part of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The journal can be read.
    Journal,
    /// The journal takes appends.
    Appends,
    /// The read tables follow the journal.
    ReadTables,
    /// Keys can be verified.
    Verification,
    /// Events are published.
    Relay,
    /// Events are appended to the transparency log, and checkpoints of it are signed.
    Tree,
    /// Checkpoints of the log are published.
    Checkpoints,
    /// The keys that verify sign-in tokens are available.
    SignIn,
}

impl Part {
    /// Whether requests can be served without this part. Events that are not published, or not yet in
    /// the log, stay in the journal; checkpoints stay in the read database.
    #[must_use]
    pub fn is_beside_requests(self) -> bool {
        matches!(self, Self::Relay | Self::Tree | Self::Checkpoints)
    }

    /// The name in `/readyz`, metrics and log lines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Appends => "appends",
            Self::ReadTables => "read_tables",
            Self::Verification => "verification",
            Self::Relay => "relay",
            Self::Tree => "tree",
            Self::Checkpoints => "checkpoints",
            Self::SignIn => "sign_in",
        }
    }
}

/// The state of one part of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has not become ready for the first time yet.
    Starting,
    /// It works.
    Ready,
    /// It does not work now, and tries again by itself.
    Failing,
    /// It does not work, and does not try again without an operator's help.
    Stopped,
}

impl State {
    /// The name in `/readyz` and log lines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Failing => "failing",
            Self::Stopped => "stopped",
        }
    }
}

/// The states of all parts; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<Part, State>>>);

impl Readiness {
    /// Sets a part's state, and logs it if it has changed.
    pub fn set(&self, part: Part, state: State) {
        let before = self.lock().insert(part, state);
        if before != Some(state) {
            tracing::info!(part = part.name(), state = state.name(), "readiness changed");
        }
    }

    /// Whether a part is in this state.
    #[must_use]
    pub fn is(&self, part: Part, state: State) -> bool {
        self.lock().get(&part) == Some(&state)
    }

    /// Whether every part that requests need is ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let parts = self.lock();
        let mut needed = parts.iter().filter(|(part, _)| !part.is_beside_requests());
        needed.all(|(_, state)| *state == State::Ready)
    }

    /// The states of all parts.
    #[must_use]
    pub fn parts(&self) -> BTreeMap<Part, State> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Part, State>> {
        // No code can panic in the middle of a change of the map.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
