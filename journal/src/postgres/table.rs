//! The connection of a process that appends.

use async_trait::async_trait;
use keyledger_postgres::{Location, bounded, is_unreachable};
use sqlx::error::ErrorKind;
use sqlx::postgres::PgConnection;

use super::insert::{insert, resent};
use crate::AppendError;
use crate::sql::{EventTable, GroupOutcome, PendingAppend};

/// How many more times a group is tried that collides with one of another process.
const COLLISIONS: u32 = 20;

pub(super) struct PostgresTable {
    location: Location,
    /// `None` after an error.
    connection: Option<PgConnection>,
}

impl PostgresTable {
    pub(super) async fn open(location: Location) -> Result<Self, sqlx::Error> {
        let mut connection = location.connect().await?;
        let mut migrations = sqlx::migrate!("../migrations/journal/postgres");
        // The read tables may be in the same database, with migrations of their own.
        migrations.dangerous_set_table_name("keyledger_journal_migrations");
        migrations.run_direct(None, &mut connection, false).await?;
        Ok(Self { location, connection: Some(connection) })
    }
}

#[async_trait]
impl EventTable for PostgresTable {
    async fn commit(&mut self, group: &[PendingAppend]) -> Result<GroupOutcome, AppendError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let connected = self.location.connect().await;
                connected.map_err(|error| AppendError::Unavailable(error.into()))?
            }
        };
        let mut collisions = 0;
        let inserted = loop {
            match bounded(insert(&mut connection, group)).await {
                Ok(inserted) => break inserted,
                // Another process has appended to a stream after the statement had checked its
                // revision. Nothing was written, and the next attempt sees the new revision.
                Err(error) if is_collision(&error) && collisions < COLLISIONS => collisions += 1,
                Err(error) if is_unreachable(&error) => {
                    return Err(AppendError::Ambiguous(error.into()));
                }
                Err(error) => return Err(AppendError::Unavailable(error.into())),
            }
        };
        let mut appended = Vec::with_capacity(group.len());
        for pending in group {
            appended.push(match inserted.appended(pending) {
                Some(appended) => Ok(appended),
                None => match bounded(resent(&mut connection, pending)).await {
                    Ok(rows) => pending.resent(&rows),
                    Err(error) => return Err(AppendError::Ambiguous(error.into())),
                },
            });
        }
        self.connection = Some(connection);
        Ok(GroupOutcome { appended, committed: inserted.committed(group) })
    }
}

fn is_collision(error: &sqlx::Error) -> bool {
    let refusal = error.as_database_error();
    refusal.is_some_and(|refusal| matches!(refusal.kind(), ErrorKind::UniqueViolation))
}
