//! The state that requests and background tasks of this process share.

use std::sync::Arc;
use std::time::Duration;

use keyledger_domain::{HmacSecret, KeyPrefix, Position};
use keyledger_projections::ReadTables;
use tokio::sync::{Notify, watch};

use crate::telemetry;
use keyledger_domain::Clock;
use keyledger_http as http;
use keyledger_http::{Counters, Metrics};
use keyledger_journal::JournalReader;
use keyledger_node::clock::SystemClock;
use keyledger_node::readiness::{Part, Readiness};
use keyledger_node::tasks::Head;
use keyledger_node::{Health, History};

/// State that exists before the stores are open; cheap to clone.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) readiness: Readiness,
    /// What this node has followed, and the verification index.
    pub(super) history: History,
    /// Notified to have the journal's head asked for at once.
    pub(super) ask: Arc<Notify>,
    /// The journal's head, as last asked for.
    pub(super) head: watch::Sender<Option<Head>>,
    /// The position up to which this node has published all events; `None` while it does not publish.
    pub(super) relayed: watch::Sender<Option<Position>>,
    /// How many events the stream of NATS was found to lack; `None` if this is not known.
    pub(super) missing: watch::Sender<Option<u64>>,
    pub(super) counters: Counters,
    pub(super) clock: Arc<dyn Clock>,
}

impl Shared {
    /// `max_staleness` is for how long a proof holds that the verification index has caught up;
    /// `hmac_secrets` are those under which former services hashed imported keys.
    pub(super) fn new(max_staleness: Duration, hmac_secrets: Arc<[HmacSecret]>) -> Self {
        Self {
            readiness: Readiness::default(),
            history: History::new(max_staleness, hmac_secrets),
            ask: Arc::default(),
            head: watch::Sender::new(None),
            relayed: watch::Sender::new(None),
            missing: watch::Sender::new(None),
            counters: Counters::default(),
            clock: Arc::new(SystemClock),
        }
    }

    pub(super) fn metrics(&self) -> Metrics {
        Metrics {
            readiness: self.readiness.clone(),
            history: self.history.clone(),
            clock: self.clock.clone(),
            head: self.head.subscribe(),
            relayed: self.relayed.subscribe(),
            missing: self.missing.subscribe(),
            dropped_lines: telemetry::dropped_lines,
            counters: self.counters.clone(),
        }
    }

    /// `key_prefix` is that of new keys.
    pub(super) fn verification_state(&self, key_prefix: KeyPrefix) -> http::VerificationState {
        http::VerificationState {
            history: self.history.clone(),
            clock: self.clock.clone(),
            counters: self.counters.clone(),
            key_prefix,
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
