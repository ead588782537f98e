//! What events do to the key table.
//!
//! The events of a batch are folded per key first, and all rows that they change are written with
//! one statement, which is a transaction of its own. It writes nothing if the table has not come
//! exactly as far as the events continue. It puts nothing where a column must have a value, which
//! the database refuses, if a key's row is not at the revision just before the key's first event in
//! the batch: so a row that is not there, or is elsewhere, ends the whole of it.

use std::collections::BTreeMap;

use keyledger_domain::key::{KeyCreated, KeyEvent};
use keyledger_domain::{KeyId, Position, RecordedEvent, Revision, Timestamp};

use crate::WriteError;
use crate::statement::Query;

/// What a batch does to one key.
pub(crate) struct Change<'a> {
    key_id: KeyId,
    /// The revision of the key's first event in the batch, and of the last so far.
    first: Revision,
    last: Revision,
    /// The position of that last event.
    position: Position,
    created: Option<&'a KeyCreated>,
    revoked_at: Option<Timestamp>,
    deleted_at: Option<Timestamp>,
}

/// What events do, key by key.
///
/// # Errors
/// [`WriteError::EventOutOfStep`] when an event does not follow on the one before it.
pub(crate) fn changes(events: &[RecordedEvent]) -> Result<Vec<Change<'_>>, WriteError> {
    let mut changes: BTreeMap<KeyId, Change<'_>> = BTreeMap::new();
    for RecordedEvent { position, revision, event, .. } in events {
        let (key_id, revision) = (event.key_id(), *revision);
        let out_of_step = WriteError::EventOutOfStep { key_id };
        let change = match changes.get_mut(&key_id) {
            Some(change) if change.last.next() == Some(revision) => change,
            Some(_) => return Err(out_of_step),
            None => changes.entry(key_id).or_insert(Change {
                key_id,
                first: revision,
                last: revision,
                position: *position,
                created: None,
                revoked_at: None,
                deleted_at: None,
            }),
        };
        change.last = revision;
        change.position = *position;
        let is_first = revision == Revision::FIRST;
        match event {
            KeyEvent::Created(created) if is_first => change.created = Some(created),
            KeyEvent::Revoked(revoked) if !is_first => {
                change.revoked_at = Some(revoked.occurred_at);
            }
            KeyEvent::Deleted(deleted) if !is_first => {
                change.deleted_at = Some(deleted.occurred_at);
            }
            KeyEvent::Created(_) | KeyEvent::Revoked(_) | KeyEvent::Deleted(_) => {
                return Err(out_of_step);
            }
        }
    }
    Ok(changes.into_values().collect())
}

/// How many values a row of the statement has.
pub(crate) const COLUMNS: usize = 13;

/// The statement: first the build of the table, how far it must have come, and whether it must be the
/// one that queries read; then the rows, as [`Change::bind`] binds them.
pub(crate) fn statement(rows: &str) -> String {
    format!(
        "WITH asked (generation, position, live) AS (VALUES (?, ?, ?)),
              build (generation) AS (
                  SELECT asked.generation
                  FROM asked JOIN projection ON projection.name = 'keys'
                  WHERE (projection.live_generation = asked.generation) = asked.live
                    AND asked.position = (SELECT coalesce(max(keys.position), 0) FROM keys
                                          WHERE keys.generation = asked.generation)),
              change (key_id, before, revision, position, user_id, user_email, name, key_prefix,
                      key_hash, created_at, expires_at, revoked_at, deleted_at)
                  AS (VALUES {rows})
         INSERT INTO keys (generation, key_id, user_id, user_email, name, key_prefix, key_hash,
                           created_at, expires_at, revoked_at, deleted_at, revision, position)
         SELECT build.generation, change.key_id,
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
         FROM build CROSS JOIN change
         LEFT JOIN keys ON keys.generation = build.generation AND keys.key_id = change.key_id
         WHERE change.key_id IS NOT NULL
         ON CONFLICT (generation, key_id) DO UPDATE
         SET revoked_at = excluded.revoked_at,
             deleted_at = excluded.deleted_at,
             revision = excluded.revision,
             position = excluded.position"
    )
}

impl Change<'_> {
    /// Binds the values of a row.
    pub(crate) fn bind<'q>(&'q self, query: Query<'q>) -> Query<'q> {
        let created = self.created;
        query
            .bind(self.key_id.as_uuid())
            .bind(i64::from(self.first.as_u32()) - 1)
            .bind(i64::from(self.last.as_u32()))
            .bind(self.position.as_i64())
            .bind(created.map(|event| event.user_id.as_str()))
            .bind(created.and_then(|event| event.user_email.as_ref()).map(|email| email.as_str()))
            .bind(created.map(|event| event.name.as_str()))
            .bind(created.map(|event| event.key_prefix.as_str()))
            .bind(created.map(|event| event.key_hash.as_bytes().as_slice()))
            .bind(created.map(|event| event.occurred_at.unix_micros()))
            .bind(created.and_then(|event| event.expires_at).map(Timestamp::unix_micros))
            .bind(self.revoked_at.map(Timestamp::unix_micros))
            .bind(self.deleted_at.map(Timestamp::unix_micros))
    }
}

#[cfg(test)]
mod tests {
    use crate::keys::plan;

    #[tokio::test]
    async fn the_row_of_a_changed_key_is_looked_up() {
        let row = format!("({})", ["?"; 13].join(", "));
        let plan = plan(super::statement(&format!("{row}, {row}")), 29).await;
        let by_key = "SEARCH keys USING PRIMARY KEY (generation=? AND key_id=?)";
        assert!(plan.contains(by_key), "{plan}");
        assert!(!plan.contains("SCAN keys"), "{plan}");
    }
}
