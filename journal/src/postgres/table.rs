//! The table as a process that writes to it has it open.

use async_trait::async_trait;
use keyledger_postgres::{Place, bounded, is_lost};
use sqlx::error::ErrorKind;
use sqlx::postgres::PgConnection;

use super::insert::{insert, resent};
use crate::AppendError;
use crate::group::{Outcome, Pending, Table};

/// How often a group is tried that collides with one of another process.
const COLLISIONS: u32 = 20;

pub(super) struct PostgresTable {
    place: Place,
    /// `None` after an error.
    connection: Option<PgConnection>,
}

impl PostgresTable {
    pub(super) async fn open(place: Place) -> Result<Self, sqlx::Error> {
        let mut connection = place.connect().await?;
        let mut migrations = sqlx::migrate!("../migrations/journal/postgres");
        // The read tables may be in the same database, with migrations of their own.
        migrations.dangerous_set_table_name("keyledger_journal_migrations");
        migrations.run_direct(None, &mut connection, false).await?;
        Ok(Self { place, connection: Some(connection) })
    }
}

#[async_trait]
impl Table for PostgresTable {
    async fn commit(&mut self, group: &[Pending]) -> Result<Outcome, AppendError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.place.connect().await.map_err(|e| AppendError::Unavailable(e.into()))?,
        };
        let mut collisions = 0;
        let inserted = loop {
            match bounded(insert(&mut connection, group)).await {
                Ok(inserted) => break inserted,
                // Another process has appended to a stream between the statement's look at it and
                // its turn to write. Nothing was written, and the next look will show it.
                Err(error) if is_collision(&error) && collisions < COLLISIONS => collisions += 1,
                Err(error) if is_lost(&error) => return Err(AppendError::Ambiguous(error.into())),
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
        Ok(Outcome { appended, committed: inserted.committed(group) })
    }
}

fn is_collision(error: &sqlx::Error) -> bool {
    let refusal = error.as_database_error();
    refusal.is_some_and(|refusal| matches!(refusal.kind(), ErrorKind::UniqueViolation))
}
