//! What the journals in SQL databases have in common: one table of events, to which one task appends
//! in groups, and which subscriptions read in pages.

mod follow;
mod group;
mod notice;
mod pending;
mod row;

use std::fs::File;
use std::time::Duration;

use async_trait::async_trait;
use keyledger_domain::{InstallationSecret, KeyId, Place, Position, RecordedEvent};

use crate::{
    Append, AppendError, Appended, CloseError, Journal, JournalReader, KeySubscription, ReadError,
};
pub(crate) use follow::{Live, PAGE, Pages, subscribe};
pub(crate) use group::{Committer, EventTable, GroupOutcome, MOST_EVENTS};
pub(crate) use notice::{Committed, Notice, NoticeSender, notices};
pub(crate) use pending::{PendingAppend, RESENT, ResentRow};
pub(crate) use row::{EventRow, head, unavailable};

/// How long the reader's connections are waited for: a subscription may still use one.
const READS_END: Duration = Duration::from_secs(1);

/// Keeps the secret `$1` of the installation, unless there is one.
pub(crate) const KEEP_SECRET: &str =
    "INSERT INTO installation (only_row, secret) VALUES (1 = 1, $1) ON CONFLICT DO NOTHING";

/// The secret of the installation.
pub(crate) const SECRET: &str = "SELECT secret FROM installation";

/// The secret that [`SECRET`] has found.
pub(crate) fn secret(
    found: Result<Option<Vec<u8>>, sqlx::Error>,
) -> Result<Option<InstallationSecret>, ReadError> {
    let secret = |bytes: Vec<u8>| InstallationSecret::try_from(bytes.as_slice());
    let found = found.map_err(unavailable)?.map(secret).transpose();
    found.map_err(|error| ReadError::Unavailable(error.into()))
}

/// A reader whose connections can be closed.
#[async_trait]
pub(crate) trait Closing {
    /// Closes the connections, once they are not used any more.
    async fn close(&self);
}

/// A journal in a SQL database: appends go through a [`Committer`], all else to a reader.
#[derive(Debug)]
pub(crate) struct SqlJournal<R> {
    reader: R,
    committer: Committer,
    /// Kept open for the lock on it. The system releases the lock when the process ends in any way.
    _lock: Option<File>,
}

impl<R: JournalReader> SqlJournal<R> {
    pub(crate) fn new(reader: R, committer: Committer, lock: Option<File>) -> Self {
        Self { reader, committer, _lock: lock }
    }
}

#[async_trait]
impl<R: JournalReader> JournalReader for SqlJournal<R> {
    async fn read(&self, key_id: KeyId) -> Result<Vec<RecordedEvent>, ReadError> {
        self.reader.read(key_id).await
    }

    fn subscribe_to_keys(&self, after: Position) -> KeySubscription {
        self.reader.subscribe_to_keys(after)
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.reader.head().await
    }

    async fn holds(&self, place: Place) -> Result<Option<bool>, ReadError> {
        self.reader.holds(place).await
    }

    async fn installation_secret(&self) -> Result<Option<InstallationSecret>, ReadError> {
        self.reader.installation_secret().await
    }
}

#[async_trait]
impl<R: JournalReader + Closing> Journal for SqlJournal<R> {
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.committer.append(append).await
    }

    /// One commit appends all of them or none.
    async fn append_in_order(&self, appends: Vec<Append>) -> Result<Vec<Appended>, AppendError> {
        self.committer.append_together(appends).await
    }

    async fn probe(&self) -> Result<(), AppendError> {
        self.committer.probe().await
    }

    async fn keep_installation_secret(
        &self,
        secret: InstallationSecret,
    ) -> Result<InstallationSecret, AppendError> {
        self.committer.keep_secret(secret).await?;
        let kept = self.reader.installation_secret().await;
        let kept = kept.map_err(|error| AppendError::Ambiguous(error.into()))?;
        kept.ok_or_else(|| AppendError::Ambiguous("the secret that was kept is not there".into()))
    }

    /// The connection that appends is the last: SQLite removes the write-ahead log with the last one,
    /// if that may write.
    async fn close(&self) -> Result<(), CloseError> {
        if tokio::time::timeout(READS_END, self.reader.close()).await.is_err() {
            tracing::debug!("the journal's reading connections are not closed in time");
        }
        self.committer.close().await
    }
}
