//! Applies events to the key table, as they come.
//!
//! Delivery: the rows and the checkpoint change in one transaction, and the checkpoint only moves
//! from where this projector left it, in the term of its lease. So each event takes effect exactly
//! once, whatever crashes and however many projectors run: all but one of them find that they were
//! superseded.

use futures::{Stream, StreamExt};
use keyledger_domain::{Position, RecordedEvent};

use crate::lease::Term;
use crate::store::{Checkpoint, Target};
use crate::{Delivery, Progress, ReadTables, WriteError};

/// The most events that share a transaction. Fewer do when fewer are waiting.
pub(crate) const BATCH: usize = 500;

/// Keeps the build of the key table that queries read level with the events it is given.
#[derive(Debug)]
pub struct Projector {
    tables: ReadTables,
    progress: Progress,
    checkpoint: Checkpoint,
    term: Term,
}

/// Why a projector or a rebuild stopped.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError<E: std::error::Error + 'static> {
    /// The events cannot be read.
    #[error("the events cannot be read")]
    Source(#[source] E),
    /// The events ended before their purpose was reached.
    #[error("the events ended")]
    SourceEnded,
    /// They cannot be applied.
    #[error("the events cannot be applied")]
    Write(#[from] WriteError),
}

impl<E: std::error::Error + 'static> From<sqlx::Error> for ProjectionError<E> {
    fn from(error: sqlx::Error) -> Self {
        Self::Write(error.into())
    }
}

impl Projector {
    /// Begins where the table stands, for as long as the term lasts; what is told to `progress` is
    /// what queries include.
    ///
    /// # Errors
    /// [`WriteError::Database`].
    pub async fn load(
        tables: &ReadTables,
        progress: &Progress,
        term: Term,
    ) -> Result<Self, WriteError> {
        let checkpoint = tables.store.live().await?;
        progress.advance(checkpoint.position);
        Ok(Self { tables: tables.clone(), progress: progress.clone(), checkpoint, term })
    }

    /// The position after which the events are to begin.
    #[must_use]
    pub fn position(&self) -> Position {
        self.checkpoint.position
    }

    /// Applies events until their stream ends.
    ///
    /// # Errors
    /// Every variant of [`ProjectionError`] but [`ProjectionError::SourceEnded`].
    pub async fn run<S, E>(mut self, events: S) -> Result<(), ProjectionError<E>>
    where
        S: Stream<Item = Result<Delivery, E>>,
        E: std::error::Error + 'static,
    {
        let mut batches = std::pin::pin!(events.ready_chunks(BATCH));
        while let Some(deliveries) = batches.next().await {
            let batch = Batch::gather(deliveries);
            let to = batch.reaches(self.checkpoint.position);
            if to > self.checkpoint.position {
                let target = Target::Live(self.term);
                let written = self.tables.store.write(self.checkpoint, target, &batch.events, to);
                self.checkpoint = written.await?;
                self.progress.advance(to);
            }
            if batch.caught_up.is_some() {
                self.progress.set_level(true);
            }
            if let Some(error) = batch.failure {
                return Err(ProjectionError::Source(error));
            }
        }
        Ok(())
    }
}

impl Drop for Projector {
    /// Nobody keeps the table level any more.
    fn drop(&mut self) {
        self.progress.set_level(false);
    }
}

/// Deliveries that came together.
pub(crate) struct Batch<E> {
    pub(crate) events: Vec<RecordedEvent>,
    pub(crate) caught_up: Option<Position>,
    pub(crate) failure: Option<E>,
}

impl<E> Batch<E> {
    pub(crate) fn gather(deliveries: Vec<Result<Delivery, E>>) -> Self {
        let mut batch =
            Self { events: Vec::with_capacity(deliveries.len()), caught_up: None, failure: None };
        for delivery in deliveries {
            match delivery {
                Ok(Delivery::Event(event)) => batch.events.push(event),
                Ok(Delivery::CaughtUp(position)) => batch.caught_up = Some(position),
                Err(error) => batch.failure = Some(error),
            }
        }
        batch
    }

    /// How far these bring whoever was at this position.
    pub(crate) fn reaches(&self, from: Position) -> Position {
        let last = self.events.last().map(|last| last.position);
        from.max(last.unwrap_or_default()).max(self.caught_up.unwrap_or_default())
    }
}
