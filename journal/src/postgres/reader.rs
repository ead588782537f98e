//! Reads events from the database.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use keyledger_domain::{KeyId, Position, RecordedEvent};
use keyledger_postgres::{Heard, Listening, Pool};

use super::{CHANNEL, place, unavailable as unreachable};
use crate::follow::{self, Live, PAGE, Pages};
use crate::news::{self, News, Tell};
use crate::row::{Row, head, unavailable};
use crate::{JournalReader, OpenError, ReadError, Subscription};

/// How often a subscription looks for news that it was not told.
const POLL: Duration = Duration::from_millis(100);
const CONNECTIONS: u32 = 4;

/// The journal in a PostgreSQL database, opened for reading.
#[derive(Clone, Debug)]
pub(crate) struct PostgresReader {
    pool: Pool,
    tell: Tell,
    _listening: Arc<Listening>,
}

impl PostgresReader {
    pub(crate) async fn open(url: &str) -> Result<Self, OpenError> {
        let place = place(url)?;
        let opened = Pool::open(&place, CONNECTIONS).await;
        let pool = opened.map_err(|error| unreachable(&place, error))?;
        let tell = news::channel();
        let told = tell.clone();
        let listening = Listening::start(&place, CHANNEL, move |heard| {
            let head = match heard {
                Heard::Said(head) => head.parse::<i64>().ok(),
                Heard::Interruption => None,
            };
            let head = head.and_then(|head| Position::try_from(head).ok());
            // Nobody may be subscribed.
            let _ = told.send(Arc::new(head.map_or(News::Unknown, News::Head)));
        });
        let reader = Self { pool, tell, _listening: Arc::new(listening) };
        // Tells at once when the tables are missing.
        reader.head().await.map_err(|error| unreachable(&place, error))?;
        Ok(reader)
    }

    /// Where this process tells what it commits.
    pub(super) fn tell(&self) -> Tell {
        self.tell.clone()
    }
}

#[async_trait]
impl Pages for PostgresReader {
    async fn page(&self, after: Position) -> Result<Vec<RecordedEvent>, ReadError> {
        let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
        let rows = self.pool.ask(|connection| {
            sqlx::query_as::<_, Row>(
                "SELECT position, stream, revision, uuid_send(id) AS id, type,
                        data::text AS data, metadata::text AS metadata
                 FROM events WHERE position > $1 ORDER BY position LIMIT $2",
            )
            .bind(after.as_i64())
            .bind(limit)
            .fetch_all(connection)
            .boxed()
        });
        rows.await.map_err(unavailable)?.into_iter().map(Row::into_event).collect()
    }
}

#[async_trait]
impl JournalReader for PostgresReader {
    async fn read(&self, key_id: KeyId) -> Result<Vec<RecordedEvent>, ReadError> {
        let rows = self.pool.ask(|connection| {
            sqlx::query_as::<_, Row>(
                "SELECT position, stream, revision, uuid_send(id) AS id, type,
                        data::text AS data, metadata::text AS metadata
                 FROM events WHERE stream = $1 ORDER BY revision",
            )
            .bind(key_id.stream())
            .fetch_all(connection)
            .boxed()
        });
        rows.await.map_err(unavailable)?.into_iter().map(Row::into_event).collect()
    }

    fn subscribe(&self, after: Position) -> Subscription {
        let live = Live { told: Some(self.tell.subscribe()), poll: Some(POLL) };
        follow::subscribe(self.clone(), after, live)
    }

    /// The counter, from a server that can commit: the question writes a few bytes that nobody reads,
    /// so its answer waits until they are as durable as an event. A standby cannot answer it, nor a
    /// primary that was deposed, if a standby must agree to commits.
    async fn head(&self) -> Result<Position, ReadError> {
        let question = self.pool.ask(|connection| {
            sqlx::query_scalar(
                "SELECT journal_head.position
                 FROM journal_head, pg_logical_emit_message(true, 'keyledger', '')",
            )
            .fetch_one(connection)
            .boxed()
        });
        head(question.await)
    }
}
