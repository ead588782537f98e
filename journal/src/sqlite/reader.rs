//! Reads events from the file.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt;
use keyledger_domain::{InstallationSecret, KeyDelivery, KeyId, Place, Position, RecordedEvent};
use sqlx::sqlite::{SqlitePool, SqlitePoolOptions};
use tokio::sync::broadcast;

use super::{FileLocation, OpenedFile};
use crate::sql::{
    Closing, EventRow, Live, Notice, NoticeSender, PAGE, Pages, SECRET, head, notices, secret,
    subscribe, unavailable,
};
use crate::{JournalReader, KeySubscription, OpenError, ReadError};

/// How often a process that does not append looks for new events.
const POLL: Duration = Duration::from_millis(20);

/// The journal in a SQLite file, opened for reading.
#[derive(Clone, Debug)]
pub(crate) struct SqliteReader {
    pool: SqlitePool,
    file: Arc<OpenedFile>,
    /// Notices of this process's commits; `None` in a process that does not append. It is weak, so
    /// that the sender is dropped, and subscriptions end, when the committing task stops.
    notices: Option<broadcast::WeakSender<Arc<Notice>>>,
}

impl SqliteReader {
    /// Opens the file of a journal that exists.
    pub(crate) async fn open(url: &str) -> Result<Self, OpenError> {
        let location = FileLocation::parse(url)?;
        let file = match OpenedFile::at(location.path()) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(location.missing()),
            Err(error) => return Err(location.refused(error)),
        };
        let reader = Self::with(&location, Arc::new(file)).await?;
        // The process that appends creates the file first and the table then.
        let has_events = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'events')",
        );
        match has_events.fetch_one(&reader.pool).await {
            Ok(true) => Ok(reader),
            Ok(false) => Err(location.missing()),
            Err(error) => Err(location.unreadable(error)),
        }
    }

    /// Opens the file, which is at its path.
    pub(super) async fn with(
        location: &FileLocation,
        file: Arc<OpenedFile>,
    ) -> Result<Self, OpenError> {
        let pool = SqlitePoolOptions::new()
            .max_connections(4)
            .test_before_acquire(false)
            // A connection that is opened anew could open another file.
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(location.read_only())
            .await
            .map_err(|error| location.unreadable(error))?;
        Ok(Self { pool, file, notices: None })
    }

    pub(super) fn with_notices(self, notices: &NoticeSender) -> Self {
        Self { notices: Some(notices.downgrade()), ..self }
    }

    /// Asks the file that was opened; fails if another one is at its path before or after.
    async fn ask<T>(
        &self,
        answer: impl Future<Output = Result<T, ReadError>> + Send,
    ) -> Result<T, ReadError> {
        let check = || self.file.check().map_err(|error| ReadError::Unavailable(error.into()));
        check()?;
        let answer = answer.await;
        check()?;
        answer
    }
}

#[async_trait]
impl Pages for SqliteReader {
    async fn page(&self, after: Position) -> Result<Vec<KeyDelivery>, ReadError> {
        self.ask(async {
            let mut rows = sqlx::query_as::<_, EventRow>(
                "SELECT position, stream, revision, id, type, data, metadata FROM events
                 WHERE position > $1 ORDER BY position LIMIT $2",
            )
            .bind(after.as_i64())
            .bind(i64::try_from(PAGE).unwrap_or(i64::MAX))
            .fetch(&self.pool);
            let mut page = Vec::with_capacity(PAGE);
            while let Some(row) = rows.try_next().await.map_err(unavailable)? {
                page.push(row.into_delivery()?);
            }
            Ok(page)
        })
        .await
    }
}

#[async_trait]
impl JournalReader for SqliteReader {
    async fn read(&self, key_id: KeyId) -> Result<Vec<RecordedEvent>, ReadError> {
        self.ask(async {
            let rows = sqlx::query_as::<_, EventRow>(
                "SELECT position, stream, revision, id, type, data, metadata FROM events
                 WHERE stream = $1 ORDER BY revision",
            )
            .bind(key_id.stream())
            .fetch_all(&self.pool)
            .await
            .map_err(unavailable)?;
            rows.into_iter().map(EventRow::into_event).collect()
        })
        .await
    }

    fn subscribe_to_keys(&self, after: Position) -> KeySubscription {
        let live = match &self.notices {
            None => Live { notices: None, poll: Some(POLL) },
            Some(sender) => {
                // If the committing task has stopped, this is a channel without a sender, which ends
                // the subscription when it has caught up.
                let receiver = sender.upgrade().unwrap_or_else(notices).subscribe();
                Live { notices: Some(receiver), poll: None }
            }
        };
        subscribe(self.clone(), after, live)
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.ask(async {
            head(
                sqlx::query_scalar("SELECT coalesce(max(position), 0) FROM events")
                    .fetch_one(&self.pool)
                    .await,
            )
        })
        .await
    }

    async fn holds(&self, place: Place) -> Result<Option<bool>, ReadError> {
        self.ask(async {
            let is_there = sqlx::query_scalar(
                "SELECT EXISTS (SELECT 1 FROM events WHERE position = $1 AND id = $2)",
            );
            is_there
                .bind(place.position.as_i64())
                .bind(place.event_id.as_uuid())
                .fetch_one(&self.pool)
                .await
                .map(Some)
                .map_err(unavailable)
        })
        .await
    }

    async fn installation_secret(&self) -> Result<Option<InstallationSecret>, ReadError> {
        self.ask(async { secret(sqlx::query_scalar(SECRET).fetch_optional(&self.pool).await) })
            .await
    }
}

#[async_trait]
impl Closing for SqliteReader {
    async fn close(&self) {
        self.pool.close().await;
    }
}
