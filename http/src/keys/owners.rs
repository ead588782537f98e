//! Whose a key is, and which keys an owner has, by the read tables.

use std::time::Duration;

use keyledger_domain::{Email, KeyId, Timestamp, UserId, chain};
use keyledger_projections::{
    Cursor, KeyView, ListPage, Listing, QueryError, ReadTables, StatusFilter,
};

use crate::problem::ApiError;

/// How long a creation waits for the number of the owner's keys.
const COUNTING: Duration = Duration::from_secs(1);
/// How many keys are compared with an address at a time.
const COMPARED: u32 = 100;

/// Tells whose a key is that is closed, whether an owner may have another key, and which of an owner's keys
/// have another address. Commands and histories know a key by its events, but the journal cannot tell those of
/// a closed key any more, nor which keys an owner has: these are the only questions for which they need the
/// read side.
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

    /// Whether the user has fewer keys than this, and so may have another one. Creations at the same time
    /// do not see each other's keys, so a user may end up with a few keys more. While the tables cannot be
    /// read, everyone may: a limit is no reason to create no keys.
    pub(super) async fn have_room(&self, user: &UserId, most: u32) -> bool {
        let asked = tokio::time::timeout(COUNTING, self.0.has_keys(user, most)).await;
        match asked {
            Ok(Ok(has_most)) => !has_most,
            Ok(Err(error)) => {
                tracing::warn!(cause = %chain(&error), "the keys of an owner cannot be counted");
                true
            }
            Err(_) => true,
        }
    }

    /// Of the next keys of an owner that are in use at `now`, those that have another address than this; and where the
    /// ones after them begin, `None` after the last. The tables may lag behind: the command decides by the
    /// key's events whether its address changes.
    ///
    /// # Errors
    /// Every variant of [`QueryError`].
    pub async fn with_another_address(
        &self,
        owner: &UserId,
        email: &Email,
        now: Timestamp,
        after: Option<Cursor>,
    ) -> Result<(Vec<KeyId>, Option<Cursor>), QueryError> {
        let page = ListPage { limit: COMPARED, after };
        let Listing { keys, next } = self.0.list(owner, StatusFilter::Active, now, page).await?;
        let others = keys.into_iter().filter(|key| key.owner_email.as_ref() != Some(email));
        Ok((others.map(|key| key.key_id).collect(), next))
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
