//! Writes of the key table, each with how far it brings the table.

use std::sync::LazyLock;

use keyledger_domain::{Position, RecordedEvent};
use sqlx::sqlite::SqliteConnection;

use crate::keys::{COLUMNS, changes, statement};
use crate::statement::ManyRows;
use crate::{ReadTables, WriteError};

/// A build of the key table, and the position of the last event that it includes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) generation: i64,
    pub(crate) position: Position,
}

static WRITE: LazyLock<ManyRows> = LazyLock::new(|| ManyRows::new(COLUMNS, statement));

impl Checkpoint {
    /// The checkpoint of the build that queries read.
    pub(crate) async fn live(connection: &mut SqliteConnection) -> Result<Self, sqlx::Error> {
        let (generation, position): (i64, i64) = sqlx::query_as(
            "SELECT live_generation, (SELECT coalesce(max(keys.position), 0) FROM keys
                                      WHERE keys.generation = projection.live_generation)
             FROM projection WHERE name = 'keys'",
        )
        .fetch_one(connection)
        .await?;
        Ok(Self { generation, position: position_of(position)? })
    }

    /// Writes what events do, all of it or nothing: only if the build is where this checkpoint says,
    /// and is the one that queries read (`is_live`) or is not.
    ///
    /// # Errors
    /// Every variant of [`WriteError`].
    pub(crate) async fn write(
        self,
        connection: &mut SqliteConnection,
        is_live: bool,
        events: &[RecordedEvent],
    ) -> Result<Self, WriteError> {
        let Some(last) = events.last() else { return Ok(self) };
        let changes = changes(events)?;
        let query = sqlx::query(WRITE.text(changes.len()))
            .bind(self.generation)
            .bind(self.position.as_i64())
            .bind(is_live);
        let query = changes.iter().fold(query, |query, change| change.bind(query));
        match query.execute(connection).await {
            Ok(written) => match usize::try_from(written.rows_affected()) {
                Ok(rows) if rows == changes.len() => Ok(Self { position: last.position, ..self }),
                Ok(0) => Err(WriteError::Superseded),
                Ok(_) | Err(_) => Err(WriteError::RowsOutOfStep),
            },
            Err(sqlx::Error::Database(refusal))
                if refusal.kind() == sqlx::error::ErrorKind::NotNullViolation =>
            {
                Err(WriteError::RowsOutOfStep)
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn position_of(number: i64) -> Result<Position, sqlx::Error> {
    Position::try_from(number).map_err(|error| sqlx::Error::ColumnDecode {
        index: "keys.position".into(),
        source: error.into(),
    })
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
