//! Builds the key table anew, beside the one that queries read, and swaps when level.
//!
//! Queries and the projector go on undisturbed meanwhile. The swap is one transaction, in which
//! nobody else writes: what the old build includes by then is first read to the end.

use futures::{Stream, StreamExt};
use keyledger_domain::Position;

use crate::checkpoint::Checkpoint;
use crate::projector::{BATCH, Batch, ProjectionError};
use crate::tables::begin;
use crate::{Delivery, ReadTables, WriteError};

/// How many rows are deleted at a time.
const DELETED_AT_ONCE: i64 = 5_000;

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

impl Rebuild {
    /// Begins a build; what unfinished ones have left behind is cleared away first.
    ///
    /// # Errors
    /// [`WriteError::Database`].
    pub async fn begin(tables: &ReadTables) -> Result<Self, WriteError> {
        clear(tables).await?;
        let mut connection = tables.writer().await;
        let generation: i64 = sqlx::query_scalar(
            "UPDATE projection SET last_generation = last_generation + 1 WHERE name = 'keys'
             RETURNING last_generation",
        )
        .fetch_one(&mut *connection)
        .await?;
        let checkpoint = Checkpoint { generation, position: Position::START };
        Ok(Self { tables: tables.clone(), checkpoint })
    }

    /// Applies all events from the first on, until the build is level with the one that queries
    /// read, and takes its place. Tells each position that it reaches. What the old build leaves
    /// behind is for [`clear`].
    ///
    /// # Errors
    /// Every variant of [`ProjectionError`]; the old build then stays in use.
    pub async fn run<S, E>(
        mut self,
        events: S,
        mut reached: impl FnMut(Position),
    ) -> Result<Rebuilt, ProjectionError<E>>
    where
        S: Stream<Item = Result<Delivery, E>>,
        E: std::error::Error + 'static,
    {
        let mut batches = std::pin::pin!(events.ready_chunks(BATCH));
        let mut count = 0;
        loop {
            let batch = next_batch(&mut batches).await?;
            self.checkpoint = {
                let mut connection = self.tables.writer().await;
                self.checkpoint.write(&mut connection, false, &batch.events).await?
            };
            count += batch.events.len();
            reached(self.checkpoint.position);
            if batch.caught_up.is_some() {
                count += self.take_over(&mut batches).await?;
                reached(self.checkpoint.position);
                break;
            }
        }
        Ok(Rebuilt { events: count, position: self.checkpoint.position })
    }

    /// Makes this build the one that queries read, once it includes all that they show now; tells
    /// how many events that took. Nobody else writes meanwhile; the old build's projector will find
    /// that it is no longer the one.
    async fn take_over<S, E>(&mut self, batches: &mut S) -> Result<usize, ProjectionError<E>>
    where
        S: Stream<Item = Vec<Result<Delivery, E>>> + Unpin,
        E: std::error::Error + 'static,
    {
        let mut connection = self.tables.writer().await;
        let mut transaction = begin(&mut connection).await?;
        let live = Checkpoint::live(&mut transaction).await?;
        // The journal holds all that the live build includes, so its events come; a second mark
        // without them tells that the live build was made from another journal.
        let (mut count, mut marks) = (0, 0);
        while self.checkpoint.position < live.position && marks < 2 {
            let batch = next_batch(batches).await?;
            let written = self.checkpoint.write(&mut transaction, false, &batch.events);
            self.checkpoint = written.await?;
            count += batch.events.len();
            marks += u32::from(batch.caught_up.is_some());
        }
        let swapped = sqlx::query(
            "UPDATE projection SET live_generation = $1
             WHERE name = 'keys' AND live_generation < $1",
        );
        let swapped = swapped.bind(self.checkpoint.generation).execute(&mut *transaction).await?;
        if swapped.rows_affected() != 1 {
            return Err(WriteError::Superseded.into());
        }
        transaction.commit().await?;
        Ok(count)
    }
}

async fn next_batch<S, E>(batches: &mut S) -> Result<Batch<E>, ProjectionError<E>>
where
    S: Stream<Item = Vec<Result<Delivery, E>>> + Unpin,
    E: std::error::Error + 'static,
{
    let mut batch = Batch::gather(batches.next().await.ok_or(ProjectionError::SourceEnded)?);
    match batch.failure.take() {
        Some(error) => Err(ProjectionError::Source(error)),
        None => Ok(batch),
    }
}

/// Deletes what builds have left behind that queries do not read, a part at a time, so that others
/// get their turn.
///
/// # Errors
/// [`WriteError::Database`].
pub async fn clear(tables: &ReadTables) -> Result<(), WriteError> {
    loop {
        let mut connection = tables.writer().await;
        let deleted = sqlx::query(
            "DELETE FROM keys WHERE (generation, key_id) IN
             (SELECT generation, key_id FROM keys WHERE generation <>
                 (SELECT live_generation FROM projection WHERE name = 'keys') LIMIT $1)",
        )
        .bind(DELETED_AT_ONCE)
        .execute(&mut *connection)
        .await?;
        if deleted.rows_affected() == 0 {
            return Ok(());
        }
    }
}
