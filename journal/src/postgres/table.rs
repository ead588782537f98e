//! The connection of a process that appends.

use async_trait::async_trait;
use futures::FutureExt;
use keyledger_domain::InstallationSecret;
use keyledger_postgres::{ChangeError, Changes, Location, is_bad_data, is_unreachable};

use super::insert::{Inserted, insert, resent};
use crate::sql::{Committed, EventTable, GroupOutcome, KEEP_SECRET, PendingAppend};
use crate::{AppendError, Appended};

/// Why the rest of a group is not tried: each attempt could take as long as the one that failed.
const LOST: &str = "the server was lost while a group was committed";

pub(super) struct PostgresTable {
    changes: Changes,
}

impl PostgresTable {
    pub(super) fn new(location: Location) -> Self {
        Self { changes: Changes::new(location) }
    }

    /// Commits the appends of a group one by one, since the server refuses the data of at least one.
    /// The events of others may come between theirs, so subscriptions have to read them from the table.
    async fn commit_each(&self, group: &[PendingAppend]) -> GroupOutcome {
        let mut appended = Vec::with_capacity(group.len());
        let mut is_lost = false;
        for pending in group {
            let outcome = if is_lost {
                Err(AppendError::Unavailable(LOST.into()))
            } else {
                match insert(&self.changes, &[pending]).await {
                    Ok(inserted) => self.outcome(&inserted, pending).await,
                    Err(error) => Err(append_error(error)),
                }
            };
            is_lost |= outcome.as_ref().is_err_and(AppendError::is_passing);
            appended.push(outcome);
        }
        GroupOutcome { appended, committed: Committed::default() }
    }

    /// The outcome of an append, of which these events were inserted.
    async fn outcome(
        &self,
        inserted: &Inserted,
        pending: &PendingAppend,
    ) -> Result<Appended, AppendError> {
        if let Some(appended) = inserted.appended(pending) {
            return Ok(appended);
        }
        match resent(&self.changes, pending).await {
            Ok(rows) => pending.resent(&rows),
            Err(error) => Err(AppendError::Ambiguous(sqlx::Error::from(error).into())),
        }
    }
}

#[async_trait]
impl EventTable for PostgresTable {
    async fn commit(&mut self, group: &[PendingAppend]) -> Result<GroupOutcome, AppendError> {
        let together: Vec<_> = group.iter().collect();
        let inserted = match insert(&self.changes, &together).await {
            Ok(inserted) => inserted,
            Err(ChangeError::Sent(error)) if is_bad_data(&error) => {
                return Ok(self.commit_each(group).await);
            }
            Err(error) => return Err(append_error(error)),
        };
        let mut appended = Vec::with_capacity(group.len());
        let mut is_lost = false;
        for pending in group {
            let outcome = match inserted.appended(pending) {
                None if is_lost => Err(AppendError::Ambiguous(LOST.into())),
                Some(_) | None => self.outcome(&inserted, pending).await,
            };
            is_lost |= outcome.as_ref().is_err_and(AppendError::is_passing);
            appended.push(outcome);
        }
        Ok(GroupOutcome { appended, committed: inserted.committed(group) })
    }

    async fn keep_secret(&mut self, secret: InstallationSecret) -> Result<(), AppendError> {
        let written = self.changes.run(move |connection| {
            let keep = sqlx::query(KEEP_SECRET).bind(secret.as_bytes().to_vec());
            keep.execute(connection).boxed()
        });
        written.await.map(drop).map_err(append_error)
    }

    /// Takes the lock that appends need, and commits as they do.
    async fn probe(&mut self) -> Result<(), AppendError> {
        let written = self.changes.run(|connection| {
            sqlx::query("UPDATE journal_head SET position = position").execute(connection).boxed()
        });
        written.await.map(drop).map_err(append_error)
    }
}

fn append_error(error: ChangeError) -> AppendError {
    match error {
        ChangeError::NotSent(error) => AppendError::Unavailable(error.into()),
        ChangeError::Sent(error) if is_unreachable(&error) => AppendError::Ambiguous(error.into()),
        ChangeError::Sent(error) if is_bad_data(&error) => AppendError::Invalid(error.into()),
        ChangeError::Sent(error) => AppendError::Unavailable(error.into()),
    }
}
