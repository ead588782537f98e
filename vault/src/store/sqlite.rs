//! The vault in a SQLite file.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use keyledger_checks::Found;
use keyledger_checks::sqlite::{FileUsage, examine as examine_file};
use keyledger_domain::{Erasure, OwnerId};
use keyledger_sqlite::{Writes, lock};
use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use uuid::Uuid;

use super::{Generation, Inserted, LookUp, NewOwner, OwnerRow, Rewrapped, STEP, Store, statements};
use crate::OpenVaultError;

/// How long a statement waits for the end of another process's transaction.
const BUSY: Duration = Duration::from_secs(10);

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations/vault/sqlite");

/// The vault in a SQLite file, for the processes of one machine.
#[derive(Debug)]
pub(crate) struct SqliteStore {
    reads: SqlitePool,
    writes: Writes,
}

// A transaction that writes locks the whole file.
statements!(SqliteConnection, "", "");

impl SqliteStore {
    /// Opens the file, creates it where it is missing, and applies the migrations.
    pub(crate) async fn open(url: &str) -> Result<Self, OpenVaultError> {
        let options = parse(url)?;
        let path = options.get_filename().to_owned();
        let place = path.display().to_string();
        if let Some(folder) = path.parent().filter(|folder| *folder != Path::new("")) {
            let made = std::fs::create_dir_all(folder);
            made.map_err(|error| OpenVaultError::refused(&place, error))?;
        }
        let writing = options
            .clone()
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            // What is deleted is overwritten, in the file and, since that is emptied after an erasure, in the
            // write-ahead log.
            .pragma("secure_delete", "ON");
        let lock = lock(&path).await;
        let lock = lock.map_err(|error| OpenVaultError::refused(&place, error))?;
        let refused = |error: sqlx::Error| OpenVaultError::refused(&place, error);
        let mut connection = SqliteConnection::connect_with(&writing).await.map_err(refused)?;
        // `run` does the same, but its future is not `Send`.
        let made = MIGRATIONS.run_direct(None, &mut connection, false).await;
        made.map_err(|error| OpenVaultError::refused(&place, error))?;
        drop(lock);
        let reads = SqlitePoolOptions::new()
            .max_connections(4)
            .test_before_acquire(false)
            .connect_with(options.read_only(true))
            .await
            .map_err(refused)?;
        Ok(Self { reads, writes: Writes::new(writing, connection) })
    }

    /// Empties the write-ahead log, which has what was overwritten. Another process that reads may keep it; the
    /// next erasure or the end of the process does it then.
    async fn empty_log(&self) -> Result<(), sqlx::Error> {
        let mut writer = self.writes.begin().await?;
        let emptied = sqlx::query_scalar("PRAGMA wal_checkpoint(TRUNCATE)");
        let is_busy: bool = emptied.fetch_one(&mut *writer).await?;
        writer.done();
        if is_busy {
            tracing::warn!(
                "what was erased is still in the write-ahead log of the vault, since another process reads it"
            );
        }
        Ok(())
    }
}

/// Looks at the file without opening it for a change.
pub(crate) async fn examine(url: &str) -> Result<Found, OpenVaultError> {
    Ok(examine_file(parse(url)?, &MIGRATIONS, FileUsage::Shared).await)
}

fn parse(url: &str) -> Result<SqliteConnectOptions, OpenVaultError> {
    let options = SqliteConnectOptions::from_str(url)
        .map_err(|source| OpenVaultError::BadUrl { url: url.to_owned(), source })?;
    Ok(options.busy_timeout(BUSY).disable_statement_logging())
}

/// The outcome of a change that is run as one transaction on the connection that writes.
macro_rules! change {
    ($store:expr, $transaction:ident => $change:expr) => {{
        let mut writer = $store.writes.begin().await?;
        let mut $transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
        let outcome = $change.await?;
        $transaction.commit().await?;
        writer.done();
        outcome
    }};
}

#[async_trait]
impl Store for SqliteStore {
    async fn generations(&self) -> Result<Vec<Generation>, sqlx::Error> {
        generations(&mut *self.reads.acquire().await?).await
    }

    async fn add_generation(&self, new: &Generation) -> Result<bool, sqlx::Error> {
        Ok(change!(self, transaction => add_generation(&mut transaction, new)))
    }

    async fn retire_generations(&self, newest: i64) -> Result<bool, sqlx::Error> {
        let retired = change!(self, transaction => retire_generations(&mut transaction, newest));
        if retired {
            self.empty_log().await?;
        }
        Ok(retired)
    }

    async fn find(&self, lookups: &[LookUp]) -> Result<Option<OwnerRow>, sqlx::Error> {
        find(&mut *self.reads.acquire().await?, lookups).await
    }

    async fn owners(&self, ids: &[Uuid]) -> Result<Vec<OwnerRow>, sqlx::Error> {
        let mut connection = self.reads.acquire().await?;
        let mut rows = Vec::with_capacity(ids.len());
        for id in ids {
            let row = AssertSqlSafe(format!("{OWNER} WHERE owner_id = $1"));
            rows.extend(sqlx::query_as(row).bind(id).fetch_optional(&mut *connection).await?);
        }
        Ok(rows)
    }

    async fn insert(&self, new: &NewOwner) -> Result<Inserted, sqlx::Error> {
        let mut writer = self.writes.begin().await?;
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
        let inserted = insert(&mut transaction, new).await?;
        match inserted {
            Inserted::New => transaction.commit().await?,
            Inserted::Outdated => transaction.rollback().await?,
        }
        writer.done();
        Ok(inserted)
    }

    async fn set_registered(&self, owner: Uuid) -> Result<(), sqlx::Error> {
        change!(self, transaction => set_registered(&mut transaction, owner));
        Ok(())
    }

    async fn set_person(
        &self,
        owner: Uuid,
        before: &[u8],
        person: &[u8],
    ) -> Result<bool, sqlx::Error> {
        Ok(change!(self, transaction => set_person(&mut transaction, owner, before, person)))
    }

    async fn erase(&self, owner: OwnerId, erasure: Erasure) -> Result<bool, sqlx::Error> {
        let erased = change!(self, transaction => erase(&mut transaction, owner, erasure));
        self.empty_log().await?;
        Ok(erased)
    }

    async fn before(&self, generation: i64) -> Result<Vec<OwnerRow>, sqlx::Error> {
        before(&mut *self.reads.acquire().await?, generation).await
    }

    async fn rewrap(&self, to: i64, owners: &[Rewrapped]) -> Result<(), sqlx::Error> {
        change!(self, transaction => rewrap(&mut transaction, to, owners));
        Ok(())
    }
}
