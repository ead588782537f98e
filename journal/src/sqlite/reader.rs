//! Reads events from the file.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt;
use keyledger_domain::{KeyId, Position, RecordedEvent};
use sqlx::sqlite::{SqlitePool, SqlitePoolOptions};
use tokio::sync::broadcast;

use super::Location;
use crate::follow::{self, Live, PAGE, Pages};
use crate::news::{self, News, Tell};
use crate::row::{Row, head, unavailable};
use crate::{JournalReader, OpenError, ReadError, Subscription};

/// How often a process that does not write looks for news.
const POLL: Duration = Duration::from_millis(20);

/// The journal in a SQLite file, opened for reading.
#[derive(Clone, Debug)]
pub(crate) struct SqliteReader {
    pool: SqlitePool,
    /// Where this process's writer tells what it commits; `None` where another process writes.
    told: Option<broadcast::WeakSender<Arc<News>>>,
}

impl SqliteReader {
    pub(crate) async fn open(url: &str) -> Result<Self, OpenError> {
        let location = Location::parse(url)?;
        let pool = SqlitePoolOptions::new()
            .max_connections(4)
            .test_before_acquire(false)
            .connect_with(location.read_only())
            .await
            .map_err(|e| location.failed(e))?;
        Ok(Self { pool, told: None })
    }

    pub(super) fn fed_by(self, tell: &Tell) -> Self {
        Self { told: Some(tell.downgrade()), ..self }
    }
}

#[async_trait]
impl Pages for SqliteReader {
    async fn page(&self, after: Position) -> Result<Vec<RecordedEvent>, ReadError> {
        let mut rows = sqlx::query_as::<_, Row>(
            "SELECT position, stream, revision, id, type, data, metadata FROM events
             WHERE position > $1 ORDER BY position LIMIT $2",
        )
        .bind(after.as_i64())
        .bind(i64::try_from(PAGE).unwrap_or(i64::MAX))
        .fetch(&self.pool);
        let mut events = Vec::with_capacity(PAGE);
        while let Some(row) = rows.try_next().await.map_err(unavailable)? {
            events.push(row.into_event()?);
        }
        Ok(events)
    }
}

#[async_trait]
impl JournalReader for SqliteReader {
    async fn read(&self, key_id: KeyId) -> Result<Vec<RecordedEvent>, ReadError> {
        let rows = sqlx::query_as::<_, Row>(
            "SELECT position, stream, revision, id, type, data, metadata FROM events
             WHERE stream = $1 ORDER BY revision",
        )
        .bind(key_id.stream())
        .fetch_all(&self.pool)
        .await
        .map_err(unavailable)?;
        rows.into_iter().map(Row::into_event).collect()
    }

    fn subscribe(&self, after: Position) -> Subscription {
        let live = match &self.told {
            None => Live { told: None, poll: Some(POLL) },
            Some(tell) => {
                // A writer that has stopped tells nothing more, which a subscription must notice.
                let told = tell.upgrade().unwrap_or_else(news::channel).subscribe();
                Live { told: Some(told), poll: None }
            }
        };
        follow::subscribe(self.clone(), after, live)
    }

    async fn head(&self) -> Result<Position, ReadError> {
        head(
            sqlx::query_scalar("SELECT coalesce(max(position), 0) FROM events")
                .fetch_one(&self.pool)
                .await,
        )
    }
}
