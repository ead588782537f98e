//! Follows the journal with the read tables. The node that holds the lease applies events to them; all
//! other nodes watch the position that the tables include.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::future::BoxFuture;
use keyledger_domain::{Place, Position, RecordedEvent, chain};
use keyledger_projections::{Epoch, PROJECTION_BATCH, Projector, ReadTables, WriteError};
use tokio::sync::watch;

use super::Head;
use crate::backoff::Backoff;
use crate::readiness::State;
use crate::{Follower, Health, Interruption, Pace, Progress, ReadyWhen};

/// How long the read tables may be behind the journal's head before they count as failing.
const LATE: Duration = Duration::from_secs(5);
/// The duration of one call of [`watch_for`] on a node that never applies events.
const ROUND: Duration = Duration::from_secs(2);

/// Why the read tables cannot follow the journal.
#[derive(Debug, thiserror::Error)]
enum TablesError {
    #[error("the read tables are written without a lease")]
    NoLease,
    #[error("the events cannot be applied")]
    Write(#[from] WriteError),
    #[error("the read tables included position {shown}, and include only {tables} now")]
    WentBack { tables: Position, shown: Position },
}

impl From<WriteError> for Interruption {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Superseded => Self::restart(TablesError::Write(error)),
            WriteError::Database(_) => Self::retry(TablesError::Write(error)),
            // Stop: skipping an event could skip a revocation.
            WriteError::EventOutOfStep { .. } | WriteError::RowsOutOfStep => {
                Self::stop(TablesError::Write(error))
            }
        }
    }
}

/// Applies events to the read tables.
#[derive(Debug)]
pub struct TablesFollower {
    tables: ReadTables,
    /// The journal's head, as last asked for.
    head: watch::Receiver<Option<Head>>,
    /// The position that queries include. [`Following`](crate::Following) advances it.
    progress: Progress,
    projector: Option<Projector>,
}

impl TablesFollower {
    /// A follower that is not loaded yet.
    #[must_use]
    pub fn new(
        tables: ReadTables,
        head: watch::Receiver<Option<Head>>,
        progress: Progress,
    ) -> Self {
        Self { tables, head, progress, projector: None }
    }
}

#[async_trait]
impl Follower for TablesFollower {
    fn pace(&self) -> Pace {
        Pace {
            batch: PROJECTION_BATCH,
            gather: Duration::ZERO,
            tick: None,
            ready: ReadyWhen::ItSays,
        }
    }

    async fn load(&mut self, epoch: Option<Epoch>) -> Result<Place, Interruption> {
        let epoch = epoch.ok_or(Interruption::stop(TablesError::NoLease))?;
        let projector = Projector::load(&self.tables, epoch).await?;
        let position = self.projector.insert(projector).position();
        Ok(Place::at(position))
    }

    async fn apply(
        &mut self,
        events: &[RecordedEvent],
        to: Position,
    ) -> Result<Place, Interruption> {
        let projector = self.projector.as_mut();
        let projector = projector.ok_or(Interruption::restart(TablesError::NoLease))?;
        let from = Place::at(projector.position());
        projector.apply(events, to).await?;
        Ok(from.after(events, to))
    }

    fn beside(&self, health: &Health) -> BoxFuture<'static, Interruption> {
        let (tables, head, progress) =
            (self.tables.clone(), self.head.clone(), self.progress.clone());
        Box::pin(report_lag(tables, head, progress, health.clone()))
    }

    async fn stand_by(&mut self, health: &Health, period: Duration) {
        watch_for(period / 3, &self.tables, &self.head, &self.progress, health).await;
    }

    fn remedy(&self) -> &'static str {
        "the read tables contradict the journal: find the cause, run `keyledger rebuild`, then \
         restart this node"
    }
}

/// Reports whether the tables keep up with the journal's head. Interrupts the follower when the tables
/// have lost events: their commits do not wait for the disk, so a database that crashed may have lost
/// the last ones.
async fn report_lag(
    tables: ReadTables,
    mut head: watch::Receiver<Option<Head>>,
    progress: Progress,
    health: Health,
) -> Interruption {
    // Whether the tables have reached the reported position since the last load. After a loss of
    // commits they first have to catch up again.
    let mut is_complete = false;
    let mut was_level = false;
    loop {
        let asked = *head.borrow_and_update();
        if let Some(Head { position, .. }) = asked {
            let shown = progress.current();
            match tables.position().await {
                Ok(tables) if tables >= shown => is_complete = true,
                Ok(tables) if is_complete => {
                    return Interruption::restart(TablesError::WentBack { tables, shown });
                }
                Ok(_) | Err(_) => {}
            }
            let is_level = is_complete && progress.wait_for(position, LATE).await.is_ok();
            was_level |= is_level;
            // Until the tables have caught up once, the part is starting rather than failing.
            if was_level {
                health.set(if is_level { State::Ready } else { State::Failing });
            }
        }
        // The sender lives as long as the process.
        if head.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Watches the position that the tables include, on a node that never applies events. Runs for as long
/// as the process lives.
pub async fn watch_tables(
    tables: ReadTables,
    head: watch::Receiver<Option<Head>>,
    progress: Progress,
    health: Health,
) {
    health.set(State::Starting);
    loop {
        watch_for(ROUND, &tables, &head, &progress, &health).await;
    }
}

/// Watches for this long which position the tables include, while another node applies events.
async fn watch_for(
    time: Duration,
    tables: &ReadTables,
    head: &watch::Receiver<Option<Head>>,
    progress: &Progress,
    health: &Health,
) {
    let until = Instant::now() + time;
    let mut backoff = Backoff::new();
    let mut level_at = Instant::now();
    while Instant::now() < until {
        match tables.position().await {
            Ok(position) => {
                progress.advance(position);
                let head = head.borrow().map(|head| head.position);
                if head.is_some_and(|head| position >= head) {
                    health.set(State::Ready);
                    level_at = Instant::now();
                } else if head.is_some() && level_at.elapsed() > LATE {
                    health.set(State::Failing);
                }
                tables.changed().await;
            }
            Err(error) => {
                tracing::warn!(cause = %chain(&error), "read tables cannot be read");
                health.set(State::Failing);
                backoff.wait().await;
            }
        }
    }
}
