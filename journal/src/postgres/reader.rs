//! Reads events from the database.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use keyledger_domain::{InstallationSecret, KeyDelivery, KeyId, Place, Position, RecordedEvent};
use keyledger_postgres::{Changes, Listener, Location, Notification, Pool, read_only};

use super::{CHANNEL, unreachable};
use crate::sql::{
    Closing, EventRow, Live, Notice, NoticeSender, PAGE, Pages, SECRET, head, notices, secret,
    subscribe, unavailable,
};
use crate::{JournalReader, KeySubscription, OpenError, ReadError};

/// How often a subscription looks for new events, since notifications can be lost.
const POLL: Duration = Duration::from_millis(100);
/// How many connections there are for reading.
const CONNECTIONS: u32 = 4;

/// The journal in a PostgreSQL database, opened for reading.
#[derive(Clone, Debug)]
pub(crate) struct PostgresReader {
    pool: Pool,
    /// Proves the head. It may wait for a standby, and must not keep other queries waiting.
    proofs: Changes,
    notices: NoticeSender,
    _listener: Arc<Listener>,
}

impl PostgresReader {
    pub(super) async fn open(location: &Location) -> Result<Self, OpenError> {
        let opened = Pool::open(location, CONNECTIONS).await;
        let pool = opened.map_err(|error| unreachable(location, error))?;
        let proofs = Changes::new(location.clone());
        let notices = notices();
        let sender = notices.clone();
        let listener = Listener::start(location, CHANNEL, move |notification| {
            let head = match notification {
                Notification::Received(head) => head.parse::<i64>().ok(),
                Notification::PossiblyMissed => None,
            };
            let head = head.and_then(|head| Position::try_from(head).ok());
            // Sending fails if there is no subscription, which is no error.
            let _ = sender.send(Arc::new(head.map_or(Notice::Unknown, Notice::Head)));
        });
        let reader = Self { pool, proofs, notices, _listener: Arc::new(listener) };
        // Fails now, rather than at the first read, if the tables are missing.
        reader.head().await.map_err(|error| unreachable(location, error))?;
        Ok(reader)
    }

    /// The sender of notices, for the task that commits.
    pub(super) fn notices(&self) -> NoticeSender {
        self.notices.clone()
    }
}

#[async_trait]
impl Pages for PostgresReader {
    async fn page(&self, after: Position) -> Result<Vec<KeyDelivery>, ReadError> {
        let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
        let rows = self.pool.ask(|connection| {
            sqlx::query_as::<_, EventRow>(
                "SELECT position, stream, revision, uuid_send(id) AS id, type,
                        data::text AS data, metadata::text AS metadata
                 FROM events WHERE position > $1 ORDER BY position LIMIT $2",
            )
            .bind(after.as_i64())
            .bind(limit)
            .fetch_all(connection)
            .boxed()
        });
        rows.await.map_err(unavailable)?.into_iter().map(EventRow::into_delivery).collect()
    }
}

#[async_trait]
impl JournalReader for PostgresReader {
    async fn read(&self, key_id: KeyId) -> Result<Vec<RecordedEvent>, ReadError> {
        let rows = self.pool.ask(|connection| {
            sqlx::query_as::<_, EventRow>(
                "SELECT position, stream, revision, uuid_send(id) AS id, type,
                        data::text AS data, metadata::text AS metadata
                 FROM events WHERE stream = $1 ORDER BY revision",
            )
            .bind(key_id.stream())
            .fetch_all(connection)
            .boxed()
        });
        rows.await.map_err(unavailable)?.into_iter().map(EventRow::into_event).collect()
    }

    fn subscribe_to_keys(&self, after: Position) -> KeySubscription {
        let live = Live { notices: Some(self.notices.subscribe()), poll: Some(POLL) };
        subscribe(self.clone(), after, live)
    }

    /// The counter, read by a transaction that also writes a few bytes to the write-ahead log, so that
    /// it commits only if an append could commit. A standby cannot answer it; nor can a primary that
    /// was set read-only, nor one that was deposed, if commits need the agreement of a standby
    /// (`synchronous_standby_names`).
    async fn head(&self) -> Result<Position, ReadError> {
        let answer = self.proofs.run(|connection| {
            async {
                // The message is written in a read-only transaction too.
                let (position, is_read_only) = sqlx::query_as(
                    "SELECT journal_head.position,
                            pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean
                     FROM journal_head, pg_logical_emit_message(true, 'keyledger', '')",
                )
                .fetch_one(connection)
                .await?;
                if is_read_only { Err(read_only()) } else { Ok(position) }
            }
            .boxed()
        });
        head(answer.await.map_err(sqlx::Error::from))
    }

    async fn holds(&self, place: Place) -> Result<Option<bool>, ReadError> {
        let answer = self.pool.ask(|connection| {
            sqlx::query_scalar("SELECT EXISTS (SELECT FROM events WHERE position = $1 AND id = $2)")
                .bind(place.position.as_i64())
                .bind(place.event_id.as_uuid())
                .fetch_one(connection)
                .boxed()
        });
        answer.await.map(Some).map_err(unavailable)
    }

    async fn installation_secret(&self) -> Result<Option<InstallationSecret>, ReadError> {
        let answer = self
            .pool
            .ask(|connection| sqlx::query_scalar(SECRET).fetch_optional(connection).boxed());
        secret(answer.await)
    }
}

#[async_trait]
impl Closing for PostgresReader {
    /// The server closes them when the process ends.
    async fn close(&self) {}
}
