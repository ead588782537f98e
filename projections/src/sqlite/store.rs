//! Queries and changes of the read tables, except those of the log.

use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt;
use keyledger_domain::{ClosedKey, KeyId, Position, Reached, RecordedEvent, UserId};
use keyledger_verifier::Use;
use sqlx::{ConnectOptions, Connection};

use super::SqliteStore;
use super::statement::ManyRows;
use super::swap::SqliteSwap;
use super::write::{close, live, write};
use crate::WriteError;
use crate::keys::{COUNT, COUNT_OF, ClosedRow, GET, KeyRow, LIST, ListQuery, SCAN, ScanRow};
use crate::store::{
    Build, CLEAR, CLEAR_BUILDS, CLEAR_CLOSED, CLOSED, Claim, Epoch, RELAYED, SET_RELAYED, Store,
    Swap, Target, position_of,
};

/// How long [`Store::changed`] waits: SQLite does not notify one process of another's writes.
const POLL: Duration = Duration::from_millis(20);
/// The maximum number of uses per statement. With more, the buffers of the statement are so large
/// that the allocator keeps several of them per thread.
const USES_AT_ONCE: usize = 128;
/// The maximum number of rows deleted per transaction, so that other writers wait only for a short
/// time.
const DELETED_AT_ONCE: i64 = 5_000;

#[async_trait]
impl Store for SqliteStore {
    async fn list(&self, query: &ListQuery<'_>) -> Result<Vec<KeyRow>, sqlx::Error> {
        sqlx::query_as(LIST)
            .bind(query.owner)
            .bind(query.status)
            .bind(query.after.created_at.unix_micros())
            .bind(query.after.key_id.as_uuid())
            .bind(query.limit)
            .bind(query.now.unix_micros())
            .fetch_all(&self.reads)
            .await
    }

    async fn get(&self, key_id: KeyId) -> Result<Option<KeyRow>, sqlx::Error> {
        sqlx::query_as(GET).bind(key_id.as_uuid()).fetch_optional(&self.reads).await
    }

    async fn count_of(&self, owner: &UserId, most: i64) -> Result<i64, sqlx::Error> {
        let count = sqlx::query_scalar(COUNT_OF).bind(owner.as_str()).bind(most);
        count.fetch_one(&self.reads).await
    }

    async fn count(&self) -> Result<i64, sqlx::Error> {
        let mut connection = self.scanning.connect().await?;
        sqlx::query_scalar(COUNT).fetch_one(&mut connection).await
    }

    async fn scan(
        &self,
        each: &mut (dyn FnMut(ScanRow) -> bool + Send),
    ) -> Result<Build, sqlx::Error> {
        let mut connection = self.scanning.connect().await?;
        let mut transaction = connection.begin().await?;
        let build = live(&mut transaction).await?;
        let mut rows = sqlx::query_as(SCAN).bind(build.generation).fetch(&mut *transaction);
        while let Some(row) = rows.try_next().await? {
            if !each(row) {
                break;
            }
        }
        Ok(build)
    }

    async fn live(&self) -> Result<Build, sqlx::Error> {
        let mut connection = self.reads.acquire().await?;
        live(&mut connection).await
    }

    async fn changed(&self) {
        tokio::time::sleep(POLL).await;
    }

    async fn write(
        &self,
        from: Build,
        target: Target,
        events: &[RecordedEvent],
        to: Position,
    ) -> Result<Build, WriteError> {
        let mut writer = self.writes.begin().await?;
        let is_live = matches!(target, Target::Live(_));
        let build = write(&mut writer, from, is_live, events, to).await?;
        writer.done();
        Ok(build)
    }

    async fn closed(&self, build: Build) -> Result<Vec<ClosedRow>, sqlx::Error> {
        sqlx::query_as(CLOSED).bind(build.generation).fetch_all(&self.reads).await
    }

    async fn close(&self, build: Build, keys: &[ClosedKey]) -> Result<(), sqlx::Error> {
        let mut writer = self.writes.begin().await?;
        close(&mut writer, build, keys).await?;
        writer.done();
        Ok(())
    }

    async fn begin_build(&self) -> Result<Build, sqlx::Error> {
        let generation = sqlx::query_scalar(
            "UPDATE projection SET last_generation = last_generation + 1 WHERE name = 'keys'
             RETURNING last_generation",
        );
        let mut writer = self.writes.begin().await?;
        let generation = generation.fetch_one(&mut *writer).await?;
        writer.done();
        Ok(Build { generation, reached: Reached::START })
    }

    async fn swap(&self) -> Result<Box<dyn Swap + '_>, sqlx::Error> {
        Ok(Box::new(SqliteSwap::begin(self).await?))
    }

    async fn clear(&self) -> Result<u64, sqlx::Error> {
        let mut writer = self.writes.begin().await?;
        let deleted = sqlx::query(CLEAR).bind(DELETED_AT_ONCE).execute(&mut *writer).await?;
        sqlx::query(CLEAR_BUILDS).execute(&mut *writer).await?;
        sqlx::query(CLEAR_CLOSED).execute(&mut *writer).await?;
        writer.done();
        Ok(deleted.rows_affected())
    }

    async fn record(&self, uses: &[Use]) -> Result<(), sqlx::Error> {
        let mut writer = self.writes.begin().await?;
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
        for run in uses.chunks(USES_AT_ONCE) {
            let mut query = sqlx::query(RECORD.text(run.len()));
            for (key_id, at) in run {
                query = query.bind(key_id.as_uuid()).bind(at.unix_micros());
            }
            query.execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        writer.done();
        Ok(())
    }

    async fn claim(&self, _: &Claim) -> Result<Option<Epoch>, sqlx::Error> {
        Ok(Some(Epoch(0)))
    }

    async fn release(&self, _: &Claim) -> Result<(), sqlx::Error> {
        Ok(())
    }

    async fn relayed(&self, stream: &str) -> Result<Position, sqlx::Error> {
        let position = sqlx::query_scalar(RELAYED).bind(stream).fetch_optional(&self.reads).await?;
        position.map_or(Ok(Position::START), |position| position_of("relay", position))
    }

    async fn set_relayed(&self, stream: &str, position: Position) -> Result<(), sqlx::Error> {
        let set = sqlx::query(SET_RELAYED).bind(stream).bind(position.as_i64());
        let mut writer = self.writes.begin().await?;
        set.execute(&mut *writer).await?;
        writer.done();
        Ok(())
    }
}

static RECORD: LazyLock<ManyRows> = LazyLock::new(|| {
    ManyRows::new(2, |rows| {
        format!(
            "WITH used (key_id, last_used_at) AS (VALUES {rows})
             INSERT INTO key_usage (key_id, last_used_at)
             SELECT key_id, last_used_at FROM used WHERE key_id IS NOT NULL
             ON CONFLICT (key_id) DO UPDATE SET last_used_at = excluded.last_used_at
             WHERE key_usage.last_used_at < excluded.last_used_at
                OR key_usage.last_used_at > 1000000 * (unixepoch('now') + 86400)"
        )
    })
});
