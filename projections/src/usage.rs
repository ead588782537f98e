//! When keys were last used. No event tells it: it is kept apart from the key table, and a rebuild
//! does not touch it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use keyledger_domain::{KeyId, Timestamp};

use crate::ReadTables;
use crate::statement::ManyRows;

static UPSERT: LazyLock<ManyRows> = LazyLock::new(|| {
    ManyRows::new(0, 2, |rows| {
        format!(
            "INSERT INTO key_usage (key_id, last_used_at) VALUES {rows}
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
    let mut transaction = tables.begin().await?;
    for (text, run) in UPSERT.runs(&rows) {
        let mut query = sqlx::query(text);
        for (key_id, at) in run {
            query = query.bind(key_id.as_uuid()).bind(at.unix_micros());
        }
        query.execute(&mut *transaction).await?;
    }
    transaction.commit().await
}
