//! What a database does for the read side. There is one adapter for each kind.

mod lease;
mod log;

pub(crate) use lease::Claim;
pub use lease::{Epoch, LeaseName};
pub(crate) use log::{
    CHECKPOINTS_AFTER, CheckpointRow, Growth, IDS, LAST_CHECKPOINT, LAST_SIGNED, LogRow, LogStore,
    TILE, TREE, place_of,
};

use async_trait::async_trait;
use keyledger_domain::{KeyId, Position, RecordedEvent};
use keyledger_verifier::Use;

use crate::WriteError;
use crate::keys::{KeyRow, ListQuery, ScanRow};

/// Writes the rows of `change` to the build that `target` names. It puts nothing where a column must have
/// a value if a row is not at the revision `before` the change.
macro_rules! upsert {
    () => {
        "INSERT INTO keys (generation, key_id, user_id, user_email, name, key_prefix, key_hash,
                               created_at, expires_at, revoked_at, deleted_at, revision, position)
             SELECT target.generation, change.key_id,
                    coalesce(keys.user_id, change.user_id),
                    coalesce(keys.user_email, change.user_email),
                    coalesce(keys.name, change.name),
                    coalesce(keys.key_prefix, change.key_prefix),
                    coalesce(keys.key_hash, change.key_hash),
                    coalesce(keys.created_at, change.created_at),
                    coalesce(keys.expires_at, change.expires_at),
                    coalesce(change.revoked_at, keys.revoked_at),
                    coalesce(change.deleted_at, keys.deleted_at),
                    CASE WHEN coalesce(keys.revision, -1) = change.before THEN change.revision END,
                    change.position
             FROM target CROSS JOIN change
             LEFT JOIN keys ON keys.generation = target.generation AND keys.key_id = change.key_id
             WHERE change.key_id IS NOT NULL
             ON CONFLICT (generation, key_id) DO UPDATE
             SET revoked_at = excluded.revoked_at,
                 deleted_at = excluded.deleted_at,
                 revision = excluded.revision,
                 position = excluded.position"
    };
}
pub(crate) use upsert;

/// Deletes up to `$1` rows of builds that queries do not read.
pub(crate) const CLEAR: &str = "
    DELETE FROM keys WHERE (generation, key_id) IN
        (SELECT generation, key_id FROM keys WHERE generation <>
            (SELECT live_generation FROM projection WHERE name = 'keys') LIMIT $1)";

/// Forgets how far such builds have come.
pub(crate) const CLEAR_BUILDS: &str = "
    DELETE FROM build WHERE generation <>
        (SELECT live_generation FROM projection WHERE name = 'keys')";

/// Makes build `$1` the one that queries read, unless a later one is.
pub(crate) const SWAP: &str = "
    UPDATE projection SET live_generation = $1 WHERE name = 'keys' AND live_generation < $1";

/// Where the relay to stream `$1` has come.
pub(crate) const RELAYED: &str = "SELECT position FROM relay WHERE stream = $1";

/// Remembers that the relay to stream `$1` has come to `$2`.
pub(crate) const SET_RELAYED: &str = "
    INSERT INTO relay (stream, position) VALUES ($1, $2)
    ON CONFLICT (stream) DO UPDATE SET position = excluded.position
    WHERE relay.position < excluded.position";

/// A position as a table tells it.
pub(crate) fn position_of(table: &str, number: i64) -> Result<Position, sqlx::Error> {
    Position::try_from(number).map_err(|error| sqlx::Error::ColumnDecode {
        index: format!("{table}.position"),
        source: error.into(),
    })
}

/// A build of the key table, and how far in the journal it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Build {
    pub(crate) generation: i64,
    pub(crate) position: Position,
}

/// Which build is written, and by what right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The one that queries read, by whoever holds the lease.
    Live(Epoch),
    /// One that is to take its place.
    Next,
}

/// A database that holds the read tables.
#[async_trait]
pub(crate) trait Store: LogStore + std::fmt::Debug + Send + Sync {
    /// The rows of an owner's keys.
    async fn list(&self, query: &ListQuery<'_>) -> Result<Vec<KeyRow>, sqlx::Error>;

    /// The row of a key.
    async fn get(&self, key_id: KeyId) -> Result<Option<KeyRow>, sqlx::Error>;

    /// How many keys are not deleted, about.
    async fn count(&self) -> Result<i64, sqlx::Error>;

    /// Tells each row of a key that is not deleted, for as long as the answer is true; and the
    /// build that they are of.
    async fn scan(
        &self,
        each: &mut (dyn FnMut(ScanRow) -> bool + Send),
    ) -> Result<Build, sqlx::Error>;

    /// The build that queries read.
    async fn live(&self) -> Result<Build, sqlx::Error>;

    /// Waits until it is worth looking at [`Store::live`] again.
    async fn changed(&self);

    /// Writes what events do, all of it or nothing, and that the build includes this position: only
    /// if the build is at this position, and is what the target says.
    async fn write(
        &self,
        from: Build,
        target: Target,
        events: &[RecordedEvent],
        to: Position,
    ) -> Result<Build, WriteError>;

    /// Begins another build.
    async fn begin_build(&self) -> Result<Build, sqlx::Error>;

    /// Begins the change from one build to another. Until it ends, nobody else writes the build that
    /// queries read.
    async fn swap(&self) -> Result<Box<dyn Swap + '_>, sqlx::Error>;

    /// Deletes some rows of builds that queries do not read; tells how many.
    async fn clear(&self) -> Result<u64, sqlx::Error>;

    /// Records when keys were last used.
    async fn record(&self, uses: &[Use]) -> Result<(), sqlx::Error>;

    /// Takes or renews a lease; `None` when another holds it.
    async fn claim(&self, claim: &Claim) -> Result<Option<Epoch>, sqlx::Error>;

    /// Gives a lease back, if it is held.
    async fn release(&self, claim: &Claim) -> Result<(), sqlx::Error>;

    /// Where the relay to this stream has come.
    async fn relayed(&self, stream: &str) -> Result<Position, sqlx::Error>;

    /// Remembers where the relay to this stream has come; never goes back.
    async fn set_relayed(&self, stream: &str, position: Position) -> Result<(), sqlx::Error>;
}

/// The change from one build to another, which is undone unless it is finished.
#[async_trait]
pub(crate) trait Swap: Send {
    /// The build that queries read.
    async fn live(&mut self) -> Result<Build, sqlx::Error>;

    /// Writes to the build that is to take its place, like [`Store::write`].
    async fn write(
        &mut self,
        from: Build,
        events: &[RecordedEvent],
        to: Position,
    ) -> Result<Build, WriteError>;

    /// Makes this build the one that queries read, unless a later one is already.
    async fn finish(self: Box<Self>, generation: i64) -> Result<(), WriteError>;
}
