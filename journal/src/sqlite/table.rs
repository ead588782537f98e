//! The table as the one process that writes to it has it open.

use async_trait::async_trait;
use keyledger_domain::Position;
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use super::insert::{head, insert, resent};
use crate::group::{Outcome, Pending, Table};
use crate::news::Committed;
use crate::{AppendError, Appended};

pub(super) struct SqliteTable {
    options: SqliteConnectOptions,
    /// The connection and the position of the last event; `None` when they are unknown, after an
    /// error.
    open: Option<(SqliteConnection, Position)>,
}

impl SqliteTable {
    pub(super) async fn open(options: SqliteConnectOptions) -> Result<Self, sqlx::Error> {
        let mut connection = options.connect().await?;
        // `run` would do the same with a future that cannot be sent between threads.
        let migrations = sqlx::migrate!("../migrations/journal/sqlite");
        migrations.run_direct(None, &mut connection, false).await?;
        let head = head(&mut connection).await?;
        Ok(Self { options, open: Some((connection, head)) })
    }

    async fn reopen(&self) -> Result<(SqliteConnection, Position), sqlx::Error> {
        let mut connection = self.options.connect().await?;
        let head = head(&mut connection).await?;
        Ok((connection, head))
    }
}

#[async_trait]
impl Table for SqliteTable {
    /// After an error, finds out what became of the group.
    async fn commit(&mut self, group: &[Pending]) -> Result<Outcome, AppendError> {
        let (mut connection, before) = match self.open.take() {
            Some(open) => open,
            None => self.reopen().await.map_err(|e| AppendError::Unavailable(e.into()))?,
        };
        let error = match append_all(&mut connection, before, group).await {
            Ok((outcome, head)) => {
                self.open = Some((connection, head));
                return Ok(outcome);
            }
            Err(error) => error,
        };
        // Closing it takes back what was not committed.
        drop(connection);
        match self.reopen().await {
            Ok((connection, head)) if head == before => {
                self.open = Some((connection, head));
                Err(AppendError::Unavailable(error.into()))
            }
            Ok(open) => {
                self.open = Some(open);
                Err(AppendError::Ambiguous(error.into()))
            }
            Err(_) => Err(AppendError::Ambiguous(error.into())),
        }
    }
}

/// Appends and commits what can be, and tells the position of the last event then.
async fn append_all(
    connection: &mut SqliteConnection,
    before: Position,
    group: &[Pending],
) -> Result<(Outcome, Position), sqlx::Error> {
    let inserted = insert(connection, before, group).await?;
    let mut appended = Vec::with_capacity(group.len());
    let mut events = Vec::with_capacity(group.len());
    for pending in group {
        let recorded = pending.recorded(&inserted.positions);
        appended.push(match recorded.last() {
            Some(last) => Ok(Appended { position: last.position, revision: last.revision }),
            None => pending.resent(&resent(connection, pending).await?),
        });
        // Positions were given in this order.
        events.extend(recorded);
    }
    let committed = Committed { after: before, events };
    Ok((Outcome { appended, committed }, inserted.head))
}
