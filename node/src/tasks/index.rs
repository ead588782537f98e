//! Applies the journal to the verification index, and proves that the index has caught up.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::future::BoxFuture;
use keyledger_domain::{Clock, ClosedKey, Position, Reached, RecordedEvent, Timestamp, chain};
use keyledger_journal::{JournalReader, ReadError};
use keyledger_projections::{Epoch, PROJECTION_BATCH, QueryError, ReadTables};
use keyledger_verifier::{IndexWriter, OutOfStep, Verification};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use tokio::sync::{Notify, watch};

use super::{Head, usage};
use crate::follow::Lost;
use crate::readiness::State;
use crate::{Follower, Health, History, Interruption, Pace, Reads, ReadyWhen};

/// Why the index cannot follow the journal.
#[derive(Debug, thiserror::Error)]
enum IndexError {
    #[error("the index cannot be loaded")]
    Load(#[from] QueryError),
    #[error("the events cannot be applied to the index")]
    Apply(#[from] OutOfStep),
    #[error("the journal cannot be asked for the events of a key")]
    Ask(#[source] ReadError),
    #[error("the index is not loaded")]
    NotLoaded,
}

/// What an [`IndexFollower`] measures.
#[derive(Clone, Debug)]
pub struct IndexMetrics {
    /// The time from a key's revocation or deletion until the index includes it, in seconds.
    pub revocation_lag: Histogram,
    /// How many keys are closed.
    pub closed: Gauge,
}

/// Applies events to the verification index of this node.
#[derive(Debug)]
pub struct IndexFollower {
    tables: ReadTables,
    /// Has the verification that is given the index once it is loaded and checked.
    history: History,
    /// Notified when it has: the head that is asked for then proves it.
    ask: Arc<Notify>,
    /// Asked about a key whose events do not follow each other.
    journal: Arc<dyn JournalReader>,
    /// The time from a key's revocation or deletion until the index includes it, in seconds.
    revocation_lag: Histogram,
    /// How many keys are closed.
    closed: Gauge,
    clock: Arc<dyn Clock>,
    /// When this follower was created. Keys that ended before are left out of `revocation_lag`.
    began: Timestamp,
    loaded: Option<Loaded>,
}

/// An index, and the verification that it is for.
#[derive(Debug)]
struct Loaded {
    writer: IndexWriter,
    verification: Arc<Verification>,
}

impl Loaded {
    fn warn_of_unverifiable_keys(&self) {
        let keys = self.verification.unverifiable();
        if keys > 0 {
            tracing::error!(
                keys,
                "imported keys are refused: set KEYLEDGER_IMPORT_HMAC_SECRETS to the secret of their hashes"
            );
        }
    }
}

impl IndexFollower {
    /// A follower whose index is not loaded yet.
    #[must_use]
    pub fn new(
        tables: ReadTables,
        history: History,
        ask: Arc<Notify>,
        journal: Arc<dyn JournalReader>,
        IndexMetrics { revocation_lag, closed }: IndexMetrics,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let began = clock.now();
        Self { tables, history, ask, journal, revocation_lag, closed, clock, began, loaded: None }
    }

    /// Loads an index from the key table, once that is known to be of the journal's history.
    async fn load_index(&self) -> Result<Loaded, Interruption> {
        self.history.tables().known().await;
        // Taken before the keys are read: if the history changes meanwhile, the index is not used.
        let verification = self.history.verification();
        let begun = Instant::now();
        let writer = IndexWriter::load(&self.tables).await;
        let writer = writer
            .map_err(|error| Interruption::retry_if(error.is_passing(), IndexError::Load(error)))?;
        let duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let closed = writer.closed();
        set(&self.closed, closed);
        tracing::info!(keys = writer.index().len(), closed, duration_ms, "index loaded");
        Ok(Loaded { writer, verification })
    }

    fn loaded(&mut self) -> Result<&mut Loaded, Interruption> {
        self.loaded.as_mut().ok_or(Interruption::restart(IndexError::NotLoaded))
    }

    /// Applies events; afterwards the index includes every event up to `to`. If an event does not follow
    /// the last one of its key, the journal is asked whether the key is closed.
    async fn apply_events(
        &mut self,
        events: &[RecordedEvent],
        to: Position,
    ) -> Result<Reached, Interruption> {
        let (began, clock, lag) = (self.began, self.clock.clone(), self.revocation_lag.clone());
        let ended = |ended: &RecordedEvent| {
            let at = ended.event.occurred_at();
            if at >= began {
                lag.observe(seconds_between(at, clock.now()));
            }
        };
        loop {
            let loaded = self.loaded()?;
            let unverifiable = loaded.verification.unverifiable();
            let writer = &mut loaded.writer;
            let Err(error) = writer.apply(events, to, ended) else {
                let reached = writer.reached();
                if unverifiable == 0 {
                    loaded.warn_of_unverifiable_keys();
                }
                return Ok(reached);
            };
            let OutOfStep { key_id } = error;
            let position = writer.reached().position;
            match self.journal.read(key_id).await {
                Err(ReadError::Closed(closure)) => {
                    self.close(&ClosedKey { key_id, position, closure })?;
                }
                Err(error) if error.is_passing() => {
                    return Err(Interruption::retry(IndexError::Ask(error)));
                }
                // An event is missing, and it may be a revocation.
                Ok(_) | Err(_) => return Err(Interruption::stop(IndexError::Apply(error))),
            }
        }
    }

    /// Closes a key, and raises the alarm that names it.
    fn close(&mut self, key: &ClosedKey) -> Result<(), Interruption> {
        let writer = &mut self.loaded()?.writer;
        if writer.close(key.key_id) {
            let ClosedKey { key_id, position, closure } = key;
            tracing::error!(%key_id, %position, "key closed, and refused from now on: {closure}");
        }
        let closed = writer.closed();
        set(&self.closed, closed);
        Ok(())
    }

    /// Whether the loaded index is for the verification of the present history.
    fn is_current(&self) -> bool {
        let current = self.history.verification();
        self.loaded.as_ref().is_some_and(|loaded| Arc::ptr_eq(&loaded.verification, &current))
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
            reads: Reads::Keys,
        }
    }

    /// Loads the index from the key table the first time, and when the history has changed. Other calls
    /// keep the index and continue from its position.
    async fn load(&mut self, _: Option<Epoch>) -> Result<Reached, Interruption> {
        if !self.is_current() {
            if let Some(former) = self.loaded.take()
                && let Err(error) = usage::record(&former.writer.index(), &self.tables).await
            {
                tracing::warn!(cause = %chain(&error), "last uses of keys are lost");
            }
            self.loaded = Some(self.load_index().await?);
        }
        Ok(self.loaded()?.writer.reached())
    }

    async fn apply(
        &mut self,
        mut events: &[RecordedEvent],
        closed: &[ClosedKey],
        to: Position,
    ) -> Result<Reached, Interruption> {
        // In journal order: a position that the index includes must include what was closed before it.
        for key in closed {
            let before = events.partition_point(|event| event.position < key.position);
            let (earlier, later) = events.split_at_checked(before).unwrap_or((events, &[]));
            self.apply_events(earlier, Position::START).await?;
            self.close(key)?;
            events = later;
        }
        self.apply_events(events, to).await
    }

    /// The index was loaded from tables that another node has replaced since: they are read again.
    async fn lost(&mut self, lost: Lost, _: &Arc<dyn JournalReader>) -> Interruption {
        if let Some(loaded) = self.loaded.take() {
            loaded.verification.owe(Position::MAX);
        }
        Interruption::retry(lost)
    }

    /// Lets verifications use the index, which was just checked against the journal.
    fn beside(&self, _: &Health) -> BoxFuture<'static, Interruption> {
        if let Some(loaded @ Loaded { writer, verification }) = &self.loaded {
            verification.set_index(writer.index());
            loaded.warn_of_unverifiable_keys();
            self.ask.notify_one();
        }
        Box::pin(std::future::pending())
    }

    /// Once the index is loaded, [`prove`] alone sets the state of the part.
    fn interrupted(&mut self, health: &Health) {
        if self.loaded.is_none() {
            health.set(State::Failing);
        }
    }

    fn remedy(&self) -> &'static str {
        "this node verifies no key any more: find the cause, then restart this node"
    }

