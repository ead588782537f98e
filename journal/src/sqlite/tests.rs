//! The size of the write-ahead log, and a file that is moved during a commit.

use std::sync::Arc;

use sqlx::{ConnectOptions, Executor};

use super::OpenedFile;
use super::location::{FileLocation, WAL_BYTES};
use super::table::{self, SqliteTable};
use crate::AppendError;
use crate::sql::{EventTable, PendingAppend};
use crate::testing::{created, first, new_key};

#[keyledger_bounded::test]
async fn a_write_ahead_log_that_a_slow_reader_made_large_is_cut_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let location = FileLocation::parse(&format!("sqlite://{}", path.display())).unwrap();
    let mut writer = table::connect(&location).await.unwrap();
    let wal = || std::fs::metadata(folder.path().join("journal.db-wal")).unwrap().len();

    // While the reader is at work, no page before its own may be written again.
    let mut reader = location.read_only().connect().await.unwrap();
    reader.execute("BEGIN; SELECT count(*) FROM events").await.unwrap();
    while wal() < WAL_BYTES + (8 << 20) {
        let write = "INSERT OR REPLACE INTO probe (only_row, filler) VALUES (1, zeroblob(4000000))";
        writer.execute(write).await.unwrap();
    }
    reader.execute("COMMIT").await.unwrap();
    writer.execute("PRAGMA wal_checkpoint(RESTART)").await.unwrap();
    writer.execute("UPDATE probe SET filler = x'00'").await.unwrap();
    assert!(wal() <= WAL_BYTES, "{} bytes", wal());
}

#[keyledger_bounded::test]
async fn what_is_committed_to_a_file_that_was_moved_meanwhile_is_not_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let location = FileLocation::parse(&format!("sqlite://{}", path.display())).unwrap();
    let connection = table::connect(&location).await.unwrap();
    let file = Arc::new(OpenedFile::at(&path).unwrap());
    let mut table = SqliteTable::new(&location, file, connection).await.unwrap();
    let key_id = new_key();
    let (pending, _outcome) = PendingAppend::new(first(key_id, vec![created(key_id)])).unwrap();

    // The commit waits for the lock.
    let mut other = location.options().connect().await.unwrap();
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let group = [pending];
    let mut committing = table.commit(&group);
    assert!(futures::poll!(&mut committing).is_pending());
    std::fs::rename(&path, folder.path().join("aside.db")).unwrap();
    other.execute("COMMIT").await.unwrap();
    let outcome = committing.await.map(drop);
    assert!(matches!(outcome, Err(AppendError::Ambiguous(_))), "{outcome:?}");
}
