//! When keys were last used. No event tells it: it is kept apart from the key table, and a rebuild
//! does not touch it.

use keyledger_domain::{KeyId, Timestamp};

use crate::ReadTables;

/// When a key was last used.
pub type Use = (KeyId, Timestamp);

/// Records when keys were last used, all or none; a time that is earlier than the one recorded
/// changes nothing, so several nodes may record in any order. No key may be there twice.
///
/// # Errors
/// The database's error; nothing was recorded then.
pub async fn record(tables: &ReadTables, uses: &[Use]) -> Result<(), sqlx::Error> {
    tables.store.record(uses).await
}
