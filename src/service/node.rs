//! What the parts of this process share.

use std::sync::{Arc, OnceLock};

use keyledger_domain::Position;
use keyledger_projections::ReadTables;
use keyledger_verifier::Verification;
use tokio::sync::watch;

use crate::http;
use crate::metrics::{Counters, Metrics};
use keyledger_journal::JournalReader;
use keyledger_node::clock::{Clock, SystemClock};
use keyledger_node::readiness::{Part, Readiness};
use keyledger_node::tasks::Head;
use keyledger_node::{Health, Progress};

/// What each part can do, how far it is, and what it tells the others; cheap to clone.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) readiness: Readiness,
    /// How far queries are.
    pub(super) progress: Progress,
    /// How far verifications are.
    pub(super) verified: Progress,
    /// The journal's head.
    pub(super) head: watch::Sender<Option<Head>>,
    /// How far events are published.
    pub(super) relayed: watch::Sender<Option<Position>>,
    /// Answers verifications, once it is loaded.
    pub(super) verification: Arc<OnceLock<Verification>>,
    pub(super) counters: Counters,
    pub(super) clock: Arc<dyn Clock>,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            readiness: Readiness::default(),
            progress: Progress::default(),
            verified: Progress::default(),
            head: watch::Sender::new(None),
            relayed: watch::Sender::new(None),
            verification: Arc::default(),
            counters: Counters::default(),
            clock: Arc::new(SystemClock),
        }
    }

    pub(super) fn metrics(&self) -> Metrics {
        Metrics {
            readiness: self.readiness.clone(),
            progress: self.progress.clone(),
            head: self.head.subscribe(),
            relayed: self.relayed.subscribe(),
            verification: self.verification.clone(),
            counters: self.counters.clone(),
        }
    }

    pub(super) fn verification_state(&self) -> http::VerificationState {
        http::VerificationState {
            verification: self.verification.clone(),
            verified: self.verified.clone(),
            clock: self.clock.clone(),
            counters: self.counters.clone(),
        }
    }
}

/// The same, and the stores, once they are open.
pub(super) struct Node {
    pub(super) shared: Shared,
    pub(super) journal: Arc<dyn JournalReader>,
    pub(super) tables: ReadTables,
}

impl Node {
    /// Where a part reports how it is doing.
    pub(super) fn health(&self, part: Part) -> Health {
        Health::new(part, &self.shared.readiness)
    }
}
