//! Appends events to the transparency log, and signs checkpoints of it, while this node holds the
//! lease.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::future::BoxFuture;
use keyledger_domain::{Batch, Clock, ClosedKey, Position, Reached, RecordedEvent, chain};
use keyledger_journal::{JournalReader, ReadError};
use keyledger_projections::log::{LOG_BATCH, LogReader, LogWriteError, LogWriter};
use keyledger_projections::{Epoch, Lease, ReadTables, WriteError};
use keyledger_tlog::{Checkpoint, CheckpointError, CheckpointFile, CheckpointFileError, LogKeys};
use tokio::sync::Notify;

use crate::readiness::State;
use crate::{Follower, Health, Interruption, Pace, Reads, ReadyWhen};

/// How long events are gathered before they are appended. Larger batches leave more of the database's
/// time to the projector, which writes to the same database.
const GATHER: Duration = Duration::from_millis(100);

/// The maximum number of tiles that are checked when the follower is first loaded: 8 MiB, of 262,144
/// hashes.
const CHECKED_TILES: usize = 1_024;

/// Why events cannot be appended to the log, or the log cannot be signed.
#[derive(Debug, thiserror::Error)]
enum LogError {
    #[error("the log is written without a lease")]
    NoLease,
    #[error(transparent)]
    Tree(#[from] LogWriteError),
    #[error("the checkpoint cannot be signed")]
    Sign(#[from] CheckpointError),
    #[error("the checkpoint file {} cannot be used", .0.display())]
    File(PathBuf, #[source] CheckpointFileError),
    #[error("the tree does not continue the last checkpoint, of {size} events, in {}", .path.display())]
    NotContinued { path: PathBuf, size: u64 },
    #[error("the events cannot be read")]
    Events(#[source] ReadError),
    #[error("the subscription to the journal has ended")]
    Ended,
}

impl LogError {
    /// Whether another attempt may succeed without an operator's help.
    fn is_passing(&self) -> bool {
        match self {
            Self::Tree(LogWriteError::Write(error)) => {
                matches!(error, WriteError::Superseded | WriteError::Database(_))
            }
            Self::Tree(LogWriteError::Read(error)) => error.is_passing(),
            Self::Events(error) => error.is_passing(),
            Self::Sign(_) | Self::File(_, CheckpointFileError::Io(_)) | Self::Ended => true,
            Self::NoLease
            | Self::File(_, CheckpointFileError::Damaged(_))
            | Self::NotContinued { .. }
            | Self::Tree(
                LogWriteError::Entry { .. }
                | LogWriteError::Full(_)
                | LogWriteError::NotContinued { .. },
            ) => false,
        }
    }
}

impl From<LogError> for Interruption {
    fn from(error: LogError) -> Self {
        Self::retry_if(error.is_passing(), error)
    }
}

impl From<WriteError> for LogError {
    fn from(error: WriteError) -> Self {
        Self::Tree(error.into())
    }
}

/// How the transparency log is signed.
#[derive(Debug)]
pub struct LogSettings {
    /// The signing keys. Every checkpoint is signed with all of them.
    pub keys: LogKeys,
    /// The time between two checkpoints while events arrive.
    pub interval: Duration,
    /// The path of the file that signed checkpoints are appended to.
    pub checkpoints: PathBuf,
}

/// Publishes signed checkpoints on the node that signs them.
pub trait Publisher: std::fmt::Debug + Send + Sync {
    /// Publishes all checkpoints that are not published yet, and new ones as they are signed, until
    /// the future is dropped.
    fn publish(self: Arc<Self>) -> BoxFuture<'static, ()>;

    /// Publishes all checkpoints that are not published yet, then returns.
    fn publish_rest(&self) -> BoxFuture<'_, ()>;

    /// Called while another node signs and publishes.
    fn stand_by(&self);
}

/// Appends events to the transparency log, and signs checkpoints of it.
#[derive(Debug)]
pub struct LogFollower {
    /// Where the log is stored.
    pub tables: ReadTables,
    /// The signing keys, the interval and the checkpoint file.
    pub settings: Arc<LogSettings>,
    /// Publishes the checkpoints; `None` if they are not published.
    pub publisher: Option<Arc<dyn Publisher>>,
    /// Notified after each signing.
    pub signed: Arc<Notify>,
    /// The clock that gives the times of checkpoints.
    pub clock: Arc<dyn Clock>,
    /// The writer of the stored log; `None` until the follower is loaded.
    pub writer: Option<LogWriter>,
    /// Whether the stored tiles were checked. They are when the follower is first loaded.
    pub is_checked: bool,
}

impl LogFollower {
    /// A follower with the same settings that is not loaded.
    #[must_use]
    pub fn afresh(&self) -> Self {
        Self {
            tables: self.tables.clone(),
            settings: self.settings.clone(),
            publisher: self.publisher.clone(),
            signed: self.signed.clone(),
            clock: self.clock.clone(),
            writer: None,
            is_checked: false,
        }
    }

    fn loaded(&mut self) -> Result<&mut LogWriter, LogError> {
        self.writer.as_mut().ok_or(LogError::NoLease)
    }

    /// Works with the checkpoint file, on a thread that may wait for the disk.
    async fn with_file<T: Send + 'static>(
        &self,
        work: impl FnOnce(CheckpointFile) -> Result<T, CheckpointFileError> + Send + 'static,
    ) -> Result<T, LogError> {
        let path = &self.settings.checkpoints;
        let file = CheckpointFile::new(path, &self.settings.keys);
        let done = tokio::task::spawn_blocking(move || work(file)).await;
        let done = done.unwrap_or_else(|panic| Err(std::io::Error::from(panic).into()));
        done.map_err(|error| LogError::File(path.clone(), error))
    }

    /// Checks that the tree has the root of the last checkpoint in the file at that checkpoint's
    /// size; returns the size. A tree that is smaller passes.
    async fn check_file(&mut self) -> Result<u64, LogError> {
        let last = self.with_file(|file| file.last()).await?;
        let Some(Checkpoint { size, root, .. }) = last else { return Ok(0) };
        let path = self.settings.checkpoints.clone();
        let writer = self.loaded()?;
        if size <= writer.state().size {
            let checked = writer.check_root(size, root).await;
            if let Err(LogWriteError::NotContinued { size }) = checked {
                return Err(LogError::NotContinued { path, size });
            }
            checked?;
        }
        Ok(size)
    }

    /// Signs a checkpoint, if the log has grown since the last one: checks that it continues the
    /// last one in the file, stores its size and root in the database, signs it, appends the note to
    /// the file, and stores the note in the database. The log must include all events of the
    /// journal.
    async fn sign(&mut self) -> Result<(), LogError> {
        if !self.loaded()?.is_unsigned() {
            return Ok(());
        }
        let signed = self.check_file().await?;
        let LogSettings { keys, checkpoints, .. } = &*self.settings.clone();
        let now = self.clock.now();
        let writer = self.loaded()?;
        if signed > writer.state().size {
            return Err(LogError::NotContinued { path: checkpoints.clone(), size: signed });
        }
        let Some(checkpoint) = writer.checkpoint(keys.origin(), now).await? else {
            return Ok(());
        };
        let note = checkpoint.sign(keys.all())?.to_string();
        let text = note.clone();
        let removed = self.with_file(move |file| file.append(&text)).await?;
        if removed > 0 {
            let file = checkpoints.display().to_string();
            tracing::warn!(file, removed, "an incomplete checkpoint was removed from its file");
        }
        self.loaded()?.keep(&checkpoint, &note).await?;
        self.signed.notify_one();
        tracing::info!(size = checkpoint.size, root = %checkpoint.root, "checkpoint signed");
        Ok(())
    }

    /// Appends all events of the journal that the log lacks, then signs a checkpoint.
    async fn catch_up(
        &mut self,
        journal: &dyn JournalReader,
        epoch: Epoch,
    ) -> Result<(), LogError> {
        let writer = LogWriter::load(&self.tables, epoch).await?;
        let writer = self.writer.insert(writer);
        let events = journal.subscribe(writer.state().position);
        let mut batches = std::pin::pin!(events.ready_chunks(LOG_BATCH));
        while let Some(deliveries) = batches.next().await {
            let batch = Batch::gather(deliveries);
            let position = writer.state().position;
            let to = batch.reaches(position);
            if to > position {
                writer.append(&batch.events, to).await?;
            }
            if let Some(error) = batch.failure {
                return Err(LogError::Events(error));
            }
            if batch.caught_up.is_some() {
                return self.sign().await;
            }
        }
        Err(LogError::Ended)
    }
}

#[async_trait]
impl Follower for LogFollower {
    fn pace(&self) -> Pace {
        Pace {
            batch: LOG_BATCH,
            gather: GATHER,
            tick: Some(self.settings.interval),
            ready: ReadyWhen::CaughtUp,
            reads: Reads::Events,
        }
    }

    async fn load(&mut self, epoch: Option<Epoch>) -> Result<Reached, Interruption> {
        let epoch = epoch.ok_or(LogError::NoLease)?;
        let writer = LogWriter::load(&self.tables, epoch).await.map_err(LogError::from)?;
        let reached = self.writer.insert(writer).reached();
        self.check_file().await?;
        if !self.is_checked {
            let tree = LogReader::new(&self.tables);
            tree.check_tiles(CHECKED_TILES).await.map_err(|error| LogError::Tree(error.into()))?;
            self.is_checked = true;
        }
        Ok(reached)
    }

    async fn apply(
        &mut self,
        events: &[RecordedEvent],
        _: &[ClosedKey],
        to: Position,
    ) -> Result<Reached, Interruption> {
        let writer = self.loaded()?;
        writer.append(events, to).await.map_err(LogError::from)?;
        Ok(writer.reached())
    }

    async fn tick(&mut self, caught_up: bool) -> Result<(), Interruption> {
        if caught_up {
            self.sign().await?;
        }
        Ok(())
    }

    fn beside(&self, _: &Health) -> BoxFuture<'static, Interruption> {
        let publisher = self.publisher.clone();
        Box::pin(async move {
            if let Some(publisher) = publisher {
                publisher.publish().await;
            }
            std::future::pending().await
        })
    }

    async fn stand_by(&mut self, health: &Health, period: Duration) {
        health.set(State::Ready);
        if let Some(publisher) = &self.publisher {
            publisher.stand_by();
        }
        tokio::time::sleep(period / 3).await;
    }

    fn remedy(&self) -> &'static str {
        "no checkpoint is signed: compare the log with the journal (keyledger audit rebuild), then \
         restart this node"
    }
}

/// Appends the remaining events of the journal to the log and signs a checkpoint, before the process
/// ends. Returns whether this node holds the lease; only that node does so.
pub async fn sign_last(
    follower: &LogFollower,
    journal: &dyn JournalReader,
    lease: &Lease,
    health: &Health,
) -> bool {
    if health.is(State::Stopped) {
        return false;
    }
    let unsigned = |cause: String| tracing::warn!(cause, "the last checkpoint is not signed");
    match lease.claim().await {
        Ok(Some(epoch)) => {
            if let Err(error) = follower.afresh().catch_up(journal, epoch).await {
                unsigned(chain(&error));
            }
            true
        }
        Ok(None) => false,
        Err(error) => {
            unsigned(chain(&error));
            false
        }
    }
}
