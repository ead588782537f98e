//! The read tables in a SQLite file.

mod log;
mod statement;
mod write;

use std::path::Path;
use std::str::FromStr;
use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt;
use keyledger_domain::{KeyId, Position, RecordedEvent};
use keyledger_verifier::Use;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::{Mutex, MutexGuard};

use crate::keys::{COUNT, GET, LIST, ListQuery, Row, SCAN, ScanRow};
use crate::lease::{Claim, Epoch};
use crate::store::{
    CLEAR, CLEAR_BUILDS, Checkpoint, RELAYED, SET_RELAYED, SWAP, Store, Swap, Target, position_of,
};
use crate::{OpenTablesError, WriteError};
use statement::ManyRows;
use write::{live, write};

/// How long a statement waits for another process's transaction.
const BUSY: Duration = Duration::from_secs(10);
/// How often to look for what another process has written.
const LOOK: Duration = Duration::from_millis(20);
/// How many rows a scan hands over at a time.
const ROWS_AT_ONCE: usize = 100;
/// How many uses a statement records: with more, what it is made of takes large pieces of memory, of
/// which an allocator keeps several for each thread.
const USES_AT_ONCE: usize = 128;
/// How many rows are deleted at a time, so that others get their turn.
const DELETED_AT_ONCE: i64 = 5_000;

/// The read tables in a SQLite file. All who write are on one machine, and whoever is not where the
/// tables are finds out when it writes: so there are no leases.
#[derive(Debug)]
pub(crate) struct SqliteStore {
    /// For queries. They never wait for the one that writes.
    reads: SqlitePool,
    /// For changes: SQLite has one writer at a time.
    writes: Mutex<SqliteConnection>,
    /// How a connection that writes is opened.
    writing: SqliteConnectOptions,
    /// How one that reads all rows is opened: not one of the pool's, since nobody needs the memory that
    /// it takes when it is done.
    scanning: SqliteConnectOptions,
}

impl SqliteStore {
    /// What is lost with an unsynced commit can be built anew from the journal, so commits do not
    /// wait for the disk (`synchronous=NORMAL`): a power cut may take the last ones back, whole.
    pub(crate) async fn open(url: &str) -> Result<Self, OpenTablesError> {
        let options = SqliteConnectOptions::from_str(url)
            .map_err(|source| OpenTablesError::BadUrl { url: url.to_owned(), source })?
            .busy_timeout(BUSY)
            .disable_statement_logging();
        let path = options.get_filename().to_owned();
        let place = path.display().to_string();
        if let Some(folder) = path.parent().filter(|folder| *folder != Path::new("")) {
            std::fs::create_dir_all(folder)
                .map_err(|source| OpenTablesError::Folder { path: place.clone(), source })?;
        }
        let failed = |source| OpenTablesError::Failed { place: place.clone(), source };
        let writing = options
            .clone()
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            // Pages that change often are copied into the database once for many commits.
            .pragma("wal_autocheckpoint", "8000");
        let mut writes = writing.connect().await.map_err(failed)?;
        // `run` would do the same with a future that cannot be sent between threads.
        sqlx::migrate!("../migrations/read/sqlite")
            .run_direct(None, &mut writes, false)
            .await
            .map_err(OpenTablesError::Migration)?;
        let reading = options.read_only(true);
        // Many rows in one go, rather than a wake-up for every few; and each page is read once, so that
        // 256 KiB of them are enough.
        let scanning = reading.clone().row_buffer_size(ROWS_AT_ONCE).pragma("cache_size", "-256");
        let reads = SqlitePoolOptions::new()
            .max_connections(4)
            .test_before_acquire(false)
            .connect_with(reading)
            .await
            .map_err(failed)?;
        Ok(Self { reads, writes: Mutex::new(writes), writing, scanning })
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn list(&self, query: &ListQuery<'_>) -> Result<Vec<Row>, sqlx::Error> {
        sqlx::query_as(LIST)
            .bind(query.owner)
            .bind(query.status)
            .bind(query.after.created_at.unix_micros())
            .bind(query.after.key_id.as_uuid())
            .bind(query.limit)
            .fetch_all(&self.reads)
            .await
    }

    async fn get(&self, key_id: KeyId) -> Result<Option<Row>, sqlx::Error> {
        sqlx::query_as(GET).bind(key_id.as_uuid()).fetch_optional(&self.reads).await
    }

    async fn count(&self) -> Result<i64, sqlx::Error> {
        let mut connection = self.scanning.connect().await?;
        sqlx::query_scalar(COUNT).fetch_one(&mut connection).await
    }

    async fn scan(
        &self,
        each: &mut (dyn FnMut(ScanRow) -> bool + Send),
    ) -> Result<Checkpoint, sqlx::Error> {
        let mut connection = self.scanning.connect().await?;
        let mut transaction = connection.begin().await?;
        let checkpoint = live(&mut transaction).await?;
        let mut rows = sqlx::query_as(SCAN).bind(checkpoint.generation).fetch(&mut *transaction);
        while let Some(row) = rows.try_next().await? {
            if !each(row) {
                break;
            }
        }
        Ok(checkpoint)
    }

    async fn live(&self) -> Result<Checkpoint, sqlx::Error> {
        let mut connection = self.reads.acquire().await?;
        live(&mut connection).await
    }

    async fn changed(&self) {
        tokio::time::sleep(LOOK).await;
    }

    async fn write(
        &self,
        from: Checkpoint,
        target: Target,
        events: &[RecordedEvent],
        to: Position,
    ) -> Result<Checkpoint, WriteError> {
        let mut connection = self.writes.lock().await;
        write(&mut connection, from, matches!(target, Target::Live(_)), events, to).await
    }

    async fn begin_build(&self) -> Result<Checkpoint, sqlx::Error> {
        let generation = sqlx::query_scalar(
            "UPDATE projection SET last_generation = last_generation + 1 WHERE name = 'keys'
             RETURNING last_generation",
        );
        let generation = generation.fetch_one(&mut *self.writes.lock().await).await?;
        Ok(Checkpoint { generation, position: Position::START })
    }

    async fn swap(&self) -> Result<Box<dyn Swap + '_>, sqlx::Error> {
        let turn = self.writes.lock().await;
        let mut connection = self.writing.connect().await?;
        // Before any other process can write.
        sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await?;
        Ok(Box::new(SqliteSwap { _turn: turn, connection }))
    }

