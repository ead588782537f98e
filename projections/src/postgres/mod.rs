//! The read tables in a PostgreSQL database, for any number of nodes.

mod log;
mod write;

use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt, TryStreamExt};
use keyledger_domain::{KeyId, Position, RecordedEvent, without_password};
use keyledger_postgres::{Listener, Location, Pool, bounded, is_execution};
use keyledger_verifier::Use;
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use tokio::sync::{Mutex, MutexGuard, watch};

use crate::keys::{COUNT, GET, LIST, ListQuery, Row, SCAN, ScanRow};
use crate::lease::{Claim, Epoch};
use crate::store::{
    CLEAR, CLEAR_BUILDS, Checkpoint, RELAYED, SET_RELAYED, SWAP, Store, Swap, Target, position_of,
};
use crate::{OpenTablesError, WriteError};
use write::{CHANNEL, live, write};

/// How many connections queries have.
const CONNECTIONS: u32 = 8;
/// How often to look for what another node has written and was not heard of.
const LOOK: Duration = Duration::from_millis(50);
/// How many rows are deleted at a time, so that others get their turn.
const DELETED_AT_ONCE: i64 = 5_000;

/// The read tables in a PostgreSQL database.
#[derive(Debug)]
pub(crate) struct PostgresStore {
    location: Location,
    reads: Pool,
    /// For changes; `None` after one whose outcome is unknown.
    writes: Mutex<Option<PgConnection>>,
    /// Counts what was heard of changes.
    heard: watch::Sender<u64>,
    _listener: Listener,
}

impl PostgresStore {
    pub(crate) async fn open(url: &str) -> Result<Self, OpenTablesError> {
        let location = Location::parse(url, "keyledger-read")
            .map_err(|source| OpenTablesError::BadUrl { url: without_password(url), source })?;
        let unavailable =
            |source| OpenTablesError::Unavailable { place: location.to_string(), source };
        let mut writes = location.connect().await.map_err(unavailable)?;
        let mut migrations = sqlx::migrate!("../migrations/read/postgres");
        // The journal may be in the same database, with migrations of its own.
        migrations.dangerous_set_table_name("keyledger_read_migrations");
        let migrated = migrations.run_direct(None, &mut writes, false).await;
        migrated.map_err(|error| match error {
            error if is_execution(&error) => unavailable(error.into()),
            error => OpenTablesError::Migration(error),
        })?;
        let reads = Pool::open(&location, CONNECTIONS).await.map_err(unavailable)?;
        let heard = watch::Sender::new(0);
        let told = heard.clone();
        let listener = Listener::start(&location, CHANNEL, move |_| {
            told.send_modify(|count: &mut u64| *count = count.wrapping_add(1));
        });
        Ok(Self { location, reads, writes: Mutex::new(Some(writes)), heard, _listener: listener })
    }

    /// The connection for changes, once nobody else uses it.
    async fn writer(&self) -> Result<Writer<'_>, sqlx::Error> {
        let mut place = self.writes.lock().await;
        let connection = match place.take() {
            Some(connection) => connection,
            None => self.location.connect().await?,
        };
        Ok(Writer { place, connection })
    }
}

/// The connection for changes. Only after one that went well is it used for the next: otherwise it
/// may be in the midst of something.
struct Writer<'a> {
    place: MutexGuard<'a, Option<PgConnection>>,
    connection: PgConnection,
}

