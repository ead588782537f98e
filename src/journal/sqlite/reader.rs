//! Reads events from the file.

use std::sync::Arc;

use async_trait::async_trait;
use futures::TryStreamExt;
use keyledger_domain::{EventId, KeyId, Position, RecordedEvent, Revision, decode};
use sqlx::sqlite::{SqlitePool, SqlitePoolOptions};
use tokio::sync::broadcast;
use uuid::Uuid;

use super::Location;
use super::subscription::{self, Live};
use super::writer::Committed;
use crate::journal::{JournalReader, OpenError, ReadError, Subscription, Unreadable};

/// The journal in a SQLite file, opened for reading.
#[derive(Clone, Debug)]
pub(in crate::journal) struct SqliteReader {
    pool: SqlitePool,
    /// Where this process's writer tells what it commits; `None` where another process writes.
    committed: Option<broadcast::WeakSender<Arc<Committed>>>,
}

#[derive(sqlx::FromRow)]
struct Row {
    position: i64,
    stream: String,
    revision: i64,
    id: Vec<u8>,
    #[sqlx(rename = "type")]
    event_type: String,
    data: String,
    metadata: String,
}

impl SqliteReader {
    pub(in crate::journal) async fn open(url: &str) -> Result<Self, OpenError> {
        let location = Location::parse(url)?;
        let pool = SqlitePoolOptions::new()
            .max_connections(4)
            .test_before_acquire(false)
            .connect_with(location.read_only())
            .await
            .map_err(|e| location.failed(e))?;
        Ok(Self { pool, committed: None })
    }

    pub(super) fn fed_by(self, committed: broadcast::Sender<Arc<Committed>>) -> Self {
        Self { committed: Some(committed.downgrade()), ..self }
    }

    /// Up to `limit` events after a position, in order.
    pub(super) async fn page(
        &self,
        after: Position,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let mut rows = sqlx::query_as::<_, Row>(
            "SELECT position, stream, revision, id, type, data, metadata FROM events
             WHERE position > $1 ORDER BY position LIMIT $2",
        )
        .bind(after.as_i64())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch(&self.pool);
        let mut events = Vec::with_capacity(limit);
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
        let live = match &self.committed {
            None => Live::Polled,
            // A closed writer sends nothing more, which a receiver of it will say at once.
            Some(sender) => Live::Told(sender.upgrade().map(|sender| sender.subscribe())),
        };
        subscription::subscribe(self.clone(), after, live)
    }

    async fn barrier(&self) -> Result<Position, ReadError> {
        let head: i64 = sqlx::query_scalar("SELECT coalesce(max(position), 0) FROM events")
            .fetch_one(&self.pool)
            .await
            .map_err(unavailable)?;
        Position::try_from(head).map_err(|e| ReadError::Unavailable(e.into()))
    }
}

fn unavailable(error: sqlx::Error) -> ReadError {
    ReadError::Unavailable(error.into())
}

impl Row {
    fn into_event(self) -> Result<RecordedEvent, ReadError> {
        let position = Position::try_from(self.position).unwrap_or_default();
        self.decode(position).map_err(|source| ReadError::Corrupt { position, source })
    }

    fn decode(self, position: Position) -> Result<RecordedEvent, Unreadable> {
        let place = Unreadable::Place;
        let revision = Revision::try_from(self.revision).map_err(|_| place("its revision"))?;
        let id = Uuid::from_slice(&self.id).map_err(|_| place("its id"))?;
        let (event, metadata) =
            decode(&self.event_type, self.data.as_bytes(), self.metadata.as_bytes())?;
        if KeyId::from_stream(&self.stream) != Some(event.key_id()) {
            return Err(place("its stream"));
        }
        Ok(RecordedEvent { position, revision, id: EventId::from_uuid(id), event, metadata })
    }
}
