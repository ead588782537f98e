//! Keys as queries return them, and the SQL of these queries.

use keyledger_domain::{DisplayPrefix, Email, KeyId, KeyName, Revision, Timestamp, UserId};
use uuid::Uuid;

use super::row::BadRow;

/// A key that is not deleted, as queries return it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyView {
    /// The key's id.
    pub key_id: KeyId,
    /// The user who owns the key.
    pub owner: UserId,
    /// The owner's address; `None` if none is known.
    pub owner_email: Option<Email>,
    /// The name that the owner gave the key.
    pub name: KeyName,
    /// The beginning of the secret, shown so that people can recognise the key.
    pub prefix: DisplayPrefix,
    /// The time of creation.
    pub created_at: Timestamp,
    /// The key does not verify from this time on; `None` if it never expires.
    pub expires_at: Option<Timestamp>,
    /// The time of revocation; `None` if the key is not revoked.
    pub revoked_at: Option<Timestamp>,
    /// The name of the [`Closure`](keyledger_domain::Closure) of a key that is closed, and so refused
    /// although nobody may have revoked it.
    pub closed: Option<String>,
    /// The time of the last successful verification, as last recorded: it lags behind by up to the
    /// interval at which uses are recorded. `None` if no use is recorded.
    pub last_used_at: Option<Timestamp>,
    /// The revision of the last event of the key that is applied.
    pub revision: Revision,
}

/// The keys of an owner to list. Each key is active, expired or revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusFilter {
    /// Keys that are neither revoked, closed nor expired.
    Active,
    /// Expired keys that are neither revoked nor closed.
    Expired,
    /// Revoked and closed keys, whether or not they have expired.
    Revoked,
    /// All keys.
    All,
}

impl StatusFilter {
    /// All filters.
    pub const ALL: [Self; 4] = [Self::Active, Self::Expired, Self::Revoked, Self::All];

    /// The name of the filter, in SQL and for callers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::All => "all",
        }
    }
}

/// A page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListPage {
    /// The maximum number of keys on the page.
    pub limit: u32,
    /// The last key of the previous page; `None` for the first page.
    pub after: Option<Cursor>,
}

/// A place in a list, right after a key. Lists are ordered by creation time and id, newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The time at which the key was created.
    pub created_at: Timestamp,
    /// The key's id.
    pub key_id: KeyId,
}

impl Cursor {
    /// The place before the first key.
    pub(crate) const START: Self =
        Self { created_at: Timestamp::MAX, key_id: KeyId::from_uuid(Uuid::max()) };
}

/// A page of an owner's keys, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The keys of the page.
    pub keys: Vec<KeyView>,
    /// The place at which the next page begins; `None` if this is the last page.
    pub next: Option<Cursor>,
}

/// Why a query failed.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The database cannot be reached, or reports an error.
    #[error("the read tables cannot be read")]
    Unavailable(#[from] sqlx::Error),
    /// A row holds a value that this program never writes: something else has changed the tables.
    #[error(transparent)]
    BadRow(#[from] BadRow),
}

impl QueryError {
    /// Whether the same query may succeed later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// The arguments of [`LIST`].
pub(crate) struct ListQuery<'a> {
    pub(crate) owner: &'a str,
    pub(crate) status: &'static str,
    pub(crate) now: Timestamp,
    pub(crate) after: Cursor,
    pub(crate) limit: i64,
}

/// `$1` owner, `$2` status filter, `$3` and `$4` creation time and id of the key after which the
/// list begins, `$5` the maximum number of rows, `$6` the time at which keys are expired or not.
pub(crate) const LIST: &str = "
    SELECT keys.key_id, keys.user_id, keys.user_email, keys.name, keys.key_prefix,
           keys.created_at, keys.expires_at, keys.revoked_at, key_usage.last_used_at,
           keys.revision, closed_keys.closure
    FROM keys
    LEFT JOIN key_usage ON key_usage.key_id = keys.key_id
    LEFT JOIN closed_keys
        ON closed_keys.generation = keys.generation AND closed_keys.key_id = keys.key_id
    WHERE keys.generation = (SELECT live_generation FROM projection WHERE name = 'keys')
      AND keys.user_id = $1
      AND keys.deleted_at IS NULL
      AND ($2 = 'all'
           OR $2 = CASE WHEN keys.revoked_at IS NOT NULL OR closed_keys.key_id IS NOT NULL
                            THEN 'revoked'
                        WHEN keys.expires_at <= $6 THEN 'expired'
                        ELSE 'active' END)
      AND (keys.created_at, keys.key_id) < ($3, $4)
    ORDER BY keys.created_at DESC, keys.key_id DESC
    LIMIT $5";

/// `$1` key id.
pub(crate) const GET: &str = "
    SELECT keys.key_id, keys.user_id, keys.user_email, keys.name, keys.key_prefix,
           keys.created_at, keys.expires_at, keys.revoked_at, key_usage.last_used_at,
           keys.revision, closed_keys.closure
    FROM keys
    LEFT JOIN key_usage ON key_usage.key_id = keys.key_id
    LEFT JOIN closed_keys
        ON closed_keys.generation = keys.generation AND closed_keys.key_id = keys.key_id
    WHERE keys.generation = (SELECT live_generation FROM projection WHERE name = 'keys')
      AND keys.key_id = $1
      AND keys.deleted_at IS NULL";

/// The number of keys of owner `$1` that are not deleted, but `$2` at most. The order makes SQLite choose the
/// index that lists have too: without it, each creation would look at the keys of all owners.
pub(crate) const COUNT_OF: &str = "
    SELECT count(*) FROM (
        SELECT key_id FROM keys
        WHERE generation = (SELECT live_generation FROM projection WHERE name = 'keys')
          AND user_id = $1
          AND deleted_at IS NULL
        ORDER BY created_at DESC, key_id DESC
        LIMIT $2
    ) AS found";

/// The number of keys that are not deleted.
pub(crate) const COUNT: &str = "
    SELECT count(*) FROM keys
    WHERE generation = (SELECT live_generation FROM projection WHERE name = 'keys')
      AND deleted_at IS NULL";

/// All keys of build `$1` that are not deleted, ordered by id.
pub(crate) const SCAN: &str = "
    SELECT key_id, user_id, user_email, name, key_hash, created_at, expires_at, revoked_at, revision,
           is_hmac
    FROM keys
    WHERE generation = $1 AND deleted_at IS NULL
    ORDER BY key_id";
