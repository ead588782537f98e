//! Applies events to the key table, as they come.
//!
//! Delivery: the rows and the position of the build change in one transaction, and the position only moves
//! from where this projector left it, in the epoch of its lease. So each event takes effect exactly
//! once, whatever crashes and however many projectors run: all but one of them find that they were
//! superseded.

use keyledger_domain::{Position, RecordedEvent};

use crate::store::{Build, Target};
use crate::{Epoch, ReadTables, WriteError};

/// The most events that share a transaction. Fewer do when fewer are waiting.
pub const PROJECTION_BATCH: usize = 500;

/// Applies events to the build of the key table that queries read.
#[derive(Debug)]
pub struct Projector {
    tables: ReadTables,
    build: Build,
    epoch: Epoch,
}

impl Projector {
    /// Begins where the table stands. The projector may write for as long as the epoch lasts.
    ///
    /// # Errors
    /// [`WriteError::Database`].
    pub async fn load(tables: &ReadTables, epoch: Epoch) -> Result<Self, WriteError> {
        let build = tables.store.live().await?;
        Ok(Self { tables: tables.clone(), build, epoch })
    }

    /// The position of the last event that the table includes.
    #[must_use]
    pub fn position(&self) -> Position {
        self.build.position
    }

    /// Applies events in one transaction; afterwards the table includes every event up to `to`.
    ///
    /// # Errors
    /// Every variant of [`WriteError`]; nothing was changed then.
    pub async fn apply(
        &mut self,
        events: &[RecordedEvent],
        to: Position,
    ) -> Result<(), WriteError> {
        if to > self.build.position {
            let target = Target::Live(self.epoch);
            let written = self.tables.store.write(self.build, target, events, to);
            self.build = written.await?;
        }
        Ok(())
    }
}
