//! Queries and changes of the read tables, except those of the log.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::{FutureExt, TryFutureExt, TryStreamExt};
use keyledger_domain::{ClosedKey, KeyId, Position, Reached, RecordedEvent, UserId};
use keyledger_postgres::bounded;
use keyledger_verifier::Use;

use super::PostgresStore;
use super::swap::PostgresSwap;
use super::write::{Write, close, live};
use crate::WriteError;
use crate::keys::{COUNT, COUNT_OF, ClosedRow, GET, KeyRow, LIST, ListQuery, SCAN, ScanRow};
use crate::store::{
    Build, CLEAR_CLOSED, CLOSED, Claim, Epoch, RELAYED, SET_RELAYED, Store, Swap, Target,
    position_of,
};

/// How long [`Store::changed`] waits for a notification of another node. Notifications may be lost.
const POLL: Duration = Duration::from_millis(50);
/// The maximum number of rows deleted per transaction, so that other writers wait only for a short
/// time.
const DELETED_AT_ONCE: i64 = 5_000;

/// Begins a build, and ends every other that queries do not read: its rebuild cannot write any more,
/// nor swap. A swap locks the row of `projection` until it has committed.
const BEGIN_BUILD: &str = "
    WITH next AS (
        UPDATE projection SET last_generation = last_generation + 1 WHERE name = 'keys'
        RETURNING live_generation, last_generation
    ), ended AS (
        DELETE FROM build USING next WHERE build.generation <> next.live_generation
    )
    INSERT INTO build (generation, position) SELECT last_generation, 0 FROM next
    RETURNING generation";

/// Ends the builds that the live one has replaced. A later one, which may be in progress, goes on.
const END_BUILDS: &str = "
    WITH live AS (
        SELECT live_generation FROM projection WHERE name = 'keys' FOR SHARE
    )
    DELETE FROM build USING live WHERE build.generation < live.live_generation";

/// Deletes at most `$1` rows of builds that have ended.
const CLEAR: &str = "
    DELETE FROM keys WHERE (generation, key_id) IN
        (SELECT generation, key_id FROM keys
         WHERE NOT EXISTS (SELECT FROM build WHERE build.generation = keys.generation) LIMIT $1)";

#[async_trait]
impl Store for PostgresStore {
    async fn list(&self, query: &ListQuery<'_>) -> Result<Vec<KeyRow>, sqlx::Error> {
        let rows = self.reads.ask(|connection| {
            sqlx::query_as(LIST)
                .bind(query.owner.to_owned())
                .bind(query.status)
                .bind(query.after.created_at.unix_micros())
                .bind(query.after.key_id.as_uuid())
                .bind(query.limit)
                .bind(query.now.unix_micros())
                .fetch_all(connection)
                .boxed()
        });
        rows.await
    }

    async fn get(&self, key_id: KeyId) -> Result<Option<KeyRow>, sqlx::Error> {
        let row = self.reads.ask(|connection| {
            sqlx::query_as(GET).bind(key_id.as_uuid()).fetch_optional(connection).boxed()
        });
        row.await
    }

    async fn count_of(&self, owner: &UserId, most: i64) -> Result<i64, sqlx::Error> {
        let count = self.reads.ask(|connection| {
            let count = sqlx::query_scalar(COUNT_OF).bind(owner.as_str().to_owned()).bind(most);
            count.fetch_one(connection).boxed()
        });
        count.await
    }

    async fn count(&self) -> Result<i64, sqlx::Error> {
        self.reads.ask(|connection| sqlx::query_scalar(COUNT).fetch_one(connection).boxed()).await
    }

    /// Uses its own connection, since a scan takes long.
    async fn scan(
        &self,
        each: &mut (dyn FnMut(ScanRow) -> bool + Send),
    ) -> Result<Build, sqlx::Error> {
        let mut connection = self.location.connect().await?;
        let begin = "SET statement_timeout = 0; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        bounded(sqlx::raw_sql(begin).execute(&mut connection)).await?;
        let build = bounded(live(&mut connection)).await?;
        let mut rows = sqlx::query_as(SCAN).bind(build.generation).fetch(&mut connection);
        while let Some(row) = bounded(rows.try_next()).await? {
            if !each(row) {
                break;
            }
        }
        Ok(build)
    }

    async fn live(&self) -> Result<Build, sqlx::Error> {
        self.reads.ask(|connection| live(connection).boxed()).await
    }

    async fn changed(&self) {
        let mut heard = self.heard.subscribe();
        let _ = tokio::time::timeout(POLL, heard.changed()).await;
    }

