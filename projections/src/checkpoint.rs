//! How far a build of the key table has come, kept in the database that holds the table.

use keyledger_domain::Position;
use sqlx::sqlite::SqliteConnection;

use crate::{ReadTables, WriteError};

/// A build of the key table, and the position of the last event that it includes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) generation: i64,
    pub(crate) position: Position,
}

impl Checkpoint {
    /// The checkpoint of the build that queries read.
    pub(crate) async fn live(connection: &mut SqliteConnection) -> Result<Self, sqlx::Error> {
        let (generation, position): (i64, i64) = sqlx::query_as(
            "SELECT live.live_generation, checkpoint.position
             FROM projection live
             JOIN projection_checkpoint checkpoint
               ON checkpoint.name = live.name AND checkpoint.generation = live.live_generation
             WHERE live.name = 'keys'",
        )
        .fetch_one(connection)
        .await?;
        let position = Position::try_from(position).map_err(|e| sqlx::Error::ColumnDecode {
            index: "projection_checkpoint.position".into(),
            source: e.into(),
        })?;
        Ok(Self { generation, position })
    }

    /// Moves the checkpoint, if it still is where it was: what is written in the same transaction
    /// then follows on what was there, and on nothing else.
    ///
    /// # Errors
    /// [`WriteError::Superseded`] when someone else has moved it, or has replaced the build.
    pub(crate) async fn advance(
        self,
        connection: &mut SqliteConnection,
        to: Position,
    ) -> Result<Self, WriteError> {
        let moved = sqlx::query(
            "UPDATE projection_checkpoint SET position = $1
             WHERE name = 'keys' AND generation = $2 AND position = $3",
        )
        .bind(to.as_i64())
        .bind(self.generation)
        .bind(self.position.as_i64())
        .execute(connection)
        .await?;
        match moved.rows_affected() {
            1 => Ok(Self { position: to, ..self }),
            _ => Err(WriteError::Superseded),
        }
    }
}

impl ReadTables {
    /// The position of the last event that queries include, from the tables themselves: for a
    /// process in which no projector runs.
    ///
    /// # Errors
    /// The database's error.
    pub async fn position(&self) -> Result<Position, sqlx::Error> {
        let mut connection = self.reads.acquire().await?;
        Ok(Checkpoint::live(&mut connection).await?.position)
    }
}
