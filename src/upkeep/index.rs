//! Keeps the index that verifies keys level with the journal, and proves it.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use keyledger_domain::{Position, Timestamp};
use keyledger_projections::verification::{Freshness, IndexWriter, Verification};
use keyledger_projections::{ProjectionError, QueryError, ReadTables};
use tokio::sync::watch;

use super::journal::Head;
use crate::clock::Clock;
use crate::journal::{JournalReader, ReadError};
use crate::metrics::Counters;
use crate::pause::Pause;
use crate::readiness::{Part, Readiness, State};
use crate::telemetry::chain;

/// Why the index cannot be used.
#[derive(Debug, thiserror::Error)]
enum Interruption {
    #[error("the index cannot be loaded")]
    Load(#[from] QueryError),
    #[error("the journal's head cannot be read")]
    Head(#[source] ReadError),
    #[error("the read tables include position {tables}, but the journal ends at {head}")]
    OtherJournal { tables: Position, head: Position },
    #[error(transparent)]
    Follow(#[from] ProjectionError<ReadError>),
}

impl Interruption {
    /// Whether another try makes sense before someone has looked at it.
    fn is_passing(&self) -> bool {
        match self {
            Self::Load(error) => error.is_unavailable(),
            Self::Head(_) => true,
            Self::OtherJournal { .. } => false,
            Self::Follow(error) => match error {
                ProjectionError::Source(error) => matches!(error, ReadError::Unavailable(_)),
                ProjectionError::SourceEnded => true,
                ProjectionError::Write(_) => false,
            },
        }
    }
}

/// The index of a node that verifies keys.
#[derive(Debug)]
pub struct IndexUpkeep {
    /// Where the events come from.
    pub journal: Arc<dyn JournalReader>,
    /// Where the keys are loaded from.
    pub tables: ReadTables,
    /// Where the index goes once it is loaded.
    pub verification: Arc<OnceLock<Verification>>,
    /// How long a proof that it is level holds.
    pub max_staleness: Duration,
    /// The journal's head, as last asked for.
    pub head: watch::Receiver<Option<Head>>,
    /// Where it is told whether keys can be verified.
    pub readiness: Readiness,
    /// Where it is told how long revocations take.
    pub counters: Counters,
    /// The clock that events are dated by.
    pub clock: Arc<dyn Clock>,
}

impl IndexUpkeep {
    /// Keeps it level for as long as the process lives. An event that cannot be applied ends that,
    /// with an alarm; the proof that the index is level soon ends too.
    pub async fn keep_level(self) {
        let mut pause = Pause::new();
        let writer = loop {
            match self.load().await {
                Ok(writer) => break writer,
                Err(interruption) if interruption.is_passing() => {
                    tracing::warn!(cause = %chain(&interruption), "index interrupted");
                    self.tell(State::Failing);
                    pause.wait().await;
                }
                Err(interruption) => return self.stop(&interruption),
            }
        };
        let index = writer.index();
        let freshness = Freshness::new(self.max_staleness);
        let verification = self.verification.get_or_init(|| Verification { index, freshness });
        tokio::join!(self.follow(writer), self.prove(verification));
    }

    async fn load(&self) -> Result<IndexWriter, Interruption> {
        let begun = Instant::now();
        let writer = IndexWriter::load(&self.tables).await?;
        let head = self.journal.barrier().await.map_err(Interruption::Head)?;
        let tables = writer.position();
        if tables > head {
            return Err(Interruption::OtherJournal { tables, head });
        }
        let duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(keys = writer.index().len(), duration_ms, "index loaded");
        Ok(writer)
    }

    async fn follow(&self, mut writer: IndexWriter) {
        let began = self.clock.now();
        let mut pause = Pause::new();
        loop {
            let before = writer.position();
            let events = self.journal.subscribe(before);
            let followed = writer.follow(events, |ended| {
                let at = ended.event.occurred_at();
                // What was ended before this process followed tells nothing of how fast it is.
                if at >= began {
                    self.counters.revocation_lag.observe(seconds_between(at, self.clock.now()));
                }
            });
            let interruption = match followed.await {
                Ok(()) => Interruption::Follow(ProjectionError::SourceEnded),
                Err(error) => error.into(),
            };
            if !interruption.is_passing() {
                return self.stop(&interruption);
            }
            tracing::warn!(cause = %chain(&interruption), "index interrupted");
            if writer.position() > before {
                pause = Pause::new();
            }
            pause.wait().await;
        }
    }

    /// Proves again and again that the index is level, as of each time that the head was asked for.
    async fn prove(&self, verification: &Verification) {
        let mut heads = self.head.clone();
        let patience = self.max_staleness / 4;
        loop {
            let head = *heads.borrow_and_update();
            if let Some(Head { position, asked }) = head {
                let reached = verification.index.progress().wait_for(position, patience).await;
                if reached.is_ok() {
                    verification.freshness.prove(asked);
                }
            }
            if !self.readiness.is(Part::Verification, State::Stopped) {
                let is_known = verification.knows();
                let is_late = verification.freshness.staleness(Instant::now()).is_some();
                self.tell(match (is_known, is_late) {
                    (true, _) => State::Ready,
                    (false, true) => State::Failing,
                    (false, false) => State::Starting,
                });
            }
            // The other end is only dropped when the process ends.
            let _ = tokio::time::timeout(patience, heads.changed()).await;
        }
    }

    /// What cannot be read may be a revocation: from now on nothing is said of any key.
    fn stop(&self, interruption: &Interruption) {
        if let Some(verification) = self.verification.get() {
            verification.freshness.owe(Position::MAX);
        }
        tracing::error!(
            cause = %chain(interruption),
            "verification stopped: no key is verified before someone has looked into the cause"
        );
        self.tell(State::Stopped);
    }

    fn tell(&self, state: State) {
        self.readiness.set(Part::Verification, state);
    }
}

fn seconds_between(from: Timestamp, to: Timestamp) -> f64 {
    let micros = to.unix_micros().saturating_sub(from.unix_micros()).max(0);
    Duration::from_micros(micros.unsigned_abs()).as_secs_f64()
}