impl Writer<'_> {
    /// Changes something, and gives the connection back.
    async fn change<T>(
        mut self,
        change: impl for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        let changed = bounded(change(&mut self.connection)).await?;
        self.keep();
        Ok(changed)
    }

    fn keep(mut self) {
        *self.place = Some(self.connection);
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn list(&self, query: &ListQuery<'_>) -> Result<Vec<Row>, sqlx::Error> {
        let rows = self.reads.ask(|connection| {
            sqlx::query_as(LIST)
                .bind(query.owner.to_owned())
                .bind(query.status)
                .bind(query.after.created_at.unix_micros())
                .bind(query.after.key_id.as_uuid())
                .bind(query.limit)
                .fetch_all(connection)
                .boxed()
        });
        rows.await
    }

    async fn get(&self, key_id: KeyId) -> Result<Option<Row>, sqlx::Error> {
        let row = self.reads.ask(|connection| {
            sqlx::query_as(GET).bind(key_id.as_uuid()).fetch_optional(connection).boxed()
        });
        row.await
    }

    async fn count(&self) -> Result<i64, sqlx::Error> {
        self.reads.ask(|connection| sqlx::query_scalar(COUNT).fetch_one(connection).boxed()).await
    }

    /// On a connection of its own, since it takes long.
    async fn scan(
        &self,
        each: &mut (dyn FnMut(ScanRow) -> bool + Send),
    ) -> Result<Checkpoint, sqlx::Error> {
        let mut connection = self.location.connect().await?;
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        bounded(sqlx::raw_sql(begin).execute(&mut connection)).await?;
        let checkpoint = bounded(live(&mut connection)).await?;
        let mut rows = sqlx::query_as(SCAN).bind(checkpoint.generation).fetch(&mut connection);
        while let Some(row) = bounded(rows.try_next()).await? {
            if !each(row) {
                break;
            }
        }
        Ok(checkpoint)
    }

    async fn live(&self) -> Result<Checkpoint, sqlx::Error> {
        self.reads.ask(|connection| live(connection).boxed()).await
    }

    async fn changed(&self) {
        let mut heard = self.heard.subscribe();
        let _ = tokio::time::timeout(LOOK, heard.changed()).await;
    }

    async fn write(
        &self,
        from: Checkpoint,
        target: Target,
        events: &[RecordedEvent],
        to: Position,
    ) -> Result<Checkpoint, WriteError> {
        let mut writer = self.writer().await?;
        let writing = write(&mut writer.connection, from, target, events, to);
        let checkpoint = bounded(writing.map(Ok)).await??;
        writer.keep();
        Ok(checkpoint)
    }

    async fn begin_build(&self) -> Result<Checkpoint, sqlx::Error> {
        let generation = self.writer().await?.change(|connection| {
            sqlx::query_scalar(
                "WITH next AS (
                     UPDATE projection SET last_generation = last_generation + 1
                     WHERE name = 'keys' RETURNING last_generation)
                 INSERT INTO build (generation, position) SELECT last_generation, 0 FROM next
                 RETURNING generation",
            )
            .fetch_one(connection)
            .boxed()
        });
        Ok(Checkpoint { generation: generation.await?, position: Position::START })
    }

    async fn swap(&self) -> Result<Box<dyn Swap + '_>, sqlx::Error> {
        let mut connection = self.location.connect().await?;
        bounded(begin_swap(&mut connection)).await?;
        Ok(Box::new(PostgresSwap { connection }))
    }

    async fn clear(&self) -> Result<u64, sqlx::Error> {
        self.writer()
            .await?
            .change(|connection| {
                async {
                    let deleted =
                        sqlx::query(CLEAR).bind(DELETED_AT_ONCE).execute(&mut *connection).await?;
                    sqlx::query(CLEAR_BUILDS).execute(connection).await?;
                    Ok(deleted.rows_affected())
                }
                .boxed()
            })
            .await
    }

    async fn record(&self, uses: &[Use]) -> Result<(), sqlx::Error> {
        let (keys, times): (Vec<_>, Vec<_>) =
            uses.iter().map(|(key_id, at)| (key_id.as_uuid(), at.unix_micros())).unzip();
        self.writer()
            .await?
            .change(|connection| {
                // Rows come in the order of their keys, so that two nodes never wait for each other.
                let recorded = sqlx::query(
                    "INSERT INTO key_usage (key_id, last_used_at)
                 SELECT key_id, last_used_at
                 FROM unnest($1::uuid[], $2::bigint[]) AS used (key_id, last_used_at)
                 ORDER BY key_id
                 ON CONFLICT (key_id) DO UPDATE SET last_used_at = excluded.last_used_at
                 WHERE key_usage.last_used_at < excluded.last_used_at",
                );
                recorded.bind(keys).bind(times).execute(connection).map_ok(drop).boxed()
            })
            .await
    }

    async fn claim(&self, claim: &Claim) -> Result<Option<Epoch>, sqlx::Error> {
        let Claim { name, holder, period } = *claim;
        let epoch = self.writer().await?.change(|connection| {
            sqlx::query_scalar(
                "INSERT INTO lease (duty, holder, epoch, expires_at)
                 VALUES ($1, $2, 1, clock_timestamp() + $3 * interval '1 second')
                 ON CONFLICT (duty) DO UPDATE
                 SET holder = excluded.holder, expires_at = excluded.expires_at,
                     epoch = lease.epoch + (lease.holder <> excluded.holder)::int
                 WHERE lease.holder = excluded.holder OR lease.expires_at < clock_timestamp()
                 RETURNING epoch",
            )
            .bind(name.name())
            .bind(holder)
            .bind(period.as_secs_f64())
            .fetch_optional(connection)
            .boxed()
        });
        Ok(epoch.await?.map(Epoch))
    }

    async fn release(&self, claim: &Claim) -> Result<(), sqlx::Error> {
        let Claim { name, holder, .. } = *claim;
        self.writer()
            .await?
            .change(|connection| {
                sqlx::query(
                    "UPDATE lease SET expires_at = '-infinity' WHERE duty = $1 AND holder = $2",
                )
                .bind(name.name())
                .bind(holder)
                .execute(connection)
                .map_ok(drop)
                .boxed()
            })
            .await
    }

    async fn relayed(&self, stream: &str) -> Result<Position, sqlx::Error> {
        let position = self.reads.ask(|connection| {
            sqlx::query_scalar(RELAYED).bind(stream.to_owned()).fetch_optional(connection).boxed()
        });
        position.await?.map_or(Ok(Position::START), |position| position_of("relay", position))
    }

    async fn set_relayed(&self, stream: &str, position: Position) -> Result<(), sqlx::Error> {
        let stream = stream.to_owned();
        self.writer()
            .await?
            .change(|connection| {
                let set = sqlx::query(SET_RELAYED).bind(stream).bind(position.as_i64());
                set.execute(connection).map_ok(drop).boxed()
            })
            .await
    }
}

