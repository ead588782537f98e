//! When keys were last used. No event tells it: it is kept apart from the key table, and a rebuild
//! does not touch it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use keyledger_domain::{KeyId, Timestamp};

use crate::ReadTables;
use crate::statement::{MOST_ROWS, ManyRows};
use crate::tables::begin;

static UPSERT: LazyLock<ManyRows> = LazyLock::new(|| {
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

/// Records when keys were last used, all or none; a time that is earlier than the one recorded
/// changes nothing, so several nodes may record in any order.
///
/// # Errors
/// The database's error; nothing was recorded then.
pub async fn record(
    tables: &ReadTables,
    uses: &BTreeMap<KeyId, Timestamp>,
) -> Result<(), sqlx::Error> {
    let rows: Vec<_> = uses.iter().collect();
    let mut connection = tables.writer().await;
    let mut transaction = begin(&mut connection).await?;
    for run in rows.chunks(MOST_ROWS) {
        let mut query = sqlx::query(UPSERT.text(run.len()));
        for (key_id, at) in run {
            query = query.bind(key_id.as_uuid()).bind(at.unix_micros());
        }
        query.execute(&mut *transaction).await?;
    }
    transaction.commit().await
}
