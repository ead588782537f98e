//! The query plans that SQLite chooses for the statements, and changes after a failed one.

use std::time::Duration;

use keyledger_domain::testing::{at, key_id, position};
use keyledger_sqlite::lock;
use sqlx::{ConnectOptions, Executor};

use super::write::{COLUMNS, statement};
use super::{SqliteStore, WAL_BYTES};
use crate::OpenTablesError;
use crate::keys::{COUNT_OF, GET, LIST};
use crate::store::{Epoch, Growth, LogStore, Store};

async fn open() -> (tempfile::TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/read.db", folder.path().display());
    let store = SqliteStore::open(&url).await.unwrap();
    (folder, store)
}

async fn plan(text: String, arguments: usize) -> String {
    use sqlx::Row;
    let (_folder, store) = open().await;
    let mut query = sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}")));
    for _ in 0..arguments {
        query = query.bind("");
    }
    let steps = query.fetch_all(&store.reads).await.unwrap();
    steps.iter().map(|step| step.get::<String, _>("detail") + "\n").collect()
}

#[keyledger_bounded::test]
async fn the_row_of_a_changed_key_is_looked_up() {
    let row = format!("({})", ["?"; COLUMNS].join(", "));
    let plan = plan(statement(&format!("{row}, {row}")), 3 + 2 * COLUMNS).await;
    let by_key = "SEARCH keys USING PRIMARY KEY (generation=? AND key_id=?)";
    assert!(plan.contains(by_key), "{plan}");
    assert!(!plan.contains("SCAN keys"), "{plan}");
}

#[keyledger_bounded::test]
async fn a_list_reads_its_owners_keys_in_order_and_no_others() {
    let plan = plan(LIST.to_owned(), 6).await;
    assert!(
        plan.contains(
            "SEARCH keys USING INDEX keys_of_owner (generation=? AND user_id=? AND (created_at"
        ),
        "{plan}"
    );
    assert!(!plan.contains("SCAN"), "{plan}");
    assert!(!plan.contains("TEMP B-TREE"), "{plan}");
}

#[keyledger_bounded::test]
async fn the_keys_of_an_owner_are_counted_without_a_look_at_others() {
    let plan = plan(COUNT_OF.to_owned(), 2).await;
    let by_owner = "SEARCH keys USING INDEX keys_of_owner (generation=? AND user_id=?)";
    assert!(plan.contains(by_owner), "{plan}");
    assert!(!plan.contains("SCAN keys") && !plan.contains("TEMP B-TREE"), "{plan}");
}

#[keyledger_bounded::test]
async fn one_key_is_looked_up() {
    let plan = plan(GET.to_owned(), 1).await;
    let by_key = "SEARCH keys USING PRIMARY KEY (generation=? AND key_id=?)";
    assert!(plan.contains(by_key), "{plan}");
    assert!(!plan.contains("SCAN"), "{plan}");
}

/// Makes SQLite end the transaction of each change of a table, as it does when the disk is full at the
/// commit, then lets changes succeed again.
async fn when_sqlite_ends_its_transaction<E: std::fmt::Debug>(
    store: &SqliteStore,
    table: &str,
    change: impl AsyncFn() -> Result<(), E>,
) {
    let mut other = store.writing.connect().await.unwrap();
    let trigger = format!(
        "CREATE TRIGGER full BEFORE INSERT ON {table}
         BEGIN SELECT RAISE(ROLLBACK, 'the disk is full'); END"
    );
    other.execute(sqlx::AssertSqlSafe(trigger)).await.unwrap();
    for _ in 0..2 {
        let error = format!("{:?}", change().await.unwrap_err());
        assert!(error.contains("the disk is full"), "{error}");
    }
    other.execute("DROP TRIGGER full").await.unwrap();
    change().await.unwrap();
}

#[keyledger_bounded::test]
async fn changes_go_on_after_sqlite_has_ended_a_transaction() {
    let (_folder, store) = open().await;
    let uses = [(key_id(1), at(1))];
    when_sqlite_ends_its_transaction(&store, "key_usage", async || store.record(&uses).await).await;
    let growth = Growth {
        from: (position(0), 0),
        event_position: None,
        to: (position(1), 1),
        frontier: Vec::new(),
        tiles: Vec::new(),
        events: vec![(0, vec![1; 16])],
    };
    let grow = async || store.grow(&growth, Epoch(0)).await;
    when_sqlite_ends_its_transaction(&store, "tree_event", grow).await;
}

#[keyledger_bounded::test]
async fn a_write_ahead_log_that_a_slow_query_made_large_is_cut_again() {
    let (folder, store) = open().await;
    let wal = || std::fs::metadata(folder.path().join("read.db-wal")).unwrap().len();
    let mut writer = store.writing.connect().await.unwrap();
    writer.execute("CREATE TABLE filler (filler BLOB)").await.unwrap();
    // While the query is at work, no page before its own may be written again.
    let mut query = store.scanning.connect().await.unwrap();
    query.execute("BEGIN; SELECT count(*) FROM keys").await.unwrap();
    while wal() < WAL_BYTES + (8 << 20) {
        writer.execute("INSERT INTO filler VALUES (zeroblob(4000000))").await.unwrap();
    }
    query.execute("COMMIT").await.unwrap();
    writer.execute("PRAGMA wal_checkpoint(RESTART)").await.unwrap();
    writer.execute("INSERT INTO filler VALUES (NULL)").await.unwrap();
    assert!(wal() <= WAL_BYTES, "{} bytes", wal());
}

#[keyledger_bounded::test(paused)]
async fn tables_that_another_process_is_making_are_waited_for_but_not_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("read.db");
    let other = lock(&path).await.unwrap();
    let url = format!("sqlite://{}", path.display());
    let refused = SqliteStore::open(&url).await.unwrap_err();
    assert!(matches!(refused, OpenTablesError::InUse(_)), "{refused:?}");
    assert!(refused.is_passing());
    let ends = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(other);
    };
    let (taken, ()) = tokio::join!(lock(&path), ends);
    taken.unwrap();
}
