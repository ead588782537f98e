//! The connection of the process that appends.

use async_trait::async_trait;
use keyledger_domain::Position;
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use super::insert::{head, insert, resent};
use crate::sql::{Committed, EventTable, GroupOutcome, PendingAppend};
use crate::{AppendError, Appended};

pub(super) struct SqliteTable {
    options: SqliteConnectOptions,
    /// The connection and the head; `None` after an error, when the head is unknown.
    open: Option<(SqliteConnection, Position)>,
}

impl SqliteTable {
    pub(super) async fn open(options: SqliteConnectOptions) -> Result<Self, sqlx::Error> {
        let mut connection = options.connect().await?;
        // The future of `run` is not `Send`; that of `run_direct` is, and does the same.
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
impl EventTable for SqliteTable {
    /// After an error, the head tells whether the group was committed.
    async fn commit(&mut self, group: &[PendingAppend]) -> Result<GroupOutcome, AppendError> {
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
        // Closing the connection rolls back what was not committed.
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

/// Appends and commits the appends whose expectation holds, and returns the head after them.
async fn append_all(
    connection: &mut SqliteConnection,
    before: Position,
    group: &[PendingAppend],
) -> Result<(GroupOutcome, Position), sqlx::Error> {
    let inserted = insert(connection, before, group).await?;
    let mut appended = Vec::with_capacity(group.len());
    let mut events = Vec::with_capacity(group.len());
    for pending in group {
        let recorded = pending.recorded(&inserted.positions);
        appended.push(match recorded.last() {
            Some(last) => Ok(Appended { position: last.position, revision: last.revision }),
            None => pending.resent(&resent(connection, pending).await?),
        });
        // Positions were assigned in the order of the group, so this is journal order.
        events.extend(recorded);
    }
    let committed = Committed { after: before, events };
    Ok((GroupOutcome { appended, committed }, inserted.head))
}
