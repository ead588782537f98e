//! Turns a batch of events into changes of the key table. The events of a batch are first folded
//! per key, so that each row is written once.

use std::collections::BTreeMap;

use keyledger_domain::key::{KeyCreated, KeyDetails, KeyEvent};
use keyledger_domain::{Email, KeyId, Place, RecordedEvent, Revision, Timestamp};

use crate::WriteError;

/// The change that a batch makes to the row of one key.
pub(crate) struct Change<'a> {
    pub(crate) key_id: KeyId,
    /// The revisions of the key's first and last event in the batch.
    pub(crate) first: Revision,
    pub(crate) last: Revision,
    /// The place of the key's last event in the batch.
    pub(crate) place: Place,
    pub(crate) created: Option<&'a KeyCreated>,
    /// The owner's last address in the batch; `None` if the batch tells none. The row then keeps the one
    /// that it has.
    pub(crate) user_email: Option<&'a str>,
    pub(crate) revoked_at: Option<Timestamp>,
    pub(crate) deleted_at: Option<Timestamp>,
}

/// The columns that a key's creation fills. All are `None` if the batch does not create the key;
/// the row then keeps its values.
#[derive(Default)]
pub(crate) struct CreatedColumns<'a> {
    pub(crate) user_id: Option<&'a str>,
    pub(crate) name: Option<&'a str>,
    pub(crate) key_prefix: Option<&'a str>,
    pub(crate) key_hash: Option<&'a [u8]>,
    /// Microseconds since 1970-01-01 UTC.
    pub(crate) created_at: Option<i64>,
    /// Microseconds since 1970-01-01 UTC.
    pub(crate) expires_at: Option<i64>,
    /// Whether the hash is an HMAC.
    pub(crate) is_hmac: Option<bool>,
}

impl<'a> CreatedColumns<'a> {
    pub(crate) fn of(created: Option<&'a KeyCreated>) -> Self {
        let Some(KeyCreated { key_id: _, details, occurred_at }) = created else {
            return Self::default();
        };
        // The id at a former service is history, which is read from the journal. The owner's address is not only
        // told by the creation.
        let KeyDetails {
            owner,
            owner_email: _,
            name,
            prefix,
            hash,
            expires_at,
            hash_function,
            source_id: _,
        } = details;
        Self {
            user_id: Some(owner.as_str()),
            name: Some(name.as_str()),
            key_prefix: Some(prefix.as_str()),
            key_hash: Some(hash.as_bytes()),
            created_at: Some(occurred_at.unix_micros()),
            expires_at: expires_at.map(Timestamp::unix_micros),
            is_hmac: Some(!hash_function.is_sha256()),
        }
    }
}

/// Folds events into one change per key, in the order of the keys' ids.
///
/// # Errors
/// [`WriteError::EventOutOfStep`] when an event's revision does not follow the previous one of its
/// key, when the first event of a key is not its creation, or when a later one is.
pub(crate) fn changes(events: &[RecordedEvent]) -> Result<Vec<Change<'_>>, WriteError> {
    let mut changes: BTreeMap<KeyId, Change<'_>> = BTreeMap::new();
    for recorded in events {
        let RecordedEvent { revision, event, .. } = recorded;
        let (key_id, revision, place) = (event.key_id(), *revision, recorded.place());
        let out_of_step = WriteError::EventOutOfStep { key_id };
        let change = match changes.get_mut(&key_id) {
            Some(change) if change.last.next() == Some(revision) => change,
            Some(_) => return Err(out_of_step),
            None => changes.entry(key_id).or_insert(Change {
                key_id,
                first: revision,
                last: revision,
                place,
                created: None,
                user_email: None,
                revoked_at: None,
                deleted_at: None,
            }),
        };
        change.last = revision;
        change.place = place;
        let is_first = revision == Revision::FIRST;
        match event {
            KeyEvent::Created(created) if is_first => {
                change.created = Some(created);
                change.user_email = created.details.owner_email.as_ref().map(Email::as_str);
            }
            KeyEvent::Revoked(revoked) if !is_first => {
                change.revoked_at = Some(revoked.occurred_at);
            }
            KeyEvent::Deleted(deleted) if !is_first => {
                change.deleted_at = Some(deleted.occurred_at);
            }
            KeyEvent::OwnerEmailChanged(changed) if !is_first => {
                change.user_email = Some(changed.user_email.as_str());
            }
            KeyEvent::Created(_)
            | KeyEvent::Revoked(_)
            | KeyEvent::Deleted(_)
            | KeyEvent::OwnerEmailChanged(_) => return Err(out_of_step),
        }
    }
    Ok(changes.into_values().collect())
}
