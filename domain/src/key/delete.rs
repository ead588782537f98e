//! Making a key useless and taking it out of its owner's list.

use super::{Key, KeyDeleted, KeyEvent, Lifecycle, Refusal};
use crate::{KeyId, Reason, Timestamp, UserId};

/// Refuse the key from now on, and show it to auditors only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteKey {
    /// The key.
    pub key_id: KeyId,
    /// Who asks.
    pub by: UserId,
    /// Why.
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
        Lifecycle::Active | Lifecycle::Revoked(_) if key.owner != command.by => {
            Err(Refusal::NotYoursToDelete)
        }
        Lifecycle::Active | Lifecycle::Revoked(_) => Ok(vec![KeyEvent::Deleted(KeyDeleted {
            key_id: key.id,
            user_id: key.owner.clone(),
            occurred_at: key.not_before_last_change(now),
            reason: command.reason.clone(),
        })]),
    }
}

#[cfg(test)]
mod tests {
    use crate::key::Refusal;
    use crate::key::tests::{at, created, delete_by, deleted, given, revoked};

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
