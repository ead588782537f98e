//! The statement that appends: one for all appends of a group, which is its own transaction, so that
//! a group costs one trip to the thread that works on the connection.

use std::collections::HashMap;
use std::sync::LazyLock;

use keyledger_domain::{EventId, Position};
use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;

use crate::group::{MOST_EVENTS, Pending, ResentRow};

/// How many events one statement takes; places that are left are `NULL`, which insert nothing.
const SIZES: [usize; 5] = [1, 4, 16, 64, MOST_EVENTS];

/// Each append's events are inserted if the last revision of their stream is the one before the
/// append's first: all of them or none.
static STATEMENTS: LazyLock<[(usize, String); SIZES.len()]> = LazyLock::new(|| {
    SIZES.map(|size| {
        let text = format!(
            "WITH new (position, stream, before, revision, id, type, data, metadata)
                 AS (VALUES {rows})
             INSERT INTO events (position, stream, revision, id, type, data, metadata)
             SELECT position, stream, revision, id, type, data, metadata
             FROM new
             WHERE before = (SELECT coalesce(max(events.revision), -1) FROM events
                             WHERE events.stream = new.stream)",
            rows = vec!["(?, ?, ?, ?, ?, ?, ?, ?)"; size].join(", ")
        );
        (size, text)
    })
});

/// What one statement has inserted.
pub(super) struct Inserted {
    /// Where the events stand; those of appends that were refused are not among them.
    pub(super) positions: HashMap<EventId, Position>,
    /// The position of the last event then.
    pub(super) head: Position,
}

/// Inserts and commits what can be of a group's appends.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    before: Position,
    group: &[Pending],
) -> Result<Inserted, sqlx::Error> {
    let count: usize = group.iter().map(|pending| pending.events.len()).sum();
    let fitting = STATEMENTS.iter().find(|(size, _)| *size >= count);
    let (_, text) = fitting.ok_or_else(|| sqlx::Error::Protocol("too many events".into()))?;
    let mut query = sqlx::query(text.as_str());
    let mut assigned = Vec::with_capacity(count);
    let mut position = before;
    for pending in group {
        let stream = pending.key_id.stream();
        let first = i64::from(pending.first.as_u32());
        for ((new, form), revision) in pending.events.iter().zip(first..) {
            position = position.plus(1).map_err(|error| sqlx::Error::Encode(error.into()))?;
            assigned.push((new.id, position));
            query = query
                .bind(position.as_i64())
                .bind(stream.clone())
                .bind(first - 1)
                .bind(revision)
                .bind(new.id.as_uuid())
                .bind(form.event_type)
                .bind(&*form.data)
                .bind(&*form.metadata);
        }
    }
    let inserted = query.execute(&mut *connection).await?.rows_affected();
    if u64::try_from(count).is_ok_and(|count| count == inserted) {
        return Ok(Inserted { positions: assigned.into_iter().collect(), head: position });
    }
    let rows: Vec<(Uuid, i64)> =
        sqlx::query_as("SELECT id, position FROM events WHERE position > ?")
            .bind(before.as_i64())
            .fetch_all(connection)
            .await?;
    let mut inserted = Inserted { positions: HashMap::with_capacity(rows.len()), head: before };
    for (id, position) in rows {
        let position = position_of(position)?;
        inserted.head = inserted.head.max(position);
        inserted.positions.insert(EventId::from_uuid(id), position);
    }
    Ok(inserted)
}

/// The events that stand where those of an append that was refused were to stand.
pub(super) async fn resent(
    connection: &mut SqliteConnection,
    pending: &Pending,
) -> Result<Vec<ResentRow>, sqlx::Error> {
    sqlx::query_as(Pending::RESENT)
        .bind(pending.key_id.stream())
        .bind(i64::from(pending.first.as_u32()))
        .bind(i64::try_from(pending.events.len()).unwrap_or(i64::MAX))
        .fetch_all(connection)
        .await
}

/// The position of the last event in the file.
pub(super) async fn head(connection: &mut SqliteConnection) -> Result<Position, sqlx::Error> {
    let head = sqlx::query_scalar("SELECT coalesce(max(position), 0) FROM events");
    position_of(head.fetch_one(connection).await?)
}

fn position_of(number: i64) -> Result<Position, sqlx::Error> {
    Position::try_from(number).map_err(|error| sqlx::Error::Decode(error.into()))
}
