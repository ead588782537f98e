//! Applies events to the key table, as they come.
//!
//! Delivery: the rows and the checkpoint change in one transaction, and the checkpoint only moves
//! from where this projector left it. So each event takes effect exactly once, whatever crashes
//! and however many projectors run: all but one of them find that they were superseded.

use futures::{Stream, StreamExt};
use keyledger_domain::{Position, RecordedEvent};

use crate::checkpoint::Checkpoint;
use crate::statement::MOST_ROWS;
use crate::{Delivery, Progress, ReadTables, WriteError};

/// The most events that share a transaction. Fewer do when fewer are waiting.
pub(crate) const BATCH: usize = 500;
const _: () = assert!(BATCH <= MOST_ROWS, "a batch is written with one statement");

/// Keeps the build of the key table that queries read level with the events it is given.
#[derive(Debug)]
pub struct Projector {
    tables: ReadTables,
    progress: Progress,
    checkpoint: Checkpoint,
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
    /// Begins where the table stands; what is told to `progress` is what queries include.
    ///
    /// # Errors
    /// [`WriteError::Database`].
    pub async fn load(tables: &ReadTables, progress: &Progress) -> Result<Self, WriteError> {
        let checkpoint = Checkpoint::live(&mut *tables.writer().await).await?;
        progress.advance(checkpoint.position);
        Ok(Self { tables: tables.clone(), progress: progress.clone(), checkpoint })
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
            if !batch.events.is_empty() {
                let mut connection = self.tables.writer().await;
                self.checkpoint =
                    self.checkpoint.write(&mut connection, true, &batch.events).await?;
                self.progress.advance(self.checkpoint.position);
            }
            if let Some(level) = batch.caught_up {
                self.progress.advance(level);
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
}
