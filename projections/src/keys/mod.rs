//! The key table: a row for every key, and the queries that show them.

mod apply;
mod query;
mod row;

pub(crate) use apply::{COLUMNS, changes, statement};
pub use query::{Cursor, KeyView, Listing, Page, QueryError, StatusFilter};
pub use row::BadRow;

/// How the database would run a statement.
#[cfg(test)]
async fn plan(text: String, arguments: usize) -> String {
    use sqlx::Row;
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/read.db", folder.path().display());
    let tables = crate::ReadTables::open(&url).await.unwrap();
    let mut query = sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}")));
    for _ in 0..arguments {
        query = query.bind("");
    }
    let steps = query.fetch_all(&tables.reads).await.unwrap();
    steps.iter().map(|step| step.get::<String, _>("detail") + "\n").collect()
}
