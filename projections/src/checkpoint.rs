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

/// Moves the checkpoint of a build: build, new position, build, old position. If it is not there any
/// more, or is elsewhere, the new position is nothing, which the database refuses.
const ADVANCE: &str = "
    INSERT INTO projection_checkpoint (name, generation, position)
    VALUES ('keys', ?, (SELECT ? FROM projection_checkpoint
                        WHERE name = 'keys' AND generation = ? AND position = ?))
    ON CONFLICT (name, generation) DO UPDATE SET position = excluded.position";

/// In a transaction that is there.
static WRITE: LazyLock<ManyRows> =
    LazyLock::new(|| ManyRows::new(COLUMNS, |rows| format!("{ADVANCE}; {}", statement(rows))));

/// With the transaction around it: one trip to the thread that works on the connection.
static WRITE_ALONE: LazyLock<ManyRows> = LazyLock::new(|| {
    ManyRows::new(COLUMNS, |rows| {
        format!("BEGIN IMMEDIATE; {ADVANCE}; {}; COMMIT", statement(rows))
    })
});

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
        Ok(Self { generation, position: position_of(position)? })
    }

    /// Writes what events do and moves the checkpoint after them, in a transaction of its own:
    /// both or neither, and only if the build is as this checkpoint says.
    ///
    /// # Errors
    /// Every variant of [`WriteError`].
    pub(crate) async fn write_alone(
        self,
        connection: &mut SqliteConnection,
        events: &[RecordedEvent],
    ) -> Result<Self, WriteError> {
        match self.run(&WRITE_ALONE, connection, events).await {
            Ok(moved) => Ok(moved),
            Err(error) => {
                // There is none if it did not begin.
                let _ = sqlx::query("ROLLBACK").execute(&mut *connection).await;
                Err(self.explain(error, connection).await)
            }
        }
    }

    /// The same, as part of the caller's transaction.
    ///
    /// # Errors
    /// Every variant of [`WriteError`].
    pub(crate) async fn write(
        self,
        connection: &mut SqliteConnection,
        events: &[RecordedEvent],
    ) -> Result<Self, WriteError> {
        match self.run(&WRITE, connection, events).await {
            Ok(moved) => Ok(moved),
            Err(error) => Err(self.explain(error, connection).await),
        }
    }

    async fn run(
        self,
        statement: &'static ManyRows,
        connection: &mut SqliteConnection,
        events: &[RecordedEvent],
    ) -> Result<Self, WriteError> {
        let Some(last) = events.last() else {
            return Ok(self);
        };
        let changes = changes(events)?;
        let query = sqlx::query(statement.text(changes.len()))
            .bind(self.generation)
            .bind(last.position.as_i64())
            .bind(self.generation)
            .bind(self.position.as_i64())
            .bind(self.generation);
        let query = changes.iter().fold(query, |query, change| change.bind(query));
        query.execute(connection).await?;
        Ok(Self { position: last.position, ..self })
    }

    /// What a refusal by the database means: the checkpoint or the rows were elsewhere.
    async fn explain(self, error: WriteError, connection: &mut SqliteConnection) -> WriteError {
        let refused = matches!(&error, WriteError::Database(sqlx::Error::Database(database))
            if database.kind() == sqlx::error::ErrorKind::NotNullViolation);
        if !refused {
            return error;
        }
        let position = sqlx::query_scalar(
            "SELECT position FROM projection_checkpoint WHERE name = 'keys' AND generation = $1",
        );
        match position.bind(self.generation).fetch_optional(connection).await {
            Ok(position) if position == Some(self.position.as_i64()) => WriteError::RowsOutOfStep,
            Ok(_) => WriteError::Superseded,
            Err(error) => error.into(),
        }
    }
}

fn position_of(number: i64) -> Result<Position, sqlx::Error> {
    Position::try_from(number).map_err(|error| sqlx::Error::ColumnDecode {
        index: "projection_checkpoint.position".into(),
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
