//! What events do to the key table.
//!
//! The events of a batch are folded per key first, so that a batch is few statements over many
//! rows. Each row that a statement changes must be at the revision just before the key's first
//! event in the batch; a row that is not there, or is elsewhere, ends the batch.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use keyledger_domain::key::{KeyCreated, KeyEvent};
use keyledger_domain::{KeyId, RecordedEvent, Revision, Timestamp};
use sqlx::sqlite::SqliteConnection;

use crate::WriteError;
use crate::statement::ManyRows;

/// What a batch does to one key.
struct Change<'a> {
    key_id: KeyId,
    /// The revision of the key's first event in the batch, and of the last so far.
    first: Revision,
    last: Revision,
    created: Option<&'a KeyCreated>,
    revoked_at: Option<Timestamp>,
    deleted_at: Option<Timestamp>,
}

/// Applies events to a build of the table, in the caller's transaction.
pub(crate) async fn apply(
    connection: &mut SqliteConnection,
    generation: i64,
    events: &[RecordedEvent],
) -> Result<(), WriteError> {
    let changes = fold(events)?;
    let (mut created, mut changed) = (Vec::new(), Vec::new());
    for change in changes.into_values() {
        match change.created {
            Some(event) => created.push((event, change)),
            None => changed.push(change),
        }
    }
    insert(connection, generation, &created).await?;
    update(connection, generation, &changed).await
}

fn fold(events: &[RecordedEvent]) -> Result<BTreeMap<KeyId, Change<'_>>, WriteError> {
    let mut changes: BTreeMap<KeyId, Change<'_>> = BTreeMap::new();
    for RecordedEvent { revision, event, .. } in events {
        let (key_id, revision) = (event.key_id(), *revision);
        let out_of_step = WriteError::EventOutOfStep { key_id };
        let change = match changes.get_mut(&key_id) {
            Some(change) if change.last.next() == Some(revision) => change,
            Some(_) => return Err(out_of_step),
            None => changes.entry(key_id).or_insert(Change {
                key_id,
                first: revision,
                last: revision,
                created: None,
                revoked_at: None,
                deleted_at: None,
            }),
        };
        change.last = revision;
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
    Ok(changes)
}

static INSERT: LazyLock<ManyRows> = LazyLock::new(|| {
    ManyRows::new(0, 12, |rows| {
        format!(
            "INSERT INTO keys (generation, key_id, user_id, user_email, name, key_prefix, key_hash,
                               created_at, expires_at, revoked_at, deleted_at, revision)
             VALUES {rows}"
        )
    })
});

async fn insert(
    connection: &mut SqliteConnection,
    generation: i64,
    created: &[(&KeyCreated, Change<'_>)],
) -> Result<(), WriteError> {
    for (text, run) in INSERT.runs(created) {
        let mut query = sqlx::query(text);
        for (event, change) in run {
            query = query
                .bind(generation)
                .bind(change.key_id.as_uuid())
                .bind(event.user_id.as_str())
                .bind(event.user_email.as_ref().map(|email| email.as_str()))
                .bind(event.name.as_str())
                .bind(event.key_prefix.as_str())
                .bind(event.key_hash.as_bytes().as_slice())
                .bind(event.occurred_at.unix_micros())
                .bind(event.expires_at.map(Timestamp::unix_micros))
                .bind(change.revoked_at.map(Timestamp::unix_micros))
                .bind(change.deleted_at.map(Timestamp::unix_micros))
                .bind(i64::from(change.last.as_u32()));
        }
        match query.execute(&mut *connection).await {
            Ok(_) => {}
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
                return Err(WriteError::RowsOutOfStep { rows: 1 });
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

static UPDATE: LazyLock<ManyRows> = LazyLock::new(|| {
    ManyRows::new(1, 5, |rows| {
        format!(
            "WITH change (key_id, before, revision, revoked_at, deleted_at) AS (VALUES {rows})
             UPDATE keys
             SET revision = change.revision,
                 revoked_at = coalesce(change.revoked_at, keys.revoked_at),
                 deleted_at = coalesce(change.deleted_at, keys.deleted_at)
             FROM change
             WHERE keys.generation = $1 AND keys.key_id = change.key_id
               AND keys.revision = change.before"
        )
    })
});

async fn update(
    connection: &mut SqliteConnection,
    generation: i64,
    changed: &[Change<'_>],
) -> Result<(), WriteError> {
    for (text, run) in UPDATE.runs(changed) {
        let mut query = sqlx::query(text).bind(generation);
        for change in run {
            query = query
                .bind(change.key_id.as_uuid())
                .bind(i64::from(change.first.as_u32()) - 1)
                .bind(i64::from(change.last.as_u32()))
                .bind(change.revoked_at.map(Timestamp::unix_micros))
                .bind(change.deleted_at.map(Timestamp::unix_micros));
        }
        let found = query.execute(&mut *connection).await?.rows_affected();
        let wanted = u64::try_from(run.len()).unwrap_or(u64::MAX);
        if found != wanted {
            return Err(WriteError::RowsOutOfStep { rows: wanted.saturating_sub(found) });
        }
    }
    Ok(())
}
