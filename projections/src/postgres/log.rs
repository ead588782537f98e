//! The Merkle tree in a PostgreSQL database.
//!
//! Each change is one statement, which locks the lease's row until it ends. It changes nothing if
//! the lease is in another epoch than the writer's.

use async_trait::async_trait;
use futures::{FutureExt, TryFutureExt};
use keyledger_domain::{EventId, Position, Timestamp};
use sqlx::Execute;

use super::PostgresStore;
use crate::store::{
    CHECKPOINTS_AFTER, CheckpointRow, Growth, IDS, LAST_CHECKPOINT, LAST_SIGNED, LogRow, LogStore,
    STORED_AFTER, TILE, TREE, place_of,
};
use crate::{Epoch, LeaseName, WriteError};
use keyledger_tlog::merkle::{Tile, TreeHash};

/// `$1` duty and `$2` epoch of the lease; `$3` position and `$4` size before; `$5` position, `$6`
/// size and `$7` frontier after; then the tiles and the rows of event ids, column by column; `$13`
/// position of the last event after. The commit does not wait for the disk: what a crash of the server loses is appended again from the
/// journal.
const GROW: &str = "
    WITH held AS (
        SELECT FROM lease WHERE duty = $1 AND epoch = $2 FOR SHARE
    ), moved AS (
        UPDATE tree SET position = $5, size = $6, frontier = $7, event_position = $13
        WHERE name = 'events' AND position = $3 AND size = $4 AND EXISTS (SELECT FROM held)
        RETURNING size
    ), tiles AS (
        INSERT INTO tree_tile (level, number, hashes)
        SELECT tile.level, tile.number, tile.hashes
        FROM moved CROSS JOIN unnest($8::smallint[], $9::bigint[], $10::bytea[])
             AS tile (level, number, hashes)
        ON CONFLICT (level, number) DO UPDATE SET hashes = excluded.hashes
    ), events AS (
        INSERT INTO tree_event (number, ids)
        SELECT come.number, come.ids
        FROM moved CROSS JOIN unnest($11::bigint[], $12::bytea[]) AS come (number, ids)
        ON CONFLICT (number) DO UPDATE SET ids = excluded.ids
    )
    SELECT (SELECT count(*) FROM moved),
           (SELECT set_config('synchronous_commit', 'off', true) IS NOT NULL)";

/// The leaf index of event `$1`. Each id has 16 bytes, so a match at another offset is not an id.
const LEAF_OF: &str = "
    SELECT number * 256 + (position($1::bytea IN ids) - 1) / 16 FROM tree_event
    WHERE position($1::bytea IN ids) % 16 = 1 LIMIT 1";

/// `$1` size, `$2` root, `$3` duty and `$4` epoch of the lease.
const REMEMBER: &str = "
    WITH held AS (
        SELECT FROM lease WHERE duty = $3 AND epoch = $4 FOR SHARE
    )
    INSERT INTO tree_checkpoint (size, root) SELECT $1, $2 FROM held
    ON CONFLICT (size) DO NOTHING";

/// `$1` size, `$2` note, `$3` time of signing, `$4` duty and `$5` epoch of the lease.
const KEEP_NOTE: &str = "
    WITH held AS (
        SELECT FROM lease WHERE duty = $4 AND epoch = $5 FOR SHARE
    )
    UPDATE tree_checkpoint SET note = $2, signed_at = $3
    WHERE size = $1 AND EXISTS (SELECT FROM held)";

/// `$1` duty and `$2` epoch of the lease.
const RESTART: &str = "
    WITH held AS (
        SELECT FROM lease WHERE duty = $1 AND epoch = $2 FOR SHARE
    )
    UPDATE tree SET position = 0, size = 0, frontier = '', event_position = NULL
    WHERE name = 'events' AND EXISTS (SELECT FROM held)";

#[async_trait]
impl LogStore for PostgresStore {
    async fn tree(&self) -> Result<LogRow, sqlx::Error> {
        self.reads.ask(|connection| sqlx::query_as(TREE).fetch_one(connection).boxed()).await
    }

    async fn tile(&self, tile: Tile) -> Result<Option<Vec<u8>>, sqlx::Error> {
        let (level, number) = place_of(tile);
        let hashes = self.reads.ask(|connection| {
            sqlx::query_scalar(TILE).bind(level).bind(number).fetch_optional(connection).boxed()
        });
        hashes.await
    }

    async fn ids(&self, number: i64) -> Result<Option<Vec<u8>>, sqlx::Error> {
        let ids = self.reads.ask(|connection| {
            sqlx::query_scalar(IDS).bind(number).fetch_optional(connection).boxed()
        });
        ids.await
    }