/// Locks the row that every projector looks at when it writes. If this process or the network dies,
/// the server itself takes the lock back.
async fn begin_swap(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(
        "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '10s';
         SELECT FROM projection WHERE name = 'keys' FOR UPDATE",
    )
    .execute(connection)
    .await
    .map(drop)
}

/// A transaction on a connection of its own: it is undone when that is closed.
struct PostgresSwap {
    connection: PgConnection,
}

#[async_trait]
impl Swap for PostgresSwap {
    async fn live(&mut self) -> Result<Checkpoint, sqlx::Error> {
        bounded(live(&mut self.connection)).await
    }

    async fn write(
        &mut self,
        from: Checkpoint,
        events: &[RecordedEvent],
        to: Position,
    ) -> Result<Checkpoint, WriteError> {
        let writing = write(&mut self.connection, from, Target::Next, events, to);
        bounded(writing.map(Ok)).await?
    }

    async fn finish(mut self: Box<Self>, generation: i64) -> Result<(), WriteError> {
        let connection = &mut self.connection;
        let swapped = bounded(sqlx::query(SWAP).bind(generation).execute(&mut *connection)).await?;
        if swapped.rows_affected() != 1 {
            return Err(WriteError::Superseded);
        }
        bounded(sqlx::raw_sql("COMMIT").execute(connection)).await?;
        Ok(self.connection.close().await?)
    }
}
