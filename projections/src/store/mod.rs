//! The interface between the read side and its database, and the SQL that both kinds of database
//! share. Each kind has an adapter, in `sqlite/` and `postgres/`.

mod lease;
mod log;

pub(crate) use lease::Claim;
pub use lease::{Epoch, LeaseName};
pub(crate) use log::{
    CHECKPOINTS_AFTER, CheckpointRow, Growth, IDS, LAST_CHECKPOINT, LAST_SIGNED, LogRow, LogStore,
    STORED_AFTER, TILE, TREE, place_of,
};

use async_trait::async_trait;
use keyledger_domain::{
    ClosedKey, EventId, KeyId, Place, Position, Reached, RecordedEvent, UserId,
};
use keyledger_verifier::Use;
use uuid::Uuid;

use crate::WriteError;
use crate::keys::{ClosedRow, KeyRow, ListQuery, ScanRow};

/// Writes the rows of `change` to the build that `target` names. If a row is not at the revision
/// `before` the change, the new revision is `NULL`, and the `NOT NULL` constraint makes the
/// statement fail.
macro_rules! upsert {
    () => {
        "INSERT INTO keys (generation, key_id, user_id, user_email, name, key_prefix, key_hash,
                               created_at, expires_at, revoked_at, deleted_at, revision, position,
                               event_id, is_hmac)
             SELECT target.generation, change.key_id,
                    coalesce(keys.user_id, change.user_id),
                    coalesce(change.user_email, keys.user_email),
                    coalesce(keys.name, change.name),
                    coalesce(keys.key_prefix, change.key_prefix),
                    coalesce(keys.key_hash, change.key_hash),
                    coalesce(keys.created_at, change.created_at),
                    coalesce(keys.expires_at, change.expires_at),
                    coalesce(change.revoked_at, keys.revoked_at),
                    coalesce(change.deleted_at, keys.deleted_at),
                    CASE WHEN coalesce(keys.revision, -1) = change.before THEN change.revision END,
                    change.position, change.event_id, coalesce(keys.is_hmac, change.is_hmac)
             FROM target CROSS JOIN change
             LEFT JOIN keys ON keys.generation = target.generation AND keys.key_id = change.key_id
             WHERE change.key_id IS NOT NULL
             ON CONFLICT (generation, key_id) DO UPDATE
             SET user_email = excluded.user_email,
                 revoked_at = excluded.revoked_at,
                 deleted_at = excluded.deleted_at,
                 revision = excluded.revision,
                 position = excluded.position,
                 event_id = excluded.event_id"
    };
}
pub(crate) use upsert;

/// Deletes at most `$1` rows of builds that queries do not read.
pub(crate) const CLEAR: &str = "
    DELETE FROM keys WHERE (generation, key_id) IN
        (SELECT generation, key_id FROM keys WHERE generation <>
            (SELECT live_generation FROM projection WHERE name = 'keys') LIMIT $1)";

/// Deletes the positions of builds that queries do not read.
pub(crate) const CLEAR_BUILDS: &str = "
    DELETE FROM build WHERE generation <>
        (SELECT live_generation FROM projection WHERE name = 'keys')";

/// Deletes the closed keys of builds that queries do not read.
pub(crate) const CLEAR_CLOSED: &str = "
    DELETE FROM closed_keys WHERE generation <
        (SELECT live_generation FROM projection WHERE name = 'keys')";

/// The closed keys of build `$1`.
pub(crate) const CLOSED: &str =
    "SELECT key_id, position, closure FROM closed_keys WHERE generation = $1";

/// Closes key `$2` of build `$1` at position `$3` because of `$4`, unless it is closed already.
pub(crate) const CLOSE: &str = "
    INSERT INTO closed_keys (generation, key_id, position, closure) VALUES ($1, $2, $3, $4)
    ON CONFLICT (generation, key_id) DO NOTHING";

/// Closes keys of a build: the same for the connections of both kinds of database.
macro_rules! close {
    ($connection:ident, $build:ident, $keys:ident) => {{
        for keyledger_domain::ClosedKey { key_id, position, closure } in $keys {
            let close = sqlx::query($crate::store::CLOSE).bind($build.generation);
            let close = close.bind(key_id.as_uuid()).bind(position.as_i64()).bind(closure.name());
            close.execute(&mut *$connection).await?;
        }
        Ok(())
    }};
}
pub(crate) use close;

/// Makes build `$1` the live one, unless the live build is the same or a later one.
pub(crate) const SWAP: &str = "
    UPDATE projection SET live_generation = $1 WHERE name = 'keys' AND live_generation < $1";

/// The position of the relay to stream `$1`.
pub(crate) const RELAYED: &str = "SELECT position FROM relay WHERE stream = $1";

/// Stores the position `$2` of the relay to stream `$1`, unless a later one is stored.
pub(crate) const SET_RELAYED: &str = "
    INSERT INTO relay (stream, position) VALUES ($1, $2)
    ON CONFLICT (stream) DO UPDATE SET position = excluded.position
    WHERE relay.position < excluded.position";

