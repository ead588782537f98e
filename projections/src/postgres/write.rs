//! Writes of the key table, together with the table's position.
//!
//! One statement, which is its own transaction, moves the position of the build from the expected
//! one, locks the rows of the lease and of the live build until it ends, and writes all rows. If a
//! key's row is not at the revision before the key's first event in the batch, the new revision is
//! `NULL`, and the `NOT NULL` constraint makes the whole statement fail.
//!
//! The commit does not wait for the disk: a crash of the server undoes rows and position together,
//! and they are written again from the journal. A lease and the choice of the live build must not
//! be undone; other statements commit them and wait for the disk.

use keyledger_domain::{ClosedKey, Position, Reached, RecordedEvent, Timestamp};
use sqlx::Execute;
use sqlx::error::ErrorKind;
use sqlx::postgres::{PgArguments, PgConnection};
use uuid::Uuid;

use crate::WriteError;
use crate::keys::{Change, CreatedColumns, changes};
use crate::store::{Build, Epoch, LeaseName, Target, close, last_of, position_of, upsert};

/// The channel on which each write of the live build notifies other nodes.
pub(super) const CHANNEL: &str = "keyledger_read";

/// The build that queries read.
pub(super) async fn live(connection: &mut PgConnection) -> Result<Build, sqlx::Error> {
    let (generation, position, last, event_id): (i64, i64, Option<i64>, Option<Uuid>) = sqlx::query_as(
        "SELECT projection.live_generation, build.position, build.event_position, build.event_id
         FROM projection JOIN build ON build.generation = projection.live_generation
         WHERE projection.name = 'keys'",
    )
    .fetch_one(connection)
    .await?;
    let (position, last) = (position_of("build", position)?, last_of("build", last, event_id)?);
    Ok(Build { generation, reached: Reached { position, last } })
}

/// Closes keys of a build.
pub(super) async fn close(
    connection: &mut PgConnection,
    build: Build,
    keys: &[ClosedKey],
) -> Result<(), sqlx::Error> {
    close!(connection, build, keys)
}

/// `$1` generation, `$2` its position before and `$3` after, `$4` epoch of the lease `$5` (`NULL`
/// for a build that is not live), `$6` channel; then the rows, column by column; `$21` and `$22` position
/// and id of the last event after.
const WRITE: &str = concat!(
    "
    WITH held AS (
        SELECT FROM lease WHERE duty = $5 AND epoch = $4 FOR SHARE
    ), chosen AS (
        SELECT FROM projection
        WHERE name = 'keys' AND (live_generation = $1) = ($4::bigint IS NOT NULL) FOR SHARE
    ), target AS (
        UPDATE build SET position = $3, event_position = $21, event_id = $22
        WHERE generation = $1 AND position = $2
          AND EXISTS (SELECT FROM chosen)
          AND ($4 IS NULL OR EXISTS (SELECT FROM held))
        RETURNING generation
    ), change AS (
        SELECT *
        FROM unnest($7::uuid[], $8::bigint[], $9::bigint[], $10::bigint[], $11::text[], $12::text[],
                    $13::text[], $14::text[], $15::bytea[], $16::bigint[], $17::bigint[],
                    $18::bigint[], $19::bigint[], $20::uuid[], $23::boolean[])
             AS change (key_id, before, revision, position, user_id, user_email, name, key_prefix,
                        key_hash, created_at, expires_at, revoked_at, deleted_at, event_id,
                        is_hmac)
    ), written AS (
        ",
    upsert!(),
    "
        RETURNING 1
    ), notified AS (
        SELECT pg_notify($6, '') FROM target WHERE $4 IS NOT NULL
    )
    SELECT (SELECT count(*) FROM target), (SELECT count(*) FROM written), (SELECT count(*) FROM notified),
           (SELECT set_config('synchronous_commit', 'off', true) IS NOT NULL)"
);

/// A write that can be sent to the server.
pub(super) struct Write {
    arguments: PgArguments,
    rows: usize,
    after: Build,
}

