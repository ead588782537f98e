//! Applies events to the key table as they arrive.
//!
//! Exactly once: the rows and the position of the build change in one transaction, which fails
//! unless the position is the one that this projector wrote last and the lease is still in its
//! epoch. If several projectors run, or one restarts after a crash, all but one fail with
//! [`WriteError::Superseded`].

use keyledger_domain::{ClosedKey, Position, Reached, RecordedEvent};

use crate::keys::ClosedKeys;
use crate::store::{Build, Target};
use crate::{Epoch, ReadTables, WriteError};

/// The maximum number of events per transaction.
pub const PROJECTION_BATCH: usize = 500;

/// Applies events to the build of the key table that queries read.
#[derive(Debug)]
pub struct Projector {
    tables: ReadTables,
    build: Build,
    epoch: Epoch,
    closed: ClosedKeys,
}

impl Projector {
    /// Continues at the table's position. Its writes succeed until the epoch ends.
    ///
    /// # Errors
    /// [`WriteError::Database`].
    pub async fn load(tables: &ReadTables, epoch: Epoch) -> Result<Self, WriteError> {
        let build = tables.store.live().await?;
        let closed = ClosedKeys::of(&tables.store.closed(build).await?);
        Ok(Self { tables: tables.clone(), build, epoch, closed })
    }

    /// How far in the journal all events are applied.
    #[must_use]
    pub fn reached(&self) -> Reached {
        self.build.reached
    }

    /// Closes keys, applies events in one transaction, and moves the table's position to `to`. Events of
    /// closed keys do not count from the position of the closure on. Does nothing if the table is already
    /// at or past `to`.
    ///
    /// # Errors
    /// Every variant of [`WriteError`]; the rows of keys and the position are then unchanged.
    pub async fn apply(
        &mut self,
        events: &[RecordedEvent],
        closed: &[ClosedKey],
        to: Position,
    ) -> Result<(), WriteError> {
        if to > self.build.reached.position {
            // Before the position includes them: after a crash, they are closed again.
            if !closed.is_empty() {
                self.tables.store.close(self.build, closed).await?;
                self.closed.add(closed);
            }
            let target = Target::Live(self.epoch);
            let counting = self.closed.counting(events);
            let written = self.tables.store.write(self.build, target, &counting, to);
            self.build = written.await?;
        }
        Ok(())
    }
}
