//! Follows the journal with the read tables. The node that holds the lease applies events to them; all
//! other nodes watch the position that the tables include.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::future::BoxFuture;
use keyledger_domain::{ClosedKey, KeyId, Position, Reached, RecordedEvent, chain};
use keyledger_journal::{Cause, JournalReader, ReadError};
use keyledger_projections::{
    Epoch, PROJECTION_BATCH, Projector, QueryError, ReadTables, Rebuild, RebuildError, Rebuilt,
    WriteError, rebuild,
};
use tokio::sync::watch;

use super::Head;
use crate::backoff::Backoff;
use crate::follow::Lost;
use crate::readiness::State;
use crate::{Follower, Health, History, Interruption, Pace, Progress, Reads, ReadyWhen};

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
    #[error("the read tables cannot be read")]
    Query(#[source] QueryError),
    #[error("the journal cannot be asked for the events of a key")]
    Ask(#[source] ReadError),
    #[error("the events of key {key_id}, which is closed, can be read")]
    Reopened { key_id: KeyId },
    #[error("the read tables cannot be built anew")]
    Rebuild(#[from] RebuildError<ReadError>),
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
    projector: Option<Projector>,
    journal: Arc<dyn JournalReader>,
    history: History,
}

impl TablesFollower {
    /// A follower that is not loaded yet.
    #[must_use]
    pub fn new(
        tables: ReadTables,
        head: watch::Receiver<Option<Head>>,
        journal: Arc<dyn JournalReader>,
        history: History,
    ) -> Self {
        Self { tables, head, projector: None, journal, history }
    }

    /// A key that is closed since an event of it could not be read, and whose events this version can read.
    async fn readable(&self) -> Result<Option<KeyId>, Interruption> {
        let unreadable = self.tables.unreadable().await;
        let unreadable = unreadable.map_err(|error| {
            Interruption::retry_if(error.is_passing(), TablesError::Query(error))
        })?;
        for key_id in unreadable {
            match self.journal.read(key_id).await {
                Ok(_) => return Ok(Some(key_id)),
                Err(error) if error.is_passing() => {
                    return Err(Interruption::retry(TablesError::Ask(error)));
                }
                Err(_) => {}
            }
        }
        Ok(None)
    }

    /// What to do when one of these events does not follow its key's last one. If the journal says that a
    /// key is closed, a rebuild finds which events are missing.
    async fn out_of_step(&self, events: &[RecordedEvent], error: WriteError) -> Interruption {
        for key_id in events.iter().map(|event| event.event.key_id()).collect::<BTreeSet<_>>() {
            match self.journal.read(key_id).await {
                Err(ReadError::Closed(closure)) => {
                    tracing::error!(%key_id, "the read tables are built anew, since a key is closed: {closure}");
                    return self.build_anew(TablesError::Write(error)).await;
                }
                Err(error) if error.is_passing() => {
                    return Interruption::retry(TablesError::Ask(error));
                }
                Ok(_) | Err(_) => {}
            }
        }
        error.into()
    }

    /// Replaces the tables by new ones that are built from the journal, because of this.
    async fn build_anew(
        &self,
        cause: impl std::error::Error + Send + Sync + 'static,
    ) -> Interruption {
        let rebuilt = async {
            let build = Rebuild::begin(&self.tables).await?;
            let deliveries = self.journal.subscribe_to_keys(Position::START);
            let rebuilt = build.run(deliveries, self.journal.head(), |_| {}).await?;
            rebuild::clear(&self.tables).await?;
            Ok::<_, RebuildError<ReadError>>(rebuilt)
        };
        match rebuilt.await {
            Ok(Rebuilt { events, closed, .. }) => {
                tracing::info!(events, closed, "the read tables are built anew");
                Interruption::restart(cause)
            }
            Err(error) => Interruption::retry(TablesError::Rebuild(error)),
        }
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
            reads: Reads::Keys,
        }
    }

    async fn load(&mut self, epoch: Option<Epoch>) -> Result<Reached, Interruption> {
        let epoch = epoch.ok_or(Interruption::stop(TablesError::NoLease))?;
        if let Some(key_id) = self.readable().await? {
            tracing::warn!(%key_id, "the events of a closed key can be read: the read tables are built anew");
            return Err(self.build_anew(TablesError::Reopened { key_id }).await);
        }
        let projector = Projector::load(&self.tables, epoch).await?;
        Ok(self.projector.insert(projector).reached())
    }

    async fn apply(
        &mut self,
        events: &[RecordedEvent],
        closed: &[ClosedKey],
        to: Position,
    ) -> Result<Reached, Interruption> {
        let projector = self.projector.as_mut();
        let projector = projector.ok_or(Interruption::restart(TablesError::NoLease))?;
        match projector.apply(events, closed, to).await {
            Ok(()) => Ok(projector.reached()),
            Err(error @ (WriteError::EventOutOfStep { .. } | WriteError::RowsOutOfStep)) => {
                Err(self.out_of_step(events, error).await)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn beside(&self, health: &Health) -> BoxFuture<'static, Interruption> {
        let (tables, head) = (self.tables.clone(), self.head.clone());
        Box::pin(report_lag(tables, head, self.history.tables().clone(), health.clone()))
    }

    async fn stand_by(&mut self, health: &Health, period: Duration) {
        let watch = Watch {
            tables: &self.tables,
            journal: &*self.journal,
            history: &self.history,
            head: &self.head,
        };
        watch.run(period / 3, health).await;
    }

    /// Builds the tables anew from the journal, beside the old ones.
    async fn lost(&mut self, lost: Lost, _: &Arc<dyn JournalReader>) -> Interruption {
        let cause = chain(&lost);
        tracing::error!(cause, "the read tables are of another history: they are built anew");
        if let Lost::Event { changed, .. } = &lost {
            self.history.lost_before(changed.lost);
        }
        self.build_anew(lost).await
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
            match tables.reached().await.map(|reached| reached.position) {
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
    journal: Arc<dyn JournalReader>,
    history: History,
    head: watch::Receiver<Option<Head>>,
    health: Health,
) {
    health.set(State::Starting);
    let watch = Watch { tables: &tables, journal: &*journal, history: &history, head: &head };
    loop {
        watch.run(ROUND, &health).await;
    }
}

/// What is needed to watch the tables while another node applies events to them.
struct Watch<'a> {
    tables: &'a ReadTables,
    journal: &'a dyn JournalReader,
    history: &'a History,
    head: &'a watch::Receiver<Option<Head>>,
}

impl Watch<'_> {
    /// Watches for this long which position the tables include.
    async fn run(&self, time: Duration, health: &Health) {
        let until = Instant::now() + time;
        let mut backoff = Backoff::new();
        let mut level_at = Instant::now();
        // The history that the tables were checked against.
        let mut checked = None;
        while Instant::now() < until {
            match self.look(&mut checked).await {
                Ok(Some(position)) => {
                    let head = self.head.borrow().map(|head| head.position);
                    if head.is_some_and(|head| position >= head) {
                        health.set(State::Ready);
                        level_at = Instant::now();
                    } else if head.is_some() && level_at.elapsed() > LATE {
                        health.set(State::Failing);
                    }
                    self.tables.changed().await;
                }
                // Of another history: the node that applies events builds them anew.
                Ok(None) => {
                    health.set(State::Failing);
                    self.tables.changed().await;
                }
                Err(error) => {
                    tracing::warn!(cause = %chain(&*error), "read tables cannot be watched");
                    health.set(State::Failing);
                    backoff.wait().await;
                }
            }
        }
    }

    /// The position that the tables include, which is noted; `None` if they are of another history
    /// than the journal.
    async fn look(&self, checked: &mut Option<u64>) -> Result<Option<Position>, Cause> {
        let generation = self.history.generation();
        let reached = self.tables.reached().await?;
        if *checked != Some(generation) {
            if let Some(last) = reached.last
                && self.journal.holds(last).await? == Some(false)
            {
                return Ok(None);
            }
            *checked = Some(generation);
        }
        let is_same = self.history.advance(generation, self.history.tables(), reached);
        Ok(is_same.then_some(reached.position))
    }
}
