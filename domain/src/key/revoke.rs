//! Making a key useless while it stays in its owner's list.

use super::{Key, KeyEvent, KeyRevoked, Lifecycle, Refusal};
use crate::{KeyId, Reason, Timestamp, UserId};

/// Refuse the key from now on. Revoking a revoked key is well and changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokeKey {
    /// The key.
    pub key_id: KeyId,
    /// Who asks.
    pub by: UserId,
    /// Why.
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
        Lifecycle::Active | Lifecycle::Revoked(_) if key.owner != command.by => {
            Err(Refusal::NotYoursToRevoke)
        }
        Lifecycle::Revoked(_) => Ok(Vec::new()),
        Lifecycle::Active => Ok(vec![KeyEvent::Revoked(KeyRevoked {
            key_id: key.id,
            user_id: key.owner.clone(),
            occurred_at: key.not_before_last_change(now),
            reason: command.reason.clone(),
        })]),
    }
}

#[cfg(test)]
mod tests {
    use crate::key::tests::{at, created, deleted, given, revoke_by, revoked, revoked_at};
    use crate::key::{KeyEvent, Refusal};

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
