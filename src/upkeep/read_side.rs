//! Keeps this node's view of the read tables level with the journal: by projecting, if it is this
//! node's turn, or by following what another node projects.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keyledger_projections::{Lease, Progress, ReadTables};
use tokio::sync::watch;

use super::journal::Head;
use super::lead::{Remedy, lead};
use crate::journal::JournalReader;
use crate::pause::Pause;
use crate::readiness::{Part, Readiness, State};
use crate::telemetry::chain;

/// How long the read tables may lie behind the journal before that counts as a failure.
pub(super) const LATE: Duration = Duration::from_secs(5);
/// How long a node that never projects follows before it looks around.
const ROUND: Duration = Duration::from_secs(2);

/// The read side of a node.
#[derive(Debug)]
pub struct ReadSide {
    /// Where the events come from.
    pub journal: Arc<dyn JournalReader>,
    /// Where they go.
    pub tables: ReadTables,
    /// The contest for the right to project; `None` for a node that never does.
    pub lease: Option<Lease>,
    /// Where this node is told how far queries are.
    pub progress: Progress,
    /// Where it is told whether they are far enough.
    pub readiness: Readiness,
    /// The journal's head, as last asked for.
    pub head: watch::Receiver<Option<Head>>,
}

impl ReadSide {
    /// Keeps it level for as long as the process lives. An event that cannot be applied ends it, with
    /// an alarm: to pass over a revocation would leave a live key.
    pub async fn keep_level(self) {
        self.tell(State::Starting);
        let mut pause = Pause::new();
        loop {
            let claimed = match &self.lease {
                Some(lease) => lease.claim().await.map(|term| term.map(|term| (lease, term))),
                None => Ok(None),
            };
            match claimed {
                Ok(Some((lease, term))) => match lead(&self, lease, term).await {
                    Remedy::BeginAgain => pause = Pause::new(),
                    Remedy::Wait => {
                        self.tell(State::Failing);
                        pause.wait().await;
                    }
                    Remedy::Stop => return self.tell(State::Stopped),
                },
                Ok(None) => {
                    self.follow().await;
                    pause = Pause::new();
                }
                Err(error) => {
                    tracing::warn!(cause = %chain(&error), "read tables cannot be reached");
                    self.tell(State::Failing);
                    pause.wait().await;
                }
            }
        }
    }

    pub(super) fn tell(&self, state: State) {
        self.readiness.set(Part::ReadTables, state);
    }

    /// Tells how far another node has brought the tables, until it is time to look whether that node
    /// still does.
    async fn follow(&self) {
        let round = self.lease.as_ref().map_or(ROUND, |lease| lease.period() / 3);
        let until = Instant::now() + round;
        let mut pause = Pause::new();
        let mut level_at = Instant::now();
        while Instant::now() < until {
            match self.tables.position().await {
                Ok(position) => {
                    self.progress.advance(position);
                    let head = self.head.borrow().map(|head| head.position);
                    if head.is_some_and(|head| position >= head) {
                        self.tell(State::Ready);
                        level_at = Instant::now();
                    } else if head.is_some() && level_at.elapsed() > LATE {
                        self.tell(State::Failing);
                    }
                    self.tables.changed().await;
                }
                Err(error) => {
                    tracing::warn!(cause = %chain(&error), "read tables cannot be read");
                    self.tell(State::Failing);
                    pause.wait().await;
                }
            }
        }
    }
}
