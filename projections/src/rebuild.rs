//! Builds the key table anew, beside the one that queries read, and swaps when level.
//!
//! Queries and the projector go on undisturbed meanwhile. The swap is one transaction, in which
//! nobody else writes: what the old build includes by then is first read to the end.

use futures::{Stream, StreamExt};
use keyledger_domain::Position;

use crate::checkpoint::Checkpoint;
use crate::projector::{BATCH, Batch, ProjectionError, write};
use crate::tables::Transaction;
use crate::{Delivery, ReadTables, WriteError};

/// How many rows of an old build are deleted at a time, so that others get their turn.
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
    pub events: u64,
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
        let mut transaction = tables.begin().await?;
        let generation: i64 = sqlx::query_scalar(
            "UPDATE projection SET last_generation = last_generation + 1 WHERE name = 'keys'
             RETURNING last_generation",
        )
        .fetch_one(&mut *transaction)
        .await?;
        let checkpoint = Checkpoint { generation, position: Position::START };
        sqlx::query(
            "INSERT INTO projection_checkpoint (name, generation, position) VALUES ('keys', $1, 0)",
        )
        .bind(generation)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(Self { tables: tables.clone(), checkpoint })
    }

    /// Applies all events from the first on, until the build is level with the one that queries
    /// read, and takes its place. Tells each position that it reaches.
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
            let mut transaction = self.tables.begin().await?;
            self.apply(&mut transaction, &batch, &mut count).await?;
            if batch.caught_up.is_none() {
                transaction.commit().await?;
                reached(self.checkpoint.position);
                continue;
            }
            // From here to the commit nobody else writes. The journal holds all that the live
            // build includes, so its events come; a second mark without them would tell that the
            // live build was made from another journal.
            let live = Checkpoint::live(&mut transaction).await?;
            let mut marks = 0;
            while self.checkpoint.position < live.position && marks < 2 {
                let batch = next_batch(&mut batches).await?;
                self.apply(&mut transaction, &batch, &mut count).await?;
                marks += u32::from(batch.caught_up.is_some());
            }
            self.take_the_place_of(live, &mut transaction).await?;
            transaction.commit().await?;
            reached(self.checkpoint.position);
            break;
        }
        clear(&self.tables).await?;
        Ok(Rebuilt { events: count, position: self.checkpoint.position })
    }

    async fn apply<E>(
        &mut self,
        transaction: &mut Transaction,
        batch: &Batch<E>,
        count: &mut u64,
    ) -> Result<(), WriteError> {
        self.checkpoint = write(transaction, self.checkpoint, &batch.events).await?;
        *count += u64::try_from(batch.events.len()).unwrap_or(u64::MAX);
        Ok(())
    }

    /// Makes this build the one that queries read. The old one's checkpoint goes, which its
    /// projector will find.
    async fn take_the_place_of(
        &self,
        live: Checkpoint,
        transaction: &mut Transaction,
    ) -> Result<(), WriteError> {
        let swapped = sqlx::query(
            "UPDATE projection SET live_generation = $1
             WHERE name = 'keys' AND live_generation = $2",
        )
        .bind(self.checkpoint.generation)
        .bind(live.generation)
        .execute(&mut **transaction)
        .await?;
        if swapped.rows_affected() != 1 {
            return Err(WriteError::Superseded);
        }
        sqlx::query("DELETE FROM projection_checkpoint WHERE name = 'keys' AND generation <> $1")
            .bind(self.checkpoint.generation)
            .execute(&mut **transaction)
            .await?;
        Ok(())
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

/// Deletes all builds but the one that queries read.
async fn clear(tables: &ReadTables) -> Result<(), WriteError> {
    loop {
        let mut transaction = tables.begin().await?;
        sqlx::query(
            "DELETE FROM projection_checkpoint WHERE name = 'keys' AND generation <>
             (SELECT live_generation FROM projection WHERE name = 'keys')",
        )
        .execute(&mut *transaction)
        .await?;
        let deleted = sqlx::query(
            "DELETE FROM keys WHERE (generation, key_id) IN
             (SELECT generation, key_id FROM keys WHERE generation <>
                 (SELECT live_generation FROM projection WHERE name = 'keys') LIMIT $1)",
        )
        .bind(DELETED_AT_ONCE)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        if deleted.rows_affected() == 0 {
            return Ok(());
        }
    }
}
