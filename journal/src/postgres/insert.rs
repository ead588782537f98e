//! The statement that appends a group. It is its own transaction.

use std::collections::HashMap;

use futures::FutureExt;
use keyledger_domain::{EventId, Position};
use keyledger_postgres::{ChangeError, Changes};
use sqlx::Execute;
use sqlx::postgres::PgArguments;
use uuid::Uuid;

use crate::Appended;
use crate::sql::{Committed, PendingAppend, RESENT, ResentRow};

/// The events of an append are inserted if the last revision of their stream is the one before the
/// append's first: all of them or none. The inserted events get their positions from the counter,
/// whose lock is held until the commit. `$9` is the channel that is notified of the new head.
const INSERT: &str = "
    WITH new AS (
        SELECT *
        FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::uuid[], $6::text[],
                    $7::text[], $8::text[])
             AS new (ordinal, stream, before, revision, id, type, data, metadata)
    ), fitting AS (
        SELECT new.*, row_number() OVER (ORDER BY ordinal) AS rank, count(*) OVER () AS total
        FROM new
        WHERE before = (SELECT coalesce(max(events.revision), -1) FROM events
                        WHERE events.stream = new.stream)
    ), head AS (
        UPDATE journal_head SET position = position + (SELECT count(*) FROM fitting)
        WHERE EXISTS (SELECT FROM fitting)
        RETURNING position
    ), notified AS (
        SELECT pg_notify($9, position::text) FROM head
    ), inserted AS (
        INSERT INTO events (position, stream, revision, id, type, data, metadata)
        SELECT head.position - total + rank, stream, revision, id, type, data::json, metadata::json
        FROM fitting CROSS JOIN head
        RETURNING id, position
    )
    SELECT id, inserted.position FROM inserted CROSS JOIN notified";

/// What a statement has inserted: the positions of the events. Events of refused appends are missing.
pub(super) struct Inserted(HashMap<EventId, Position>);

/// Inserts and commits the appends of a group whose expectation holds.
pub(super) async fn insert(
    changes: &Changes,
    group: &[&PendingAppend],
) -> Result<Inserted, ChangeError> {
    let mut columns = Columns::default();
    for pending in group {
        columns.add(pending);
    }
    let arguments = columns.arguments().map_err(ChangeError::NotSent)?;
    let rows: Vec<(Uuid, i64)> = changes
        .run(move |connection| {
            sqlx::query_as_with(INSERT, arguments.clone()).fetch_all(connection).boxed()
        })
        .await?;
    let position = |(id, position): (Uuid, i64)| {
        let position = Position::try_from(position);
        position.map(|position| (EventId::from_uuid(id), position))
    };
    let positions = rows.into_iter().map(position).collect::<Result<_, _>>();
    let positions = positions.map_err(|error| sqlx::Error::Decode(error.into()));
    Ok(Inserted(positions.map_err(ChangeError::Sent)?))
}

/// The events of a group, column by column.
#[derive(Default)]
struct Columns<'a> {
    ordinal: Vec<i64>,
    stream: Vec<String>,
    before: Vec<i64>,
    revision: Vec<i64>,
    id: Vec<Uuid>,
    event_type: Vec<&'a str>,
    data: Vec<&'a str>,
    metadata: Vec<&'a str>,
}

impl<'a> Columns<'a> {
    fn add(&mut self, pending: &'a PendingAppend) {
        let stream = pending.key_id.stream();
        let first = i64::from(pending.first.as_u32());
        for ((new, form), revision) in pending.events.iter().zip(first..) {
            self.ordinal.push(i64::try_from(self.ordinal.len()).unwrap_or(i64::MAX));
            self.stream.push(stream.clone());
            self.before.push(first - 1);
            self.revision.push(revision);
            self.id.push(new.id.as_uuid());
            self.event_type.push(form.event_type);
            self.data.push(&form.data);
            self.metadata.push(&form.metadata);
        }
    }

    fn arguments(self) -> Result<PgArguments, sqlx::Error> {
        let mut query = sqlx::query(INSERT)
            .bind(self.ordinal)
            .bind(self.stream)
            .bind(self.before)
            .bind(self.revision)
            .bind(self.id)
            .bind(self.event_type)
            .bind(self.data)
            .bind(self.metadata)
            .bind(super::CHANNEL);
        let arguments = query.take_arguments().map_err(sqlx::Error::Encode)?;
        Ok(arguments.unwrap_or_default())
    }
}

impl Inserted {
    /// Where the last event of an append was written; `None` if the append was refused.
    pub(super) fn appended(&self, pending: &PendingAppend) -> Option<Appended> {
        let recorded = pending.recorded(&self.0);
        recorded.last().map(|last| Appended { position: last.position, revision: last.revision })
    }

    /// The events that one statement has added. Positions were assigned in the order of the group, so
    /// this is journal order.
    pub(super) fn committed(&self, group: &[PendingAppend]) -> Committed {
        let events: Vec<_> = group.iter().flat_map(|pending| pending.recorded(&self.0)).collect();
        let first = events.first().map_or(0, |first| first.position.as_i64() - 1);
        Committed { after: Position::try_from(first).unwrap_or_default(), events }
    }
}

/// The events at the revisions at which a refused append wanted to write.
pub(super) async fn resent(
    changes: &Changes,
    pending: &PendingAppend,
) -> Result<Vec<ResentRow>, ChangeError> {
    let (stream, first) = (pending.key_id.stream(), i64::from(pending.first.as_u32()));
    let count = i64::try_from(pending.events.len()).unwrap_or(i64::MAX);
    let rows = changes.run(move |connection| {
        let rows = sqlx::query_as(RESENT).bind(stream.clone()).bind(first).bind(count);
        rows.fetch_all(connection).boxed()
    });
    rows.await
}