/// Converts a number from a table into a position.
pub(crate) fn position_of(table: &str, number: i64) -> Result<Position, sqlx::Error> {
    Position::try_from(number).map_err(|error| sqlx::Error::ColumnDecode {
        index: format!("{table}.position"),
        source: error.into(),
    })
}

/// Converts the columns of a table's last event into its place; `None` if the id was not stored.
pub(crate) fn last_of(
    table: &str,
    position: Option<i64>,
    event_id: Option<Uuid>,
) -> Result<Option<Place>, sqlx::Error> {
    let (Some(position), Some(event_id)) = (position, event_id) else { return Ok(None) };
    let position = position_of(table, position)?;
    Ok(Some(Place { position, event_id: EventId::from_uuid(event_id) }))
}

/// A build of the key table, and how far in the journal it includes all events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Build {
    pub(crate) generation: i64,
    pub(crate) reached: Reached,
}

/// The kind of build that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The build that queries read. The write fails unless the lease is in this epoch.
    Live(Epoch),
    /// A build that is to replace the live one. No lease is needed.
    Next,
}

/// A database that holds the read tables.
#[async_trait]
pub(crate) trait Store: LogStore + std::fmt::Debug + Send + Sync {
    /// The rows of an owner's keys, newest first.
    async fn list(&self, query: &ListQuery<'_>) -> Result<Vec<KeyRow>, sqlx::Error>;

    /// The row of a key; `None` if there is none or the key is deleted.
    async fn get(&self, key_id: KeyId) -> Result<Option<KeyRow>, sqlx::Error>;

    /// The number of an owner's keys that are not deleted, but `most` at most.
    async fn count_of(&self, owner: &UserId, most: i64) -> Result<i64, sqlx::Error>;

    /// The number of keys that are not deleted. It may be outdated when [`Store::scan`] begins.
    async fn count(&self) -> Result<i64, sqlx::Error>;

    /// Calls `each` with the row of each key that is not deleted, until it returns `false`; returns
    /// the build that the rows belong to.
    async fn scan(
        &self,
        each: &mut (dyn FnMut(ScanRow) -> bool + Send),
    ) -> Result<Build, sqlx::Error>;

    /// The build that queries read at the moment.
    async fn live(&self) -> Result<Build, sqlx::Error>;

    /// Waits until [`Store::live`] may have changed: for a notification, or at most 50 ms.
    async fn changed(&self);

    /// Applies events to the build `from`, and moves its position to `to`, all or nothing. Fails
    /// unless the build is at the position in `from` and is of the kind that `target` says.
    async fn write(
        &self,
        from: Build,
        target: Target,
        events: &[RecordedEvent],
        to: Position,
    ) -> Result<Build, WriteError>;

    /// The closed keys of a build.
    async fn closed(&self, build: Build) -> Result<Vec<ClosedRow>, sqlx::Error>;

    /// Closes keys of a build. Those that are closed already stay as they are.
    async fn close(&self, build: Build, keys: &[ClosedKey]) -> Result<(), sqlx::Error>;

    /// Begins a new build, at the start of the journal.
    async fn begin_build(&self) -> Result<Build, sqlx::Error>;

    /// Begins the swap of the live build for another. Until it ends, no one else can write to the
    /// live build.
    async fn swap(&self) -> Result<Box<dyn Swap + '_>, sqlx::Error>;

    /// Deletes at most 5,000 rows of builds that queries do not read; returns the number of deleted
    /// rows.
    async fn clear(&self) -> Result<u64, sqlx::Error>;

    /// Records the times at which keys were last used, unless a later time is recorded.
    async fn record(&self, uses: &[Use]) -> Result<(), sqlx::Error>;

    /// Takes or renews a lease; `None` when another holder has it.
    async fn claim(&self, claim: &Claim) -> Result<Option<Epoch>, sqlx::Error>;

    /// Releases a lease, if the claim's holder has it.
    async fn release(&self, claim: &Claim) -> Result<(), sqlx::Error>;

    /// The position of the relay to this stream.
    async fn relayed(&self, stream: &str) -> Result<Position, sqlx::Error>;

    /// Stores the position of the relay to this stream, unless a later one is stored.
    async fn set_relayed(&self, stream: &str, position: Position) -> Result<(), sqlx::Error>;
}

/// The swap of the live build for another, which is rolled back unless it is finished.
#[async_trait]
pub(crate) trait Swap: Send {
    /// The build that queries read at the moment.
    async fn live(&mut self) -> Result<Build, sqlx::Error>;

    /// Writes to the build that is to become the live one, like [`Store::write`].
    async fn write(
        &mut self,
        from: Build,
        events: &[RecordedEvent],
        to: Position,
    ) -> Result<Build, WriteError>;

    /// Closes keys of the build that is to become the live one, like [`Store::close`].
    async fn close(&mut self, build: Build, keys: &[ClosedKey]) -> Result<(), sqlx::Error>;

    /// Makes this build the live one and commits. Fails if the live build is the same or a later
    /// one, or if another rebuild has deleted this build.
    async fn finish(self: Box<Self>, build: Build) -> Result<(), WriteError>;
}