impl Write {
    /// Applies events to a build, and moves its position to `to`.
    pub(super) fn new(
        from: Build,
        target: Target,
        events: &[RecordedEvent],
        to: Position,
    ) -> Result<Self, WriteError> {
        let changes = changes(events)?;
        let epoch = match target {
            Target::Live(Epoch(epoch)) => Some(epoch),
            Target::Next => None,
        };
        let columns = Columns::of(&changes);
        let reached = from.reached.after(events, to);
        let mut query = sqlx::query(WRITE)
            .bind(from.generation)
            .bind(from.reached.position.as_i64())
            .bind(to.as_i64())
            .bind(epoch)
            .bind(LeaseName::Project.name())
            .bind(CHANNEL)
            .bind(columns.key_id)
            .bind(columns.before)
            .bind(columns.revision)
            .bind(columns.position)
            .bind(columns.user_id)
            .bind(columns.user_email)
            .bind(columns.name)
            .bind(columns.key_prefix)
            .bind(columns.key_hash)
            .bind(columns.created_at)
            .bind(columns.expires_at)
            .bind(columns.revoked_at)
            .bind(columns.deleted_at)
            .bind(columns.event_id)
            .bind(reached.last.map(|last| last.position.as_i64()))
            .bind(reached.last.map(|last| last.event_id.as_uuid()))
            .bind(columns.is_hmac);
        let arguments = query.take_arguments().map_err(sqlx::Error::Encode)?.unwrap_or_default();
        Ok(Self { arguments, rows: changes.len(), after: Build { reached, ..from } })
    }

    /// Sends it. The answer is for [`Write::outcome`].
    pub(super) async fn send(&self, connection: &mut PgConnection) -> Result<Written, sqlx::Error> {
        sqlx::query_as_with(WRITE, self.arguments.clone()).fetch_one(connection).await
    }

    /// The build after the write, by the server's answer.
    pub(super) fn outcome(
        &self,
        written: Result<Written, sqlx::Error>,
    ) -> Result<Build, WriteError> {
        match written {
            Ok((0, ..)) => Err(WriteError::Superseded),
            Ok((_, rows, ..)) if usize::try_from(rows).is_ok_and(|rows| rows == self.rows) => {
                Ok(self.after)
            }
            Ok(_) => Err(WriteError::RowsOutOfStep),
            Err(sqlx::Error::Database(refusal))
                if refusal.kind() == ErrorKind::NotNullViolation =>
            {
                Err(WriteError::RowsOutOfStep)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// How many builds were moved, rows written, and nodes notified.
pub(super) type Written = (i64, i64, i64, bool);

/// Changes of rows, column by column.
#[derive(Default)]
struct Columns<'a> {
    key_id: Vec<Uuid>,
    before: Vec<i64>,
    revision: Vec<i64>,
    position: Vec<i64>,
    user_id: Vec<Option<&'a str>>,
    user_email: Vec<Option<&'a str>>,
    name: Vec<Option<&'a str>>,
    key_prefix: Vec<Option<&'a str>>,
    key_hash: Vec<Option<&'a [u8]>>,
    created_at: Vec<Option<i64>>,
    expires_at: Vec<Option<i64>>,
    revoked_at: Vec<Option<i64>>,
    deleted_at: Vec<Option<i64>>,
    event_id: Vec<Uuid>,
    is_hmac: Vec<Option<bool>>,
}

impl<'a> Columns<'a> {
    fn of(changes: &'a [Change<'_>]) -> Self {
        let mut columns = Self::default();
        for change in changes {
            columns.add(change);
        }
        columns
    }

    fn add(&mut self, change: &'a Change<'_>) {
        let Change { key_id, first, last, place, created, user_email, revoked_at, deleted_at } =
            change;
        let CreatedColumns { user_id, name, key_prefix, key_hash, created_at, expires_at, is_hmac } =
            CreatedColumns::of(*created);
        self.key_id.push(key_id.as_uuid());
        self.before.push(i64::from(first.as_u32()) - 1);
        self.revision.push(i64::from(last.as_u32()));
        self.position.push(place.position.as_i64());
        self.user_id.push(user_id);
        self.user_email.push(*user_email);
        self.name.push(name);
        self.key_prefix.push(key_prefix);
        self.key_hash.push(key_hash);
        self.created_at.push(created_at);
        self.expires_at.push(expires_at);
        self.revoked_at.push(revoked_at.map(Timestamp::unix_micros));
        self.deleted_at.push(deleted_at.map(Timestamp::unix_micros));
        self.event_id.push(place.event_id.as_uuid());
        self.is_hmac.push(is_hmac);
    }
}
