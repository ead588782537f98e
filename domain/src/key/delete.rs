//! Making a key unusable and removing it from its owner's list.

use super::{Ended, Key, KeyDeleted, KeyEvent, Lifecycle, Refusal};
use crate::{KeyId, Reason, Timestamp, UserId};

/// Make a key unusable, and show it only to auditors. A deleted key cannot be deleted again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteKey {
    /// The id of the key to delete.
    pub key_id: KeyId,
    /// The user who asks, who must be the owner.
    pub by: UserId,
    /// The reason to record, if any.
    pub reason: Option<Reason>,
}

pub(super) fn decide(
    state: Option<&Key>,
    command: &DeleteKey,
    now: Timestamp,
) -> Result<Vec<KeyEvent>, Refusal> {
    let key = state.ok_or(Refusal::NotFound)?;
    match &key.lifecycle {
        Lifecycle::Deleted { .. } => Err(Refusal::NotFound),
        Lifecycle::Active | Lifecycle::Revoked(_) if key.details.owner != command.by => {
            Err(Refusal::NotYoursToDelete)
        }
        Lifecycle::Active | Lifecycle::Revoked(_) => Ok(vec![KeyEvent::Deleted(KeyDeleted {
            key_id: key.id,
            user_id: key.details.owner.clone(),
            occurred_at: key.not_before_last_change(now),
            reason: command.reason.clone(),
        })]),
    }
}

pub(super) fn evolve(state: Option<Key>, event: &KeyDeleted) -> Option<Key> {
    let KeyDeleted { key_id: _, user_id: _, occurred_at, reason } = event;
    let key = state?;
    let revoked = match key.lifecycle {
        Lifecycle::Active => None,
        Lifecycle::Revoked(ended) => Some(ended),
        Lifecycle::Deleted { .. } => return None,
    };
    let deleted = Ended { at: *occurred_at, reason: reason.clone() };
    Some(Key { lifecycle: Lifecycle::Deleted { deleted, revoked }, ..key })
}

#[cfg(test)]
mod tests {
    use crate::key::Refusal;
    use crate::key::tests::{created, delete_by, deleted, revoked};
    use crate::testing::{at, given};

    #[test]
    fn an_active_or_revoked_key_is_deleted() {
        given([created()]).when(delete_by("ann"), at(2)).then([deleted()]);
        given([created(), revoked()]).when(delete_by("ann"), at(2)).then([deleted()]);
    }

    #[test]
    fn a_key_is_deleted_once() {
        given([created(), deleted()]).when(delete_by("ann"), at(9)).refused(Refusal::NotFound);
    }

    #[test]
    fn what_does_not_exist_cannot_be_deleted() {
        given([]).when(delete_by("ann"), at(1)).refused(Refusal::NotFound);
    }

    #[test]
    fn another_users_key_cannot_be_deleted() {
        for history in [vec![created()], vec![created(), revoked()]] {
            given(history).when(delete_by("bob"), at(9)).refused(Refusal::NotYoursToDelete);
        }
    }
}