    async fn grow(&self, growth: &Growth, Epoch(epoch): Epoch) -> Result<(), WriteError> {
        let (mut levels, mut numbers, mut tiles) = (Vec::new(), Vec::new(), Vec::new());
        for (tile, hashes) in &growth.tiles {
            let (level, number) = place_of(*tile);
            levels.push(level);
            numbers.push(number);
            tiles.push(hashes.as_slice());
        }
        let (events, ids): (Vec<_>, Vec<_>) =
            growth.events.iter().map(|(number, ids)| (*number, ids.as_slice())).unzip();
        let mut query = sqlx::query(GROW)
            .bind(LeaseName::Tree.name())
            .bind(epoch)
            .bind(growth.from.0.as_i64())
            .bind(growth.from.1)
            .bind(growth.to.0.as_i64())
            .bind(growth.to.1)
            .bind(&growth.frontier)
            .bind(levels)
            .bind(numbers)
            .bind(tiles)
            .bind(events)
            .bind(ids)
            .bind(growth.event_position.map(Position::as_i64));
        let arguments = query.take_arguments().map_err(sqlx::Error::Encode)?.unwrap_or_default();
        let moved = self.changes.run(move |connection| {
            sqlx::query_as_with::<_, (i64, bool), _>(GROW, arguments.clone())
                .fetch_one(connection)
                .boxed()
        });
        match moved.await.map_err(sqlx::Error::from)? {
            (1, _) => Ok(()),
            _ => Err(WriteError::Superseded),
        }
    }

    async fn leaf_of(&self, event_id: EventId) -> Result<Option<i64>, sqlx::Error> {
        let leaf = self.reads.ask(|connection| {
            let id = event_id.as_uuid().into_bytes().to_vec();
            sqlx::query_scalar(LEAF_OF).bind(id).fetch_optional(connection).boxed()
        });
        leaf.await
    }

    async fn remember(
        &self,
        size: i64,
        root: TreeHash,
        Epoch(epoch): Epoch,
    ) -> Result<Vec<u8>, WriteError> {
        let known = self.changes.run(move |connection| {
            async move {
                sqlx::query(REMEMBER)
                    .bind(size)
                    .bind(root.as_bytes().as_slice())
                    .bind(LeaseName::Tree.name())
                    .bind(epoch)
                    .execute(&mut *connection)
                    .await?;
                sqlx::query_scalar("SELECT root FROM tree_checkpoint WHERE size = $1")
                    .bind(size)
                    .fetch_optional(connection)
                    .await
            }
            .boxed()
        });
        let known: Option<Vec<u8>> = known.await.map_err(sqlx::Error::from)?;
        known.ok_or(WriteError::Superseded)
    }

    async fn keep_note(
        &self,
        size: i64,
        note: &str,
        at: Timestamp,
        Epoch(epoch): Epoch,
    ) -> Result<(), WriteError> {
        let note = note.to_owned();
        let kept = self.changes.run(move |connection| {
            sqlx::query(KEEP_NOTE)
                .bind(size)
                .bind(note.clone())
                .bind(at.unix_micros())
                .bind(LeaseName::Tree.name())
                .bind(epoch)
                .execute(connection)
                .map_ok(|kept| kept.rows_affected())
                .boxed()
        });
        if kept.await.map_err(sqlx::Error::from)? == 1 {
            Ok(())
        } else {
            Err(WriteError::Superseded)
        }
    }

    async fn last_checkpoint(&self) -> Result<Option<CheckpointRow>, sqlx::Error> {
        let row = self
            .reads
            .ask(|connection| sqlx::query_as(LAST_CHECKPOINT).fetch_optional(connection).boxed());
        row.await
    }

    async fn last_signed(&self) -> Result<Option<CheckpointRow>, sqlx::Error> {
        let row = self
            .reads
            .ask(|connection| sqlx::query_as(LAST_SIGNED).fetch_optional(connection).boxed());
        row.await
    }

    async fn signed_after(&self, size: i64, most: i64) -> Result<Vec<CheckpointRow>, sqlx::Error> {
        let rows = self.reads.ask(|connection| {
            sqlx::query_as(CHECKPOINTS_AFTER).bind(size).bind(most).fetch_all(connection).boxed()
        });
        rows.await
    }

    async fn stored_after(&self, size: i64, most: i64) -> Result<Vec<CheckpointRow>, sqlx::Error> {
        let rows = self.reads.ask(|connection| {
            sqlx::query_as(STORED_AFTER).bind(size).bind(most).fetch_all(connection).boxed()
        });
        rows.await
    }

    async fn restart(&self, Epoch(epoch): Epoch) -> Result<(), WriteError> {
        let emptied = self.changes.run(move |connection| {
            sqlx::query(RESTART)
                .bind(LeaseName::Tree.name())
                .bind(epoch)
                .execute(connection)
                .map_ok(|emptied| emptied.rows_affected())
                .boxed()
        });
        if emptied.await.map_err(sqlx::Error::from)? == 1 {
            Ok(())
        } else {
            Err(WriteError::Superseded)
        }
    }
}
