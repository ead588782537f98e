//! A file of SQLite.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use keyledger_domain::chain;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use crate::files::{check_folder, check_writable};
use crate::postgres::later_version;
use crate::{Found, Migrations};

/// How long a statement waits for another program's lock on the file.
const BUSY: Duration = Duration::from_secs(3);

/// What a process does with the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileUsage {
    /// It makes and writes it, and is the only one that does.
    Alone,
    /// It makes and writes it.
    Shared,
    /// It reads what another process has made.
    Read,
}

/// What is in a file that needs these migrations.
///
/// SQLite itself may make or change the file `…-shm`, which holds no data, if there is a file `…-wal`.
pub async fn examine(
    options: SqliteConnectOptions,
    migrations: &Migrator,
    usage: FileUsage,
) -> Found {
    let path = options.get_filename().to_owned();
    let mut found = Found::at("SQLite", path.display().to_string());
    if usage != FileUsage::Read {
        let obstacle = writable(&path).err();
        found.is_writable = Some(obstacle.is_none());
        found.problems.extend(obstacle);
    }
    if usage == FileUsage::Alone && is_locked(&path) {
        found.problems.push("another keyledger process uses the file".to_owned());
    }
    let known = migrations.iter().count();
    if !path.exists() {
        if usage == FileUsage::Read {
            return found.with_problem("there is no file yet: a process that appends makes it");
        }
        found.migrations = Some(Migrations { known, pending: known });
        return found.with_note("there is no file yet: the service makes it");
    }
    match pending(options, &path, migrations).await {
        Ok(Tables::Known { pending }) => found.migrations = Some(Migrations { known, pending }),
        Ok(Tables::Later(version)) => found.problems.push(later_version(version)),
        Ok(Tables::Other(version)) => found.problems.push(format!(
            "the tables are of another version of keyledger, whose migration {version} is another one"
        )),
        Err(error) => found.problems.push(format!("the file cannot be read: {}", chain(&error))),
    }
    found
}

/// Whether the process may write the file, and those that SQLite makes beside it.
fn writable(path: &Path) -> Result<(), String> {
    check_writable(path)?;
    check_folder(path)?;
    for suffix in ["-wal", "-shm", ".lock"] {
        check_writable(&beside(path, suffix))?;
    }
    Ok(())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(suffix);
    name.into()
}

/// Whether another process has the lock of those that append. To know it, the lock is taken for a moment.
fn is_locked(path: &Path) -> bool {
    let lock = File::open(beside(path, ".lock"));
    lock.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

enum Tables {
    Known {
        pending: usize,
    },
    /// They have this migration, which is unknown.
    Later(i64),
    /// This migration was another one when it was applied.
    Other(i64),
}

async fn pending(
    options: SqliteConnectOptions,
    path: &Path,
    migrations: &Migrator,
) -> Result<Tables, sqlx::Error> {
    // Without a write-ahead log, nobody has the file open: SQLite then needs no files beside it.
    let is_closed = !beside(path, "-wal").exists();
    let options = options.read_only(true).immutable(is_closed).create_if_missing(false);
    let mut connection = options.busy_timeout(BUSY).disable_statement_logging().connect().await?;
    let applied = applied(&mut connection).await?;
    // What was read is known, whatever becomes of the connection.
    let _ = connection.close().await;
    for (version, checksum) in &applied {
        match migrations.iter().find(|known| known.version == *version) {
            None => return Ok(Tables::Later(*version)),
            Some(known) if *known.checksum != **checksum => return Ok(Tables::Other(*version)),
            Some(_) => {}
        }
    }
    let is_applied = |version| applied.iter().any(|(applied, _)| *applied == version);
    let pending = migrations.iter().filter(|known| !is_applied(known.version)).count();
    Ok(Tables::Known { pending })
}

async fn applied(connection: &mut SqliteConnection) -> Result<Vec<(i64, Vec<u8>)>, sqlx::Error> {
    let has_table = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = '_sqlx_migrations')",
    );
    if !has_table.fetch_one(&mut *connection).await? {
        return Ok(Vec::new());
    }
    let versions = sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations WHERE success");
    versions.fetch_all(connection).await
}
