//! Keeps the tree over all events, and signs checkpoints of it, while this node holds the lease.
//!
//! It is a reader of the journal of its own, and no part of any request. It gathers what comes for a
//! moment, so that appending to the tree takes little from those who write the read tables.

use std::convert::Infallible;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use keyledger_domain::Position;
use keyledger_projections::audit::CheckpointError;
use keyledger_projections::tree::{TREE_BATCH, TreeError, TreeWriter};
use keyledger_projections::{Delivery, Lease, ReadTables, Term, WriteError};

use crate::clock::Clock;
use crate::config::AuditSettings;
use crate::journal::{JournalReader, ReadError};
use crate::lease::hold;
use crate::pause::Pause;
use crate::readiness::{Part, Readiness, State};
use crate::relay::Checkpoints;
use crate::telemetry::chain;

/// How long events are gathered.
const GATHER: Duration = Duration::from_millis(100);

/// Why the tree no longer follows the journal.
#[derive(Debug, thiserror::Error)]
enum Interruption {
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error("the events cannot be read")]
    Journal(#[from] ReadError),
    #[error("the events ended")]
    Ended,
    #[error("the tree has come to position {tree}, but the journal ends at {head}")]
    OtherJournal { tree: Position, head: Position },
    #[error("the checkpoint cannot be signed")]
    Sign(#[from] CheckpointError),
    #[error("the checkpoint cannot be written to its file")]
    File(#[source] std::io::Error),
}

impl Interruption {
    /// Whether another try makes sense before someone has looked at it.
    fn is_passing(&self) -> bool {
        match self {
            Self::Tree(TreeError::Write(error)) => {
                matches!(error, WriteError::Superseded | WriteError::Database(_))
            }
            Self::Tree(TreeError::Read(error)) => error.is_unavailable(),
            Self::Journal(error) => matches!(error, ReadError::Unavailable(_)),
            Self::Ended | Self::Sign(_) | Self::File(_) => true,
            Self::Tree(
                TreeError::Entry { .. } | TreeError::Full(_) | TreeError::NotContinued { .. },
            )
            | Self::OtherJournal { .. } => false,
        }
    }
}

/// The tree of a node.
#[derive(Debug)]
pub struct TreeUpkeep {
    /// Where the events come from.
    pub journal: Arc<dyn JournalReader>,
    /// Where the tree is.
    pub tables: ReadTables,
    /// The contest for the right to append to it and to sign.
    pub lease: Lease,
    /// How it is signed.
    pub audit: AuditSettings,
    /// Where checkpoints are published, if anywhere.
    pub published: Option<Checkpoints>,
    /// The clock that checkpoints are dated by.
    pub clock: Arc<dyn Clock>,
    /// Where it is told whether that works.
    pub readiness: Readiness,
}

impl TreeUpkeep {
    /// Keeps the tree for as long as the process lives, whenever this node holds the lease. What
    /// does not continue what was signed ends it, with an alarm.
    pub async fn keep(&self) {
        self.tell(State::Starting);
        self.tell_published(State::Starting);
        let (mut pause, mut is_ours) = (Pause::new(), false);
        loop {
            match self.lease.claim().await {
                Ok(Some(term)) => {
                    if !std::mem::replace(&mut is_ours, true) {
                        tracing::info!("this node keeps the tree");
                    }
                    let interruption = tokio::select! {
                        interruption = self.lead(term, &mut pause) => interruption,
                        never = self.publish() => match never {},
                        () = hold(&self.lease, term) => continue,
                    };
                    if !interruption.is_passing() {
                        tracing::error!(
                            cause = %chain(&interruption),
                            "tree stopped: nothing is signed before someone has looked at this"
                        );
                        return self.tell(State::Stopped);
                    }
                    tracing::warn!(cause = %chain(&interruption), "tree interrupted");
                    self.tell(State::Failing);
                    pause.wait().await;
                }
                Ok(None) => {
                    is_ours = false;
                    self.tell(State::Ready);
                    self.tell_published(State::Ready);
                    tokio::time::sleep(self.lease.period() / 3).await;
                }
                Err(error) => {
                    tracing::warn!(cause = %chain(&error), "tree cannot reach its lease");
                    self.tell(State::Failing);
                    pause.wait().await;
                }
            }
        }
    }

    /// Publishes what is signed, beside the signing.
    async fn publish(&self) -> Infallible {
        match &self.published {
            Some(published) => published.run().await,
            None => std::future::pending().await,
        }
    }

    async fn lead(&self, term: Term, pause: &mut Pause) -> Interruption {
        let mut ticks = tokio::time::interval(self.audit.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // The first one is at once: there is something to sign after a crash, or at the end of time.
        let outcome = self.follow(term, pause, &mut ticks).await;
        outcome.err().unwrap_or(Interruption::Ended)
    }

    async fn follow(
        &self,
        term: Term,
        pause: &mut Pause,
        ticks: &mut tokio::time::Interval,
    ) -> Result<(), Interruption> {
        let mut writer = self.load(term).await?;
        let events = self.journal.subscribe(writer.state().position);
        let mut batches = std::pin::pin!(events.ready_chunks(TREE_BATCH));
        let mut is_level = false;
        loop {
            tokio::select! {
                batch = batches.next() => {
                    let batch = batch.ok_or(Interruption::Ended)?;
                    let is_full = batch.len() == TREE_BATCH;
                    is_level |= append(&mut writer, batch).await?;
                    if is_level {
                        self.tell(State::Ready);
                        *pause = Pause::new();
                    }
                    if !is_full {
                        tokio::time::sleep(GATHER).await;
                    }
                }
                _ = ticks.tick(), if is_level => self.sign(&mut writer).await?,
            }
        }
    }

    async fn load(&self, term: Term) -> Result<TreeWriter, Interruption> {
        let writer = TreeWriter::load(&self.tables, term).await?;
        let (tree, head) = (writer.state().position, self.journal.barrier().await?);
        if tree > head {
            return Err(Interruption::OtherJournal { tree, head });
        }
        Ok(writer)
    }

    /// Signs a checkpoint, if there is something new.
    async fn sign(&self, writer: &mut TreeWriter) -> Result<(), Interruption> {
        let AuditSettings { keys, checkpoints, .. } = &self.audit;
        let Some(checkpoint) = writer.checkpoint(keys.origin(), self.clock.now()).await? else {
            return Ok(());
        };
        let note = checkpoint.sign(keys.all())?.to_string();
        let (file, text) = (checkpoints.clone(), note.clone());
        let written = tokio::task::spawn_blocking(move || append_note(&file, &text)).await;
        written.unwrap_or_else(|panic| Err(panic.into())).map_err(Interruption::File)?;
        writer.keep(&checkpoint, &note).await.map_err(TreeError::from)?;
        if let Some(published) = &self.published {
            published.signed.notify_one();
        }
        tracing::info!(size = checkpoint.size, root = %checkpoint.root, "checkpoint signed");
        Ok(())
    }

    /// Appends what the journal still holds, and signs it, before the process ends. Tells whether
    /// this node is the one that does so.
    pub async fn sign_last(&self) -> bool {
        if self.readiness.is(Part::Tree, State::Stopped) {
            return false;
        }
        match self.lease.claim().await {
            Ok(Some(term)) => {
                if let Err(interruption) = self.catch_up(term).await {
                    tracing::warn!(cause = %chain(&interruption), "no last checkpoint is signed");
                }
                true
            }
            Ok(None) => false,
            Err(error) => {
                tracing::warn!(cause = %chain(&error), "no last checkpoint is signed");
                false
            }
        }
    }

    /// Publishes what was signed, before the process ends.
    pub async fn publish_rest(&self) {
        if let Some(published) = &self.published {
            published.publish_rest().await;
        }
    }

    async fn catch_up(&self, term: Term) -> Result<(), Interruption> {
        let mut writer = self.load(term).await?;
        let events = self.journal.subscribe(writer.state().position);
        let mut batches = std::pin::pin!(events.ready_chunks(TREE_BATCH));
        while let Some(batch) = batches.next().await {
            if append(&mut writer, batch).await? {
                return self.sign(&mut writer).await;
            }
        }
        Err(Interruption::Ended)
    }

    fn tell(&self, state: State) {
        self.readiness.set(Part::Tree, state);
    }

    fn tell_published(&self, state: State) {
        if let Some(published) = &self.published {
            published.tell(state);
        }
    }
}

/// Appends what came; tells whether that was all there was.
async fn append(
    writer: &mut TreeWriter,
    batch: Vec<Result<Delivery, ReadError>>,
) -> Result<bool, Interruption> {
    let (mut events, mut failure) = (Vec::with_capacity(batch.len()), None);
    let (mut to, mut is_level) = (writer.state().position, false);
    for delivery in batch {
        match delivery {
            Ok(Delivery::Event(event)) => {
                to = to.max(event.position);
                events.push(event);
            }
            Ok(Delivery::CaughtUp(position)) => (to, is_level) = (to.max(position), true),
            Err(error) => failure = Some(error),
        }
    }
    if to > writer.state().position {
        writer.append(&events, to).await?;
    }
    failure.map_or(Ok(is_level), |error| Err(error.into()))
}

/// Appends a note to the file of checkpoints, an empty line before it, and waits for the disk.
fn append_note(path: &Path, note: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| *folder != Path::new("")) {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = std::fs::File::options().create(true).append(true).open(path)?;
    let between = if file.metadata()?.len() > 0 { "\n" } else { "" };
    file.write_all(format!("{between}{note}").as_bytes())?;
    file.sync_all()
}
