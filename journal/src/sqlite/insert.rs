//! The statement that appends a group. It is its own transaction, and one statement means one call to
//! the thread that owns the connection, which costs more than the work of SQLite itself.

use std::collections::HashMap;
use std::sync::LazyLock;

use keyledger_domain::{EventId, Position};
use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;

use crate::sql::{MOST_EVENTS, PendingAppend, RESENT, ResentRow};

/// The numbers of events for which there is a statement. Parameters that are not needed stay `NULL`:
/// such a row is not inserted.
const SIZES: [usize; 5] = [1, 4, 16, 64, MOST_EVENTS];

/// The events of an append are inserted if the last revision of their stream is the one before the
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

/// What a statement has inserted.
pub(super) struct Inserted {
    /// The positions of the events. Events of refused appends are missing.
    pub(super) positions: HashMap<EventId, Position>,
    /// The head after the statement.
    pub(super) head: Position,
}

/// Inserts and commits the appends of a group whose expectation holds. `before` is the head.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    before: Position,
    group: &[PendingAppend],
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

/// The events at the revisions at which a refused append wanted to write.
pub(super) async fn resent(
    connection: &mut SqliteConnection,
    pending: &PendingAppend,
) -> Result<Vec<ResentRow>, sqlx::Error> {
    sqlx::query_as(RESENT)
        .bind(pending.key_id.stream())
        .bind(i64::from(pending.first.as_u32()))
        .bind(i64::try_from(pending.events.len()).unwrap_or(i64::MAX))
        .fetch_all(connection)
        .await
}

/// The journal's head.
pub(super) async fn head(connection: &mut SqliteConnection) -> Result<Position, sqlx::Error> {
    let head = sqlx::query_scalar("SELECT coalesce(max(position), 0) FROM events");
    position_of(head.fetch_one(connection).await?)
}

fn position_of(number: i64) -> Result<Position, sqlx::Error> {
    Position::try_from(number).map_err(|error| sqlx::Error::Decode(error.into()))
}
