//! Writes of the key table, together with the table's position.
//!
//! One statement, which is its own transaction, writes all rows that a batch changes. It writes
//! nothing unless the table is at the position before the batch. If a key's row is missing, or is
//! not at the revision before the key's first event in the batch, the new revision is `NULL`, and
//! the `NOT NULL` constraint makes the whole statement fail.

use std::sync::LazyLock;

use keyledger_domain::{ClosedKey, Position, Reached, RecordedEvent, Timestamp};
use sqlx::error::ErrorKind;
use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;

use super::statement::{ManyRows, Query};
use crate::WriteError;
use crate::keys::{Change, CreatedColumns, changes};
use crate::store::{Build, close, last_of, position_of, upsert};

/// The position of a build: that of its last applied event, or a later one that is stored in
/// `build` because no event of a key is there.
macro_rules! reached {
    ($generation:literal) => {
        concat!(
            "max((SELECT coalesce(max(keys.position), 0) FROM keys WHERE keys.generation = ",
            $generation,
            "), coalesce((SELECT build.position FROM build WHERE build.generation = ",
            $generation,
            "), 0))"
        )
    };
}

/// The build that queries read.
pub(super) async fn live(connection: &mut SqliteConnection) -> Result<Build, sqlx::Error> {
    const LIVE: &str = concat!(
        "SELECT live_generation, ",
        reached!("projection.live_generation"),
        ", last.position, last.event_id
         FROM projection LEFT JOIN keys AS last
             ON last.generation = live_generation AND last.key_id = (
                 SELECT key_id FROM keys WHERE generation = live_generation
                 ORDER BY position DESC LIMIT 1)
         WHERE projection.name = 'keys'"
    );
    let (generation, position, last, event_id): (i64, i64, Option<i64>, Option<Uuid>) =
        sqlx::query_as(LIVE).fetch_one(connection).await?;
    let (position, last) = (position_of("keys", position)?, last_of("keys", last, event_id)?);
    Ok(Build { generation, reached: Reached { position, last } })
}

static WRITE: LazyLock<ManyRows> = LazyLock::new(|| ManyRows::new(COLUMNS, statement));

/// Applies events to a build, and moves its position to `to`.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    from: Build,
    is_live: bool,
    events: &[RecordedEvent],
    to: Position,
) -> Result<Build, WriteError> {
    let mut build = from;
    if !events.is_empty() {
        let changes = changes(events)?;
        let query = sqlx::query(WRITE.text(changes.len()))
            .bind(from.generation)
            .bind(from.reached.position.as_i64())
            .bind(is_live);
        let query = changes.iter().fold(query, |query, change| bind(change, query));
        match query.execute(&mut *connection).await {
            Ok(written) => match usize::try_from(written.rows_affected()) {
                Ok(rows) if rows == changes.len() => {
                    build.reached = from.reached.after(events, Position::START);
                }
                Ok(0) => return Err(WriteError::Superseded),
                Ok(_) | Err(_) => return Err(WriteError::RowsOutOfStep),
            },
            Err(sqlx::Error::Database(refusal))
                if refusal.kind() == ErrorKind::NotNullViolation =>
            {
                return Err(WriteError::RowsOutOfStep);
            }
            Err(error) => return Err(error.into()),
        }
    }
    if to > build.reached.position {
        mark(connection, build, is_live, to).await?;
        build.reached.position = to;
    }
    Ok(build)
}

/// Closes keys of a build.
pub(super) async fn close(
    connection: &mut SqliteConnection,
    build: Build,
    keys: &[ClosedKey],
) -> Result<(), sqlx::Error> {
    close!(connection, build, keys)
}

/// Moves the position of a build without an event.
async fn mark(
    connection: &mut SqliteConnection,
    from: Build,
    is_live: bool,
    to: Position,
) -> Result<(), WriteError> {
    const MARK: &str = concat!(
        "INSERT INTO build (generation, position)
         SELECT $1, $4 FROM projection
         WHERE name = 'keys' AND (live_generation = $1) = $3 AND $2 = ",
        reached!("$1"),
        " ON CONFLICT (generation) DO UPDATE SET position = excluded.position"
    );
    let marked = sqlx::query(MARK)
        .bind(from.generation)
        .bind(from.reached.position.as_i64())
        .bind(is_live)
        .bind(to.as_i64())
        .execute(connection)
        .await?;
    if marked.rows_affected() == 1 { Ok(()) } else { Err(WriteError::Superseded) }
}

/// The number of values in a row of the statement.
pub(super) const COLUMNS: usize = 15;

/// The text of the statement. Its parameters are the build, the position that the build must have,
/// whether it must be the live one, and then the rows, as [`bind`] binds them.
pub(super) fn statement(rows: &str) -> String {
    format!(
        "WITH asked (generation, position, live) AS (VALUES (?, ?, ?)),
              target (generation) AS (
                  SELECT asked.generation
                  FROM asked JOIN projection ON projection.name = 'keys'
                  WHERE (projection.live_generation = asked.generation) = asked.live
                    AND asked.position = {reached}),
              change (key_id, before, revision, position, user_id, user_email, name, key_prefix,
                      key_hash, created_at, expires_at, revoked_at, deleted_at,
                      event_id, is_hmac)
                  AS (VALUES {rows})
         {upsert}",
        upsert = upsert!(),
        reached = reached!("asked.generation")
    )
}

/// Binds the values of one row.
fn bind<'q>(change: &'q Change<'_>, query: Query<'q>) -> Query<'q> {
    let Change { key_id, first, last, place, created, user_email, revoked_at, deleted_at } = change;
    let CreatedColumns { user_id, name, key_prefix, key_hash, created_at, expires_at, is_hmac } =
        CreatedColumns::of(*created);
    query
        .bind(key_id.as_uuid())
        .bind(i64::from(first.as_u32()) - 1)
        .bind(i64::from(last.as_u32()))
        .bind(place.position.as_i64())
        .bind(user_id)
        .bind(*user_email)
        .bind(name)
        .bind(key_prefix)
        .bind(key_hash)
        .bind(created_at)
        .bind(expires_at)
        .bind(revoked_at.map(Timestamp::unix_micros))
        .bind(deleted_at.map(Timestamp::unix_micros))
        .bind(place.event_id.as_uuid())
        .bind(is_hmac)
}