    /// Requires answers to include an unreachable position, so that no verification is answered.
    fn stopped(&mut self) {
        self.history.verification().owe(Position::MAX);
    }
}

/// Proves that the index has caught up, as of each moment at which the journal's head was asked for, and
/// reports whether keys can be verified. Runs for as long as the process lives.
///
/// The heads that were asked for are kept until the index has reached them, so that an index that lags
/// steadily, by less than the bound, is proven too.
pub async fn prove(
    history: History,
    mut head: watch::Receiver<Option<Head>>,
    clock: Arc<dyn Clock>,
    max_staleness: Duration,
    health: Health,
) {
    let mut reached = history.verified().subscribe();
    let mut asked = VecDeque::new();
    let mut has_answered = false;
    loop {
        tokio::select! {
            // The senders live as long as the process.
            _ = head.changed() => asked.extend(*head.borrow_and_update()),
            _ = reached.changed() => {}
            () = tokio::time::sleep(max_staleness / 4) => {}
        }
        let verification = history.verification();
        if let Some(newest) = newest_reached(&mut asked, reached.borrow_and_update().as_ref()) {
            verification.prove(newest.asked);
        }
        let now = clock.now();
        asked.retain(|head: &Head| head.asked.monotonic.elapsed() < max_staleness);
        if !health.is(State::Stopped) {
            let knows = verification.knows(now);
            has_answered |= knows;
            health.set(match (knows, has_answered) {
                (true, _) => State::Ready,
                (false, true) => State::Failing,
                (false, false) => State::Starting,
            });
        }
    }
}

/// The newest head that the index has reached, which is removed together with the older ones.
fn newest_reached(asked: &mut VecDeque<Head>, reached: Option<&Position>) -> Option<Head> {
    let reached = reached?;
    let mut newest = None;
    while asked.front().is_some_and(|head| head.position <= *reached) {
        newest = asked.pop_front();
    }
    newest
}

fn set(gauge: &Gauge, count: usize) {
    gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
}

fn seconds_between(from: Timestamp, to: Timestamp) -> f64 {
    let micros = to.unix_micros().saturating_sub(from.unix_micros()).max(0);
    Duration::from_micros(micros.unsigned_abs()).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use keyledger_domain::testing::{at, position};
    use keyledger_verifier::Clocks;

    use super::*;

    fn heads(positions: &[u64]) -> VecDeque<Head> {
        let asked = Clocks::now(at(0));
        positions.iter().map(|number| Head { position: position(*number), asked }).collect()
    }

    #[test]
    fn an_index_that_lags_steadily_proves_the_newest_head_that_it_has_reached() {
        let mut asked = heads(&[10, 20, 30]);
        assert_eq!(newest_reached(&mut asked, None), None);
        assert_eq!(newest_reached(&mut asked, Some(&position(9))), None);
        let newest = newest_reached(&mut asked, Some(&position(25))).unwrap();
        assert_eq!((newest.position, asked.len()), (position(20), 1));
        assert_eq!(newest_reached(&mut asked, Some(&position(29))), None);
        assert!(newest_reached(&mut asked, Some(&position(30))).is_some());
    }
}
