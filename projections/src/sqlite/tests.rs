//! The query plans that SQLite chooses for the statements, and what happens after a full disk.

use keyledger_domain::testing::{at, creations, key_id, position};
use sqlx::sqlite::SqliteConnection;

use super::SqliteStore;
use super::write::{COLUMNS, statement};
use crate::WriteError;
use crate::keys::{GET, LIST};
use crate::store::{Epoch, Growth, LogStore, Store, Target};

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
    let plan = plan(LIST.to_owned(), 5).await;
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
async fn one_key_is_looked_up() {
    let plan = plan(GET.to_owned(), 1).await;
    let by_key = "SEARCH keys USING PRIMARY KEY (generation=? AND key_id=?)";
    assert!(plan.contains(by_key), "{plan}");
    assert!(!plan.contains("SCAN"), "{plan}");
}

/// Sets the number of pages to which the file may grow on this connection; SQLite sets no fewer than
/// there are.
async fn set_most_pages(connection: &mut SqliteConnection, pages: u32) {
    let statement = format!("PRAGMA max_page_count = {pages}");
    sqlx::query(sqlx::AssertSqlSafe(statement)).execute(connection).await.unwrap();
}

/// Makes the disk full for a change, and checks that the change fails for that reason alone.
async fn on_a_full_disk<E: From<sqlx::Error> + std::fmt::Debug>(
    store: &SqliteStore,
    change: impl AsyncFn() -> Result<(), E>,
    cause: impl Fn(E) -> sqlx::Error,
) {
    let mut writer = store.writes.begin().await.unwrap();
    set_most_pages(&mut writer, 1).await;
    writer.done();
    let error = cause(change().await.unwrap_err());
    let code = error.as_database_error().and_then(|error| error.code().map(String::from));
    assert_eq!(code.as_deref(), Some("13"), "SQLITE_FULL: {error:?}");
    // There is space again, whichever connection the next change uses.
    let mut writer = store.writes.begin().await.unwrap();
    set_most_pages(&mut writer, u32::MAX - 1).await;
    writer.done();
}

#[keyledger_bounded::test]
async fn changes_go_on_after_a_full_disk() {
    let (_folder, store) = open().await;
    let uses: Vec<_> = (0..1_000).map(|number| (key_id(number), at(1))).collect();
    on_a_full_disk(&store, async || store.record(&uses).await, |error| error).await;
    store.record(&uses).await.unwrap();

    let events = creations(400);
    let build = store.live().await.unwrap();
    let write = async || {
        let written = store.write(build, Target::Live(Epoch(0)), &events, position(400));
        written.await.map(drop)
    };
    let cause = |error| {
        let WriteError::Database(cause) = error else { panic!("{error:?}") };
        cause
    };
    on_a_full_disk(&store, write, cause).await;
    write().await.unwrap();

    let growth = Growth {
        from: (position(0), 0),
        to: (position(1_000), 1_000),
        frontier: Vec::new(),
        tiles: Vec::new(),
        events: (0..4).map(|number| (number, vec![1; 4_096])).collect(),
    };
    let grow = async || store.grow(&growth, Epoch(0)).await;
    on_a_full_disk(&store, grow, cause).await;
    grow().await.unwrap();
}
