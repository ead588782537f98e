//! Applies the journal to the verification index, and proves that the index has caught up.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::future::BoxFuture;
use keyledger_domain::{Place, Position, RecordedEvent, Timestamp};
use keyledger_projections::{Epoch, PROJECTION_BATCH, QueryError, ReadTables};
use keyledger_verifier::{Freshness, IndexWriter, OutOfStep, Verification};
use prometheus_client::metrics::histogram::Histogram;
use tokio::sync::{Notify, watch};

use super::Head;
use crate::readiness::State;
use crate::{Follower, Health, Interruption, Pace, Progress, ReadyWhen};
use keyledger_domain::Clock;

/// Why the index cannot follow the journal.
#[derive(Debug, thiserror::Error)]
enum IndexError {
    #[error("the index cannot be loaded")]
    Load(#[from] QueryError),
    #[error("the events cannot be applied to the index")]
    Apply(#[from] OutOfStep),
    #[error("the index is not loaded")]
    NotLoaded,
}

/// Applies events to the verification index of this node.
#[derive(Debug)]
pub struct IndexFollower {
    tables: ReadTables,
    /// Set to the index once it is loaded and checked.
    verification: Arc<OnceLock<Verification>>,
    /// Notified when the index is loaded and checked.
    loaded: Arc<Notify>,
    /// How long a proof that the index has caught up holds.
    max_staleness: Duration,
    /// The time from a key's revocation or deletion until the index includes it, in seconds.
    revocation_lag: Histogram,
    clock: Arc<dyn Clock>,
    /// When this follower was created. Keys that ended before are left out of `revocation_lag`.
    began: Timestamp,
    writer: Option<IndexWriter>,
}

impl IndexFollower {
    /// A follower whose index is not loaded yet.
    #[must_use]
    pub fn new(
        tables: ReadTables,
        verification: Arc<OnceLock<Verification>>,
        loaded: Arc<Notify>,
        max_staleness: Duration,
        revocation_lag: Histogram,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let began = clock.now();
        let writer = None;
        Self { tables, verification, loaded, max_staleness, revocation_lag, clock, began, writer }
    }

    async fn load_index(&self) -> Result<IndexWriter, Interruption> {
        let begun = Instant::now();
        let writer = IndexWriter::load(&self.tables).await;
        let writer = writer
            .map_err(|error| Interruption::retry_if(error.is_passing(), IndexError::Load(error)))?;
        let duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(keys = writer.index().len(), duration_ms, "index loaded");
        Ok(writer)
    }
}

#[async_trait]
impl Follower for IndexFollower {
    fn pace(&self) -> Pace {
        Pace {
            batch: PROJECTION_BATCH,
            gather: Duration::ZERO,
            tick: None,
            ready: ReadyWhen::ItSays,
        }
    }

    /// Loads the index from the key table the first time. Later calls keep the index and continue from
    /// its position.
    async fn load(&mut self, _: Option<Epoch>) -> Result<Place, Interruption> {
        if self.writer.is_none() {
            self.writer = Some(self.load_index().await?);
        }
        let writer = self.writer.as_ref();
        let writer = writer.ok_or(Interruption::restart(IndexError::NotLoaded))?;
        Ok(Place::at(writer.position()))
    }

    async fn apply(
        &mut self,
        events: &[RecordedEvent],
        to: Position,
    ) -> Result<Place, Interruption> {
        let writer = self.writer.as_mut();
        let writer = writer.ok_or(Interruption::restart(IndexError::NotLoaded))?;
        let from = Place::at(writer.position());
        let ended = |ended: &RecordedEvent| {
            let at = ended.event.occurred_at();
            if at >= self.began {
                self.revocation_lag.observe(seconds_between(at, self.clock.now()));
            }
        };
        // Stop: an event is missing, and it may be a revocation.
        let applied = writer.apply(events, to, ended);
        applied.map_err(|error| Interruption::stop(IndexError::Apply(error)))?;
        Ok(from.after(events, to))
    }

    /// Lets verifications use the index, which was just checked not to be beyond the journal's head.
    fn beside(&self, _: &Health) -> BoxFuture<'static, Interruption> {
        if let Some(writer) = &self.writer {
            self.verification.get_or_init(|| Verification {
                index: writer.index(),
                freshness: Freshness::new(self.max_staleness),
            });
            self.loaded.notify_one();
        }
        Box::pin(std::future::pending())
    }

    /// Once the index is loaded, [`prove`] alone sets the state of the part.
    fn interrupted(&mut self, health: &Health) {
        if self.writer.is_none() {
            health.set(State::Failing);
        }
    }

    fn remedy(&self) -> &'static str {
        "this node verifies no key any more: find the cause, then restart this node"
    }

    /// Requires answers to include an unreachable position, so that no verification is answered.
    fn stopped(&mut self) {
        if let Some(verification) = self.verification.get() {
            verification.freshness.owe(Position::MAX);
        }
    }
}

/// Waits until the index is loaded. Then proves that it has caught up, as of each moment at which the
/// journal's head was asked for, and reports whether keys can be verified. Runs for as long as the
/// process lives.
pub async fn prove(
    verification: Arc<OnceLock<Verification>>,
    loaded: Arc<Notify>,
    reached: Progress,
    mut head: watch::Receiver<Option<Head>>,
    max_staleness: Duration,
    health: Health,
) {
    loaded.notified().await;
    let Some(verification) = verification.get() else { return };
    let patience = max_staleness / 4;
    loop {
        let asked = *head.borrow_and_update();
        if let Some(Head { position, asked }) = asked
            && reached.wait_for(position, patience).await.is_ok()
        {
            verification.freshness.prove(asked);
        }
        if !health.is(State::Stopped) {
            let is_known = verification.knows();
            let is_late = verification.freshness.staleness(Instant::now()).is_some();
            health.set(match (is_known, is_late) {
                (true, _) => State::Ready,
                (false, true) => State::Failing,
                (false, false) => State::Starting,
            });
        }
        // The sender lives as long as the process.
        let _ = tokio::time::timeout(patience, head.changed()).await;
    }
}

fn seconds_between(from: Timestamp, to: Timestamp) -> f64 {
    let micros = to.unix_micros().saturating_sub(from.unix_micros()).max(0);
    Duration::from_micros(micros.unsigned_abs()).as_secs_f64()
}
