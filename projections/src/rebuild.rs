//! Builds the key table anew, beside the one that queries read, and swaps when level.
//!
//! Queries and the projector go on undisturbed meanwhile. The swap is one transaction, in which
//! nobody else writes: what the old build includes by then is first read to the end.

use futures::{Stream, StreamExt};
use keyledger_domain::{Batch, Delivery, Position};

use crate::projector::PROJECTION_BATCH;
use crate::store::{Checkpoint, Target};
use crate::{ReadTables, WriteError};

/// A build of the key table that is to take the place of the one that queries read.
#[derive(Debug)]
pub struct Rebuild {
    tables: ReadTables,
    checkpoint: Checkpoint,
}

/// What a rebuild came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// How many events it read.
    pub events: usize,
    /// The position of the last of them.
    pub position: Position,
}

/// Why a rebuild stopped.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError<E: std::error::Error + 'static> {
    /// The events cannot be read.
    #[error("the events cannot be read")]
    Source(#[source] E),
    /// The events ended before their purpose was reached.
    #[error("the events ended")]
    SourceEnded,
    /// The events cannot be applied.
    #[error("the events cannot be applied")]
    Write(#[from] WriteError),
}

impl<E: std::error::Error + 'static> From<sqlx::Error> for RebuildError<E> {
    fn from(error: sqlx::Error) -> Self {
        Self::Write(error.into())
    }
}

impl Rebuild {
    /// Begins a build; what unfinished ones have left behind is cleared away first.
    ///
    /// # Errors
    /// [`WriteError::Database`].
    pub async fn begin(tables: &ReadTables) -> Result<Self, WriteError> {
        clear(tables).await?;
        let checkpoint = tables.store.begin_build().await?;
        Ok(Self { tables: tables.clone(), checkpoint })
    }

    /// Applies all events from the first on, until the build is level with the one that queries
    /// read, and takes its place. Asks for the journal's head
    /// only when it is about to, and tells each position that it
    /// reaches. What the old build leaves behind is for [`clear`].
    ///
    /// # Errors
    /// Every variant of [`RebuildError`]; the old build then stays in use.
    pub async fn run<S, E>(
        mut self,
        events: S,
        head: impl Future<Output = Result<Position, E>>,
        mut reached: impl FnMut(Position),
    ) -> Result<Rebuilt, RebuildError<E>>
    where
        S: Stream<Item = Result<Delivery, E>>,
        E: std::error::Error + 'static,
    {
        let mut batches = std::pin::pin!(events.ready_chunks(PROJECTION_BATCH));
        let mut count = 0;
        loop {
            let batch = next_batch(&mut batches).await?;
            let to = batch.reaches(self.checkpoint.position);
            let written = self.tables.store.write(self.checkpoint, Target::Next, &batch.events, to);
            self.checkpoint = written.await?;
            count += batch.events.len();
            reached(self.checkpoint.position);
            if batch.caught_up.is_some() {
                count += self.take_over(&mut batches, head).await?;
                reached(self.checkpoint.position);
                break;
            }
        }
        Ok(Rebuilt { events: count, position: self.checkpoint.position })
    }

    /// Makes this build the one that queries read, once it includes all that they show now; tells
    /// how many events that took. Nobody else writes meanwhile; the old build's projector will find
    /// that it is no longer the one.
    async fn take_over<S, E>(
        &mut self,
        batches: &mut S,
        head: impl Future<Output = Result<Position, E>>,
    ) -> Result<usize, RebuildError<E>>
    where
        S: Stream<Item = Vec<Result<Delivery, E>>> + Unpin,
        E: std::error::Error + 'static,
    {
        let mut swap = self.tables.store.swap().await?;
        let live = swap.live().await?;
        // The journal holds all that the live build includes, so its events come; unless that was
        // made from another, longer journal.
        let due = live.position.min(head.await.map_err(RebuildError::Source)?);
        let mut count = 0;
        while self.checkpoint.position < due {
            let batch = next_batch(batches).await?;
            let to = batch.reaches(self.checkpoint.position);
            self.checkpoint = swap.write(self.checkpoint, &batch.events, to).await?;
            count += batch.events.len();
        }
        swap.finish(self.checkpoint.generation).await?;
        Ok(count)
    }
}

async fn next_batch<S, E>(batches: &mut S) -> Result<Batch<E>, RebuildError<E>>
where
    S: Stream<Item = Vec<Result<Delivery, E>>> + Unpin,
    E: std::error::Error + 'static,
{
    let mut batch = Batch::gather(batches.next().await.ok_or(RebuildError::SourceEnded)?);
    match batch.failure.take() {
        Some(error) => Err(RebuildError::Source(error)),
        None => Ok(batch),
    }
}

/// Deletes what builds have left behind that queries do not read, a part at a time, so that others
/// get their turn.
///
/// # Errors
/// [`WriteError::Database`].
pub async fn clear(tables: &ReadTables) -> Result<(), WriteError> {
    while tables.store.clear().await? > 0 {}
    Ok(())
}
