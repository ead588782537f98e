//! When keys were last used. No event tells it: it is kept apart from the key table, and a rebuild
//! does not touch it.

use std::collections::BTreeMap;

use keyledger_domain::{KeyId, Timestamp};

use crate::ReadTables;

/// Records when keys were last used, all or none; a time that is earlier than the one recorded
/// changes nothing, so several nodes may record in any order.
///
/// # Errors
/// The database's error; nothing was recorded then.
pub async fn record(
    tables: &ReadTables,
    uses: &BTreeMap<KeyId, Timestamp>,
) -> Result<(), sqlx::Error> {
    tables.store.record(uses).await
}
