//! Whose a key is, by the read tables.

use keyledger_domain::{KeyId, UserId};
use keyledger_projections::{KeyView, ReadTables};

use crate::problem::ApiError;

/// Tells whose a key is that is closed. Commands and histories know a key by its events, but the journal
/// cannot tell those of a closed key any more: this is the only question for which they need the read side.
#[derive(Clone, Debug)]
pub struct Owners(ReadTables);

impl Owners {
    /// Asks these tables.
    #[must_use]
    pub fn new(tables: ReadTables) -> Self {
        Self(tables)
    }

    /// Fails unless the user owns the key. `to` says what the user wants to do, as a verb.
    pub(super) async fn check(
        &self,
        key_id: KeyId,
        user: &UserId,
        to: &'static str,
    ) -> Result<(), ApiError> {
        owned(&self.0, key_id, user, to).await.map(drop)
    }
}

/// The key, which the user must own. `to` says what the user wants to do, as a verb.
pub(super) async fn owned(
    tables: &ReadTables,
    key_id: KeyId,
    user: &UserId,
    to: &'static str,
) -> Result<KeyView, ApiError> {
    let view = tables.get(key_id).await?.ok_or(ApiError::KeyNotFound)?;
    if view.owner == *user { Ok(view) } else { Err(ApiError::NotAuthorized { to }) }
}
