//! Making a key unusable while it stays in its owner's list.

use super::{Ended, Key, KeyEvent, KeyRevoked, Lifecycle, Refusal};
use crate::{KeyId, Reason, Timestamp, UserId};

/// Make a key unusable. Revoking a revoked key succeeds and changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokeKey {
    /// The id of the key to revoke.
    pub key_id: KeyId,
    /// The user who asks, who must be the owner.
    pub by: UserId,
    /// The reason to record, if any.
    pub reason: Option<Reason>,
}

pub(super) fn decide(
    state: Option<&Key>,
    command: &RevokeKey,
    now: Timestamp,
) -> Result<Vec<KeyEvent>, Refusal> {
    let key = state.ok_or(Refusal::NotFound)?;
    match &key.lifecycle {
        Lifecycle::Deleted { .. } => Err(Refusal::NotFound),
        Lifecycle::Active | Lifecycle::Revoked(_) if key.details.owner != command.by => {
            Err(Refusal::NotYoursToRevoke)
        }
        Lifecycle::Revoked(_) => Ok(Vec::new()),
        Lifecycle::Active => Ok(vec![KeyEvent::Revoked(KeyRevoked {
            key_id: key.id,
            user_id: key.details.owner.clone(),
            occurred_at: key.not_before_last_change(now),
            reason: command.reason.clone(),
        })]),
    }
}

pub(super) fn evolve(state: Option<Key>, event: &KeyRevoked) -> Option<Key> {
    let KeyRevoked { key_id: _, user_id: _, occurred_at, reason } = event;
    let key = state.filter(|key| key.lifecycle == Lifecycle::Active)?;
    let ended = Ended { at: *occurred_at, reason: reason.clone() };
    Some(Key { lifecycle: Lifecycle::Revoked(ended), ..key })
}

#[cfg(test)]
mod tests {
    use crate::key::tests::{created, deleted, revoke_by, revoked, revoked_at};
    use crate::key::{KeyEvent, Refusal};
    use crate::testing::{at, given};

    #[test]
    fn an_active_key_is_revoked() {
        given([created()]).when(revoke_by("ann"), at(1)).then([revoked()]);
    }

    #[test]
    fn revoking_a_revoked_key_changes_nothing() {
        given([created(), revoked()]).when(revoke_by("ann"), at(9)).then::<[KeyEvent; 0]>([]);
    }

    #[test]
    fn what_does_not_exist_cannot_be_revoked() {
        given([]).when(revoke_by("ann"), at(1)).refused(Refusal::NotFound);
    }

    #[test]
    fn a_deleted_key_is_not_found_by_anyone() {
        for by in ["ann", "bob"] {
            let history = [created(), deleted()];
            given(history).when(revoke_by(by), at(9)).refused(Refusal::NotFound);
        }
    }

    #[test]
    fn another_users_key_cannot_be_revoked() {
        for history in [vec![created()], vec![created(), revoked()]] {
            given(history).when(revoke_by("bob"), at(9)).refused(Refusal::NotYoursToRevoke);
        }
    }

    #[test]
    fn a_clock_set_back_does_not_reorder_history() {
        given([created()]).when(revoke_by("ann"), at(-60)).then([revoked_at(at(0))]);
    }
}
