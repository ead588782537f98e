//! What queries show of keys.

use keyledger_domain::{DisplayPrefix, KeyId, KeyName, Revision, Timestamp, UserId};
use uuid::Uuid;

use super::row::BadRow;

/// A key that is not deleted, as queries show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyView {
    /// Its id.
    pub key_id: KeyId,
    /// Who it belongs to.
    pub owner: UserId,
    /// What the owner calls it.
    pub name: KeyName,
    /// What people recognise it by.
    pub prefix: DisplayPrefix,
    /// When it was created.
    pub created_at: Timestamp,
    /// From when on it does not verify, if ever.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
    /// When it last verified, if it ever did; within the interval at which uses are recorded.
    pub last_used_at: Option<Timestamp>,
    /// The revision of the last event that this includes.
    pub revision: Revision,
}

/// Which of an owner's keys to list. An expired key that was not revoked counts as active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusFilter {
    /// Those that are not revoked.
    Active,
    /// Those that are revoked.
    Revoked,
    /// Both.
    All,
}

/// A part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListPage {
    /// The most keys that it has.
    pub limit: u32,
    /// Where the page before ended; `None` for the first.
    pub after: Option<Cursor>,
}

/// A place in a list: just after this key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// When the key was created.
    pub created_at: Timestamp,
    /// The key.
    pub key_id: KeyId,
}

impl Cursor {
    /// Before every key.
    pub(crate) const START: Self =
        Self { created_at: Timestamp::MAX, key_id: KeyId::from_uuid(Uuid::max()) };
}

/// An owner's keys, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The keys.
    pub keys: Vec<KeyView>,
    /// Where the next page begins; `None` when there is none.
    pub next: Option<Cursor>,
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The database does not answer.
    #[error("the read tables cannot be read")]
    Unavailable(#[from] sqlx::Error),
    /// A row is not what it can be: the tables were changed by someone else.
    #[error(transparent)]
    BadRow(#[from] BadRow),
}

impl QueryError {
    /// Whether it may be different in a moment.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// What [`LIST`] asks for.
pub(crate) struct ListQuery<'a> {
    pub(crate) owner: &'a str,
    pub(crate) status: &'static str,
    pub(crate) after: Cursor,
    pub(crate) limit: i64,
}

/// `$1` owner, `$2` status, `$3` and `$4` where to begin, `$5` how many.
pub(crate) const LIST: &str = "
    SELECT keys.key_id, keys.user_id, keys.name, keys.key_prefix, keys.created_at,
           keys.expires_at, keys.revoked_at, key_usage.last_used_at, keys.revision
    FROM keys
    LEFT JOIN key_usage ON key_usage.key_id = keys.key_id
    WHERE keys.generation = (SELECT live_generation FROM projection WHERE name = 'keys')
      AND keys.user_id = $1
      AND keys.deleted_at IS NULL
      AND ($2 = 'all' OR ($2 = 'active') = (keys.revoked_at IS NULL))
      AND (keys.created_at, keys.key_id) < ($3, $4)
    ORDER BY keys.created_at DESC, keys.key_id DESC
    LIMIT $5";

/// `$1` key.
pub(crate) const GET: &str = "
    SELECT keys.key_id, keys.user_id, keys.name, keys.key_prefix, keys.created_at,
           keys.expires_at, keys.revoked_at, key_usage.last_used_at, keys.revision
    FROM keys
    LEFT JOIN key_usage ON key_usage.key_id = keys.key_id
    WHERE keys.generation = (SELECT live_generation FROM projection WHERE name = 'keys')
      AND keys.key_id = $1
      AND keys.deleted_at IS NULL";

/// How many keys are not deleted.
pub(crate) const COUNT: &str = "
    SELECT count(*) FROM keys
    WHERE generation = (SELECT live_generation FROM projection WHERE name = 'keys')
      AND deleted_at IS NULL";

/// All keys that are not deleted, in the build `$1`, in the order of their ids.
pub(crate) const SCAN: &str = "
    SELECT key_id, user_id, user_email, name, key_hash, created_at, expires_at, revoked_at, revision
    FROM keys
    WHERE generation = $1 AND deleted_at IS NULL
    ORDER BY key_id";