    async fn clear(&self) -> Result<u64, sqlx::Error> {
        let mut connection = self.writes.lock().await;
        let deleted = sqlx::query(CLEAR).bind(DELETED_AT_ONCE).execute(&mut *connection).await?;
        sqlx::query(CLEAR_BUILDS).execute(&mut *connection).await?;
        Ok(deleted.rows_affected())
    }

    async fn record(&self, uses: &[Use]) -> Result<(), sqlx::Error> {
        let mut connection = self.writes.lock().await;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        for run in uses.chunks(USES_AT_ONCE) {
            let mut query = sqlx::query(RECORD.text(run.len()));
            for (key_id, at) in run {
                query = query.bind(key_id.as_uuid()).bind(at.unix_micros());
            }
            query.execute(&mut *transaction).await?;
        }
        transaction.commit().await
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
        set.execute(&mut *self.writes.lock().await).await.map(drop)
    }
}

static RECORD: LazyLock<ManyRows> = LazyLock::new(|| {
    ManyRows::new(2, |rows| {
        format!(
            "WITH used (key_id, last_used_at) AS (VALUES {rows})
             INSERT INTO key_usage (key_id, last_used_at)
             SELECT key_id, last_used_at FROM used WHERE key_id IS NOT NULL
             ON CONFLICT (key_id) DO UPDATE SET last_used_at = excluded.last_used_at
             WHERE key_usage.last_used_at < excluded.last_used_at"
        )
    })
});

/// A transaction on a connection of its own: it is undone when that is closed.
struct SqliteSwap<'a> {
    /// Others of this process wait here, rather than for the file.
    _turn: MutexGuard<'a, SqliteConnection>,
    connection: SqliteConnection,
}

#[async_trait]
impl Swap for SqliteSwap<'_> {
    async fn live(&mut self) -> Result<Checkpoint, sqlx::Error> {
        live(&mut self.connection).await
    }

    async fn write(
        &mut self,
        from: Checkpoint,
        events: &[RecordedEvent],
        to: Position,
    ) -> Result<Checkpoint, WriteError> {
        write(&mut self.connection, from, false, events, to).await
    }

    async fn finish(mut self: Box<Self>, generation: i64) -> Result<(), WriteError> {
        let swapped = sqlx::query(SWAP).bind(generation).execute(&mut self.connection).await?;
        if swapped.rows_affected() != 1 {
            return Err(WriteError::Superseded);
        }
        sqlx::query("COMMIT").execute(&mut self.connection).await?;
        Ok(self.connection.close().await?)
    }
}

#[cfg(test)]
mod tests;
