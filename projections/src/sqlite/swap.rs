//! The swap of one build of the key table for another.

use async_trait::async_trait;
use keyledger_domain::{ClosedKey, Position, RecordedEvent};
use keyledger_sqlite::Paused;
use sqlx::sqlite::SqliteConnection;
use sqlx::{ConnectOptions, Connection};

use super::SqliteStore;
use super::write::{close, live, write};

use crate::WriteError;
use crate::store::{Build, SWAP, Swap};

/// A transaction on its own connection. If the connection is closed before [`Swap::finish`], SQLite
/// rolls the transaction back.
pub(super) struct SqliteSwap<'a> {
    _paused: Paused<'a>,
    connection: SqliteConnection,
}

impl<'a> SqliteSwap<'a> {
    pub(super) async fn begin(store: &'a SqliteStore) -> Result<Self, sqlx::Error> {
        let paused = store.writes.pause().await;
        let mut connection = store.writing.connect().await?;
        // IMMEDIATE takes the file's write lock now, so no other process can write until the
        // transaction ends.
        sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await?;
        Ok(Self { _paused: paused, connection })
    }
}

#[async_trait]
impl Swap for SqliteSwap<'_> {
    async fn live(&mut self) -> Result<Build, sqlx::Error> {
        live(&mut self.connection).await
    }

    async fn write(
        &mut self,
        from: Build,
        events: &[RecordedEvent],
        to: Position,
    ) -> Result<Build, WriteError> {
        write(&mut self.connection, from, false, events, to).await
    }

    async fn close(&mut self, build: Build, keys: &[ClosedKey]) -> Result<(), sqlx::Error> {
        close(&mut self.connection, build, keys).await
    }

    async fn finish(mut self: Box<Self>, build: Build) -> Result<(), WriteError> {
        let swapped =
            sqlx::query(SWAP).bind(build.generation).execute(&mut self.connection).await?;
        if swapped.rows_affected() != 1 {
            return Err(WriteError::Superseded);
        }
        sqlx::query("COMMIT").execute(&mut self.connection).await?;
        Ok(self.connection.close().await?)
    }
}
