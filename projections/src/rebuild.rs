//! Builds the key table anew beside the one that queries read, and swaps the two when the new build
//! has caught up.
//!
//! Queries and the projector continue during a rebuild. The swap is one transaction that blocks
//! other writers; before it commits, the new build applies every event that the old build includes.

use futures::{Stream, StreamExt};
use keyledger_domain::{Batch, ClosedKey, Closure, KeyDelivery, Position, RecordedEvent};

use crate::keys::ClosedKeys;
use crate::projector::PROJECTION_BATCH;
use crate::store::{Build, Target};
use crate::{ReadTables, WriteError};

/// A new build of the key table, which replaces the one that queries read.
#[derive(Debug)]
pub struct Rebuild {
    tables: ReadTables,
    build: Build,
    closed: ClosedKeys,
}

/// The result of a finished rebuild.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// The number of events that were applied.
    pub events: usize,
    /// The position up to which all events are applied.
    pub position: Position,
    /// How many keys are closed.
    pub closed: usize,
}

/// Why a rebuild failed.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError<E: std::error::Error + 'static> {
    /// The stream of events reports an error.
    #[error("the events cannot be read")]
    Source(#[source] E),
    /// The stream of events ended before the build had caught up.
    #[error("the events ended before the rebuild had caught up")]
    SourceEnded,
    /// The events cannot be applied to the table.
    #[error("the events cannot be applied")]
    Write(#[from] WriteError),
}

impl<E: std::error::Error + 'static> From<sqlx::Error> for RebuildError<E> {
    fn from(error: sqlx::Error) -> Self {
        Self::Write(error.into())
    }
}

impl Rebuild {
    /// Begins a build, and deletes the rows of unfinished builds: of two rebuilds at once, the one
    /// that began first fails with [`WriteError::Superseded`].
    ///
    /// # Errors
    /// [`WriteError::Database`].
    pub async fn begin(tables: &ReadTables) -> Result<Self, WriteError> {
        let build = tables.store.begin_build().await?;
        clear(tables).await?;
        Ok(Self { tables: tables.clone(), build, closed: ClosedKeys::default() })
    }

    /// Applies all events from the first on until the build has caught up with the one that queries
    /// read, and then replaces that one. Awaits `head`, the journal's head, only when the swap
    /// begins, and calls `reached` with the position after each transaction. [`clear`] deletes the
    /// rows of the old build.
    ///
    /// A key with an event that does not follow the key's last one is closed: since the build has followed
    /// the journal from its first event on, the journal lacks an event of the key.
    ///
    /// # Errors
    /// Every variant of [`RebuildError`]; queries then still read the old build.
    pub async fn run<S, D, E>(
        mut self,
        events: S,
        head: impl Future<Output = Result<Position, E>>,
        mut reached: impl FnMut(Position),
    ) -> Result<Rebuilt, RebuildError<E>>
    where
        S: Stream<Item = Result<D, E>>,
        D: Into<KeyDelivery>,
        E: std::error::Error + 'static,
    {
        let mut batches = std::pin::pin!(events.ready_chunks(PROJECTION_BATCH));
        let mut count = 0;
        loop {
            let batch = next_batch(&mut batches).await?;
            let to = batch.reaches(self.build.reached.position);
            self.close(&batch.closed).await?;
            self.write(&batch.events, to).await?;
            count += batch.events.len();
            reached(self.build.reached.position);
            if batch.caught_up.is_some() {
                count += self.take_over(&mut batches, head).await?;
                reached(self.build.reached.position);
                break;
            }
        }
        let (position, closed) = (self.build.reached.position, self.closed.len());
        Ok(Rebuilt { events: count, position, closed })
    }

    async fn close(&mut self, closed: &[ClosedKey]) -> Result<(), WriteError> {
        if !closed.is_empty() {
            self.tables.store.close(self.build, closed).await?;
            self.closed.add(closed);
        }
        Ok(())
    }

    /// Applies events. If one of them does not follow, they are applied one by one, to find it.
    async fn write(&mut self, events: &[RecordedEvent], to: Position) -> Result<(), WriteError> {
        match self.write_counting(events, to).await {
            Err(WriteError::EventOutOfStep { .. } | WriteError::RowsOutOfStep) => {
                for event in events {
                    let written = self.write_counting(std::slice::from_ref(event), event.position);
                    match written.await {
                        Err(WriteError::EventOutOfStep { .. } | WriteError::RowsOutOfStep) => {
                            let key_id = event.event.key_id();
                            let (position, closure) = (event.position, Closure::Removed);
                            self.close(&[ClosedKey { key_id, position, closure }]).await?;
                        }
                        written => written?,
                    }
                }
                self.write_counting(&[], to).await
            }
            written => written,
        }
    }

    async fn write_counting(
        &mut self,
        events: &[RecordedEvent],
        to: Position,
    ) -> Result<(), WriteError> {
        let counting = self.closed.counting(events);
        let written = self.tables.store.write(self.build, Target::Next, &counting, to);
        self.build = written.await?;
        Ok(())
    }

    /// Applies the events that the live build includes and this one does not, and makes this build
    /// the live one; returns the number of these events. Other writers are blocked until the end;
    /// the next write of the old build's projector then fails with [`WriteError::Superseded`].
    async fn take_over<S, D, E>(
        &mut self,
        batches: &mut S,
        head: impl Future<Output = Result<Position, E>>,
    ) -> Result<usize, RebuildError<E>>
    where
        S: Stream<Item = Vec<Result<D, E>>> + Unpin,
        D: Into<KeyDelivery>,
        E: std::error::Error + 'static,
    {
        let mut swap = self.tables.store.swap().await?;
        let live = swap.live().await?;
        // The journal holds every event that the live build includes, so the stream delivers them.
        // If the live build was made from another, longer journal, the journal's head is the limit.
        let due = live.reached.position.min(head.await.map_err(RebuildError::Source)?);
        let mut count = 0;
        while self.build.reached.position < due {
            let batch = next_batch(batches).await?;
            let to = batch.reaches(self.build.reached.position);
            if !batch.closed.is_empty() {
                swap.close(self.build, &batch.closed).await?;
                self.closed.add(&batch.closed);
            }
            let counting = self.closed.counting(&batch.events);
            self.build = swap.write(self.build, &counting, to).await?;
            count += batch.events.len();
        }
        swap.finish(self.build).await?;
        Ok(count)
    }
}

async fn next_batch<S, D, E>(batches: &mut S) -> Result<Batch<E>, RebuildError<E>>
where
    S: Stream<Item = Vec<Result<D, E>>> + Unpin,
    D: Into<KeyDelivery>,
    E: std::error::Error + 'static,
{
    let mut batch = Batch::gather(batches.next().await.ok_or(RebuildError::SourceEnded)?);
    match batch.failure.take() {
        Some(error) => Err(RebuildError::Source(error)),
        None => Ok(batch),
    }
}

/// Deletes the rows of builds that queries do not read, at most 5,000 rows per transaction, so that
/// other writers wait only for a short time.
///
/// # Errors
/// [`WriteError::Database`].
pub async fn clear(tables: &ReadTables) -> Result<(), WriteError> {
    while tables.store.clear().await? > 0 {}
    Ok(())
}
