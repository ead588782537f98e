//! The size of the write-ahead log.

use sqlx::{ConnectOptions, Executor};

use super::location::{FileLocation, WAL_BYTES};
use super::table;

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