    async fn write(
        &self,
        from: Build,
        target: Target,
        events: &[RecordedEvent],
        to: Position,
    ) -> Result<Build, WriteError> {
        let write = Arc::new(Write::new(from, target, events, to)?);
        let sent = write.clone();
        let written = self.changes.run(move |connection| {
            let write = sent.clone();
            async move { write.send(connection).await }.boxed()
        });
        write.outcome(written.await.map_err(sqlx::Error::from))
    }

    async fn closed(&self, build: Build) -> Result<Vec<ClosedRow>, sqlx::Error> {
        let closed = self.reads.ask(move |connection| {
            sqlx::query_as(CLOSED).bind(build.generation).fetch_all(connection).boxed()
        });
        closed.await
    }

    async fn close(&self, build: Build, keys: &[ClosedKey]) -> Result<(), sqlx::Error> {
        let keys: Arc<[ClosedKey]> = keys.into();
        let closed = self.changes.run(move |connection| {
            let keys = keys.clone();
            async move { close(connection, build, &keys).await }.boxed()
        });
        Ok(closed.await?)
    }

    async fn begin_build(&self) -> Result<Build, sqlx::Error> {
        let generation = self
            .changes
            .run(|connection| sqlx::query_scalar(BEGIN_BUILD).fetch_one(connection).boxed());
        Ok(Build { generation: generation.await?, reached: Reached::START })
    }

    async fn swap(&self) -> Result<Box<dyn Swap + '_>, sqlx::Error> {
        Ok(Box::new(PostgresSwap::begin(&self.location).await?))
    }

    async fn clear(&self) -> Result<u64, sqlx::Error> {
        let deleted = self.changes.run(|connection| {
            async {
                sqlx::query(END_BUILDS).execute(&mut *connection).await?;
                sqlx::query(CLEAR_CLOSED).execute(&mut *connection).await?;
                let cleared = sqlx::query(CLEAR).bind(DELETED_AT_ONCE).execute(connection).await?;
                Ok(cleared.rows_affected())
            }
            .boxed()
        });
        Ok(deleted.await?)
    }

    async fn record(&self, uses: &[Use]) -> Result<(), sqlx::Error> {
        let (keys, times): (Vec<_>, Vec<_>) =
            uses.iter().map(|(key_id, at)| (key_id.as_uuid(), at.unix_micros())).unzip();
        let recorded = self.changes.run(move |connection| {
            // All nodes lock the rows in the order of the key ids, so they cannot deadlock.
            let record = sqlx::query(
                "INSERT INTO key_usage (key_id, last_used_at)
                 SELECT key_id, last_used_at
                 FROM unnest($1::uuid[], $2::bigint[]) AS used (key_id, last_used_at)
                 ORDER BY key_id
                 ON CONFLICT (key_id) DO UPDATE SET last_used_at = excluded.last_used_at
                 WHERE key_usage.last_used_at < excluded.last_used_at
                    OR key_usage.last_used_at
                        > 1000000 * (extract(epoch FROM clock_timestamp()) + 86400)",
            );
            record.bind(&keys).bind(&times).execute(connection).map_ok(drop).boxed()
        });
        Ok(recorded.await?)
    }

    async fn claim(&self, claim: &Claim) -> Result<Option<Epoch>, sqlx::Error> {
        let Claim { name, holder, period } = *claim;
        let epoch = self.changes.run(move |connection| {
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
        let released = self.changes.run(move |connection| {
            sqlx::query("UPDATE lease SET expires_at = '-infinity' WHERE duty = $1 AND holder = $2")
                .bind(name.name())
                .bind(holder)
                .execute(connection)
                .map_ok(drop)
                .boxed()
        });
        Ok(released.await?)
    }

    async fn relayed(&self, stream: &str) -> Result<Position, sqlx::Error> {
        let position = self.reads.ask(|connection| {
            sqlx::query_scalar(RELAYED).bind(stream.to_owned()).fetch_optional(connection).boxed()
        });
        position.await?.map_or(Ok(Position::START), |position| position_of("relay", position))
    }

    async fn set_relayed(&self, stream: &str, position: Position) -> Result<(), sqlx::Error> {
        let stream = stream.to_owned();
        let set = self.changes.run(move |connection| {
            let set = sqlx::query(SET_RELAYED).bind(stream.clone()).bind(position.as_i64());
            set.execute(connection).map_ok(drop).boxed()
        });
        Ok(set.await?)
    }
}
