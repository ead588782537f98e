//! The swap of one build of the key table for another.

use async_trait::async_trait;
use keyledger_domain::{ClosedKey, Position, RecordedEvent};
use keyledger_postgres::{Location, bounded};
use sqlx::Connection;
use sqlx::postgres::PgConnection;

use super::write::{Write, close, live};
use crate::WriteError;
use crate::store::{Build, Swap, Target};

/// Makes build `$1`, which includes the events up to `$2`, the live one, unless the live build is the
/// same or a later one, or another rebuild has deleted this one.
const SWAP: &str = "
    UPDATE projection SET live_generation = $1
    WHERE name = 'keys' AND live_generation < $1
      AND EXISTS (SELECT FROM build WHERE generation = $1 AND position = $2)";

/// A transaction on its own connection. If the connection is closed before [`Swap::finish`], the
/// server rolls the transaction back.
pub(super) struct PostgresSwap {
    connection: PgConnection,
}

impl PostgresSwap {
    pub(super) async fn begin(location: &Location) -> Result<Self, sqlx::Error> {
        let mut connection = location.connect().await?;
        bounded(lock(&mut connection)).await?;
        Ok(Self { connection })
    }
}

/// Locks the row that every projector's write locks. The server ends the transaction after 10
/// seconds without a statement, so the lock does not outlast a failure of this process or the
/// network for longer.
async fn lock(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(
        "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '10s';
         SELECT FROM projection WHERE name = 'keys' FOR UPDATE",
    )
    .execute(connection)
    .await
    .map(drop)
}

#[async_trait]
impl Swap for PostgresSwap {
    async fn live(&mut self) -> Result<Build, sqlx::Error> {
        bounded(live(&mut self.connection)).await
    }

    async fn write(
        &mut self,
        from: Build,
        events: &[RecordedEvent],
        to: Position,
    ) -> Result<Build, WriteError> {
        let write = Write::new(from, Target::Next, events, to)?;
        let written = bounded(write.send(&mut self.connection)).await;
        write.outcome(written)
    }

    async fn close(&mut self, build: Build, keys: &[ClosedKey]) -> Result<(), sqlx::Error> {
        bounded(close(&mut self.connection, build, keys)).await
    }

    async fn finish(mut self: Box<Self>, build: Build) -> Result<(), WriteError> {
        let connection = &mut self.connection;
        let swap = sqlx::query(SWAP).bind(build.generation).bind(build.reached.position.as_i64());
        let swapped = bounded(swap.execute(&mut *connection)).await?;
        if swapped.rows_affected() != 1 {
            return Err(WriteError::Superseded);
        }
        bounded(sqlx::raw_sql("COMMIT").execute(connection)).await?;
        Ok(self.connection.close().await?)
    }
}
