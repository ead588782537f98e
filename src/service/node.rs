//! The state that requests and background tasks of this process share.

use std::sync::{Arc, OnceLock};

use keyledger_domain::Position;
use keyledger_projections::ReadTables;
use keyledger_verifier::Verification;
use tokio::sync::watch;

use keyledger_domain::Clock;
use keyledger_http as http;
use keyledger_http::{Counters, Metrics};
use keyledger_journal::JournalReader;
use keyledger_node::clock::SystemClock;
use keyledger_node::readiness::{Part, Readiness};
use keyledger_node::tasks::Head;
use keyledger_node::{Health, Progress};

/// State that exists before the stores are open; cheap to clone.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) readiness: Readiness,
    /// The position that queries include.
    pub(super) progress: Progress,
    /// The position that verifications include.
    pub(super) verified: Progress,
    /// The journal's head, as last asked for.
    pub(super) head: watch::Sender<Option<Head>>,
    /// The position of the last event that this node published; `None` while it does not publish.
    pub(super) relayed: watch::Sender<Option<Position>>,
    /// How many events the stream of NATS was found to lack; `None` if this is not known.
    pub(super) missing: watch::Sender<Option<u64>>,
    /// Answers verifications; set once the index is loaded.
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
            missing: watch::Sender::new(None),
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
            missing: self.missing.subscribe(),
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

/// The shared state together with the stores, once they are open.
pub(super) struct Node {
    pub(super) shared: Shared,
    pub(super) journal: Arc<dyn JournalReader>,
    pub(super) tables: ReadTables,
}

impl Node {
    /// The health of a part, through which it reports its state.
    pub(super) fn health(&self, part: Part) -> Health {
        Health::new(part, &self.shared.readiness)
    }
}
