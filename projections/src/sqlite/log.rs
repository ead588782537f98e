//! The Merkle tree in a SQLite file.

use std::sync::LazyLock;

use async_trait::async_trait;
use keyledger_domain::{EventId, Position, Timestamp};
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;

use super::SqliteStore;
use super::statement::{MOST_ROWS, ManyRows};
use crate::store::{
    CHECKPOINTS_AFTER, CheckpointRow, Growth, IDS, LAST_CHECKPOINT, LAST_SIGNED, LogRow, LogStore,
    STORED_AFTER, TILE, TREE, place_of,
};
use crate::{Epoch, WriteError};
use keyledger_tlog::merkle::{Tile, TreeHash};

static TILES: LazyLock<ManyRows> = LazyLock::new(|| {
    ManyRows::new(3, |rows| {
        format!(
            "WITH come (level, number, hashes) AS (VALUES {rows})
             INSERT INTO tree_tile (level, number, hashes)
             SELECT level, number, hashes FROM come WHERE level IS NOT NULL
             ON CONFLICT (level, number) DO UPDATE SET hashes = excluded.hashes"
        )
    })
});

static EVENTS: LazyLock<ManyRows> = LazyLock::new(|| {
    ManyRows::new(2, |rows| {
        format!(
            "WITH come (number, ids) AS (VALUES {rows})
             INSERT INTO tree_event (number, ids)
             SELECT number, ids FROM come WHERE number IS NOT NULL
             ON CONFLICT (number) DO UPDATE SET ids = excluded.ids"
        )
    })
});

/// The leaf index of event `$1`. Each id has 16 bytes, so a match at another offset is not an id.
const LEAF_OF: &str = "
    SELECT number * 256 + (instr(ids, $1) - 1) / 16 FROM tree_event
    WHERE instr(ids, $1) % 16 = 1 LIMIT 1";

#[async_trait]
impl LogStore for SqliteStore {
    async fn tree(&self) -> Result<LogRow, sqlx::Error> {
        sqlx::query_as(TREE).fetch_one(&self.reads).await
    }

    async fn tile(&self, tile: Tile) -> Result<Option<Vec<u8>>, sqlx::Error> {
        let (level, number) = place_of(tile);
        let hashes = sqlx::query_scalar(TILE).bind(level).bind(number);
        hashes.fetch_optional(&self.reads).await
    }

    async fn ids(&self, number: i64) -> Result<Option<Vec<u8>>, sqlx::Error> {
        sqlx::query_scalar(IDS).bind(number).fetch_optional(&self.reads).await
    }

    async fn grow(&self, growth: &Growth, _: Epoch) -> Result<(), WriteError> {
        let mut writer = self.writes.begin().await?;
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
        let moved = sqlx::query(
            "UPDATE tree SET position = $1, size = $2, frontier = $3, event_position = $6
             WHERE name = 'events' AND position = $4 AND size = $5",
        )
        .bind(growth.to.0.as_i64())
        .bind(growth.to.1)
        .bind(&*growth.frontier)
        .bind(growth.from.0.as_i64())
        .bind(growth.from.1)
        .bind(growth.event_position.map(Position::as_i64))
        .execute(&mut *transaction)
        .await?;
        if moved.rows_affected() != 1 {
            return Err(WriteError::Superseded);
        }
        for run in growth.tiles.chunks(MOST_ROWS) {
            let mut query = sqlx::query(TILES.text(run.len()));
            for (tile, hashes) in run {
                let (level, number) = place_of(*tile);
                query = query.bind(level).bind(number).bind(&**hashes);
            }
            query.execute(&mut *transaction).await?;
        }
        for run in growth.events.chunks(MOST_ROWS) {
            let mut query = sqlx::query(EVENTS.text(run.len()));
            for (number, ids) in run {
                query = query.bind(number).bind(&**ids);
            }
            query.execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        writer.done();
        Ok(())
    }

    async fn leaf_of(&self, event_id: EventId) -> Result<Option<i64>, sqlx::Error> {
        let id = event_id.as_uuid().into_bytes();
        sqlx::query_scalar(LEAF_OF).bind(id.as_slice()).fetch_optional(&self.reads).await
    }

    /// Waits for the disk: other commits of the read tables may be lost in a power failure, this
    /// one must not.
    async fn remember(&self, size: i64, root: TreeHash, _: Epoch) -> Result<Vec<u8>, WriteError> {
        let mut writer = self.writes.begin().await?;
        sqlx::query("PRAGMA synchronous = FULL").execute(&mut *writer).await?;
        let remembered = remember(&mut writer, size, root).await?;
        sqlx::query("PRAGMA synchronous = NORMAL").execute(&mut *writer).await?;
        writer.done();
        Ok(remembered)
    }

    async fn keep_note(
        &self,
        size: i64,
        note: &str,
        at: Timestamp,
        _: Epoch,
    ) -> Result<(), WriteError> {
        let mut writer = self.writes.begin().await?;
        let kept =
            sqlx::query("UPDATE tree_checkpoint SET note = $2, signed_at = $3 WHERE size = $1")
                .bind(size)
                .bind(note)
                .bind(at.unix_micros())
                .execute(&mut *writer)
                .await?;
        writer.done();
        if kept.rows_affected() == 1 { Ok(()) } else { Err(WriteError::Superseded) }
    }

    async fn last_checkpoint(&self) -> Result<Option<CheckpointRow>, sqlx::Error> {
        sqlx::query_as(LAST_CHECKPOINT).fetch_optional(&self.reads).await
    }

    async fn last_signed(&self) -> Result<Option<CheckpointRow>, sqlx::Error> {
        sqlx::query_as(LAST_SIGNED).fetch_optional(&self.reads).await
    }

    async fn signed_after(&self, size: i64, most: i64) -> Result<Vec<CheckpointRow>, sqlx::Error> {
        sqlx::query_as(CHECKPOINTS_AFTER).bind(size).bind(most).fetch_all(&self.reads).await
    }

    async fn stored_after(&self, size: i64, most: i64) -> Result<Vec<CheckpointRow>, sqlx::Error> {
        sqlx::query_as(STORED_AFTER).bind(size).bind(most).fetch_all(&self.reads).await
    }

    async fn restart(&self, _: Epoch) -> Result<(), WriteError> {
        let mut writer = self.writes.begin().await?;
        let emptied = sqlx::query(
            "UPDATE tree SET position = 0, size = 0, frontier = x'', event_position = NULL
             WHERE name = 'events'",
        )
        .execute(&mut *writer)
        .await?;
        writer.done();
        if emptied.rows_affected() == 1 { Ok(()) } else { Err(WriteError::Superseded) }
    }
}

async fn remember(
    connection: &mut SqliteConnection,
    size: i64,
    root: TreeHash,
) -> Result<Vec<u8>, sqlx::Error> {
    sqlx::query(
        "INSERT INTO tree_checkpoint (size, root) VALUES ($1, $2) ON CONFLICT (size) DO NOTHING",
    )
    .bind(size)
    .bind(root.as_bytes().as_slice())
    .execute(&mut *connection)
    .await?;
    sqlx::query_scalar("SELECT root FROM tree_checkpoint WHERE size = $1")
        .bind(size)
        .fetch_one(connection)
        .await
}
