//! Reads events from the file.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt;
use keyledger_domain::{KeyDelivery, KeyId, Place, Position, RecordedEvent};
use sqlx::sqlite::{SqlitePool, SqlitePoolOptions};
use tokio::sync::broadcast;

use super::FileLocation;
use crate::sql::{
    EventRow, Live, Notice, NoticeSender, PAGE, Pages, head, notices, subscribe, unavailable,
};
use crate::{JournalReader, KeySubscription, OpenError, ReadError};

/// How often a process that does not append looks for new events.
const POLL: Duration = Duration::from_millis(20);

/// The journal in a SQLite file, opened for reading.
#[derive(Clone, Debug)]
pub(crate) struct SqliteReader {
    pool: SqlitePool,
    /// Notices of this process's commits; `None` in a process that does not append. It is weak, so
    /// that the sender is dropped, and subscriptions end, when the committing task stops.
    notices: Option<broadcast::WeakSender<Arc<Notice>>>,
}

impl SqliteReader {
    pub(crate) async fn open(url: &str) -> Result<Self, OpenError> {
        let location = FileLocation::parse(url)?;
        let pool = SqlitePoolOptions::new()
            .max_connections(4)
            .test_before_acquire(false)
            .connect_with(location.read_only())
            .await
            .map_err(|e| location.refused(e))?;
        Ok(Self { pool, notices: None })
    }

    pub(super) fn with_notices(self, notices: &NoticeSender) -> Self {
        Self { notices: Some(notices.downgrade()), ..self }
    }
}

#[async_trait]
impl Pages for SqliteReader {
    async fn page(&self, after: Position) -> Result<Vec<KeyDelivery>, ReadError> {
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
    }
}

#[async_trait]
impl JournalReader for SqliteReader {
    async fn read(&self, key_id: KeyId) -> Result<Vec<RecordedEvent>, ReadError> {
        let rows = sqlx::query_as::<_, EventRow>(
            "SELECT position, stream, revision, id, type, data, metadata FROM events
             WHERE stream = $1 ORDER BY revision",
        )
        .bind(key_id.stream())
        .fetch_all(&self.pool)
        .await
        .map_err(unavailable)?;
        rows.into_iter().map(EventRow::into_event).collect()
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
        head(
            sqlx::query_scalar("SELECT coalesce(max(position), 0) FROM events")
                .fetch_one(&self.pool)
                .await,
        )
    }

    async fn holds(&self, place: Place) -> Result<Option<bool>, ReadError> {
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM events WHERE position = $1 AND id = $2)")
            .bind(place.position.as_i64())
            .bind(place.event_id.as_uuid())
            .fetch_one(&self.pool)
            .await
            .map(Some)
            .map_err(unavailable)
    }
}
