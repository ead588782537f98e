//! The query plans that SQLite chooses for the statements.

use super::SqliteStore;
use super::write::{COLUMNS, statement};
use crate::keys::{GET, LIST};

async fn plan(text: String, arguments: usize) -> String {
    use sqlx::Row;
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/read.db", folder.path().display());
    let store = SqliteStore::open(&url).await.unwrap();
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
