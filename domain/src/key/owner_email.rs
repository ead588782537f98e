//! Taking over an owner's address that has changed at the identity provider.

use super::{Key, KeyEvent, KeyOwnerEmailChanged, Lifecycle, Refusal, Verdict};
use crate::{Email, KeyId, Timestamp, UserId};

/// Note the address that the identity provider has of a key's owner. Only a key that verifies takes it: one that
/// was revoked or deleted, or has expired, keeps the address that its owner had then.
///
/// A user may have several tokens at the same time, with different addresses. The one that was issued last
/// counts, in whichever order they are presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeOwnerEmail {
    /// The id of the key.
    pub key_id: KeyId,
    /// The user who has signed in. A key of another owner does not change.
    pub owner: UserId,
    /// The address that the user's token names.
    pub email: Email,
    /// When that token was issued, by the identity provider's clock.
    pub token_issued_at: Timestamp,
}

pub(super) fn decide(
    state: Option<&Key>,
    command: &ChangeOwnerEmail,
    now: Timestamp,
) -> Result<Vec<KeyEvent>, Refusal> {
    let key = state.ok_or(Refusal::NotFound)?;
    let changes = key.verdict(now) == Verdict::Valid
        && key.details.owner == command.owner
        && key.details.owner_email.as_ref() != Some(&command.email)
        && key.owner_email_as_of < command.token_issued_at;
    if !changes {
        return Ok(Vec::new());
    }
    Ok(vec![KeyEvent::OwnerEmailChanged(KeyOwnerEmailChanged {
        key_id: key.id,
        user_id: key.details.owner.clone(),
        user_email: command.email.clone(),
        token_issued_at: command.token_issued_at,
        occurred_at: key.not_before_last_change(now),
    })])
}

pub(super) fn evolve(state: Option<Key>, event: &KeyOwnerEmailChanged) -> Option<Key> {
    let KeyOwnerEmailChanged { key_id: _, user_id: _, user_email, token_issued_at, occurred_at: _ } =
        event;
    let mut key = state.filter(|key| key.lifecycle == Lifecycle::Active)?;
    key.details.owner_email = Some(user_email.clone());
    Some(Key { owner_email_as_of: *token_issued_at, ..key })
}

#[cfg(test)]
mod tests {
    use crate::key::tests::{
        change_email, change_email_of, created, created_until, created_with_email, deleted,
        email_changed, revoked,
    };
    use crate::key::{KeyEvent, Refusal};
    use crate::testing::{at, given};

    const NEW: &str = "ann@example.net";

    #[test]
    fn a_key_takes_the_address_of_its_owners_next_token() {
        let changed = email_changed(NEW, at(1), at(2));
        given([created()]).when(change_email(NEW, at(1)), at(2)).then([changed]);
    }

    #[test]
    fn a_key_without_an_address_takes_one() {
        let history = [created_with_email(None)];
        let changed = email_changed(NEW, at(1), at(2));
        given(history).when(change_email(NEW, at(1)), at(2)).then([changed]);
    }

    #[test]
    fn the_same_address_changes_nothing() {
        let command = || change_email(NEW, at(9));
        given([created_with_email(Some(NEW))]).when(command(), at(9)).then::<[KeyEvent; 0]>([]);
        let history = [created(), email_changed(NEW, at(1), at(2))];
        given(history).when(command(), at(9)).then::<[KeyEvent; 0]>([]);
    }

    #[test]
    fn a_token_that_was_issued_before_the_address_was_known_changes_nothing() {
        for issued in [-1, 0] {
            let command = change_email(NEW, at(issued));
            given([created()]).when(command, at(9)).then::<[KeyEvent; 0]>([]);
        }
        for issued in [4, 5] {
            // Presented after the token that was issued at second 5.
            let history = [created(), email_changed(NEW, at(5), at(6))];
            let command = change_email("old@example.net", at(issued));
            given(history).when(command, at(9)).then::<[KeyEvent; 0]>([]);
        }
    }

    #[test]
    fn the_time_of_the_token_counts_and_not_that_of_the_change() {
        let history = [created(), email_changed(NEW, at(5), at(50))];
        let changed = email_changed("newer@example.net", at(6), at(60));
        given(history).when(change_email("newer@example.net", at(6)), at(60)).then([changed]);
    }

    #[test]
    fn a_key_that_was_ended_keeps_its_address() {
        for history in [
            vec![created(), revoked()],
            vec![created(), deleted()],
            vec![created(), revoked(), deleted()],
        ] {
            given(history).when(change_email(NEW, at(9)), at(9)).then::<[KeyEvent; 0]>([]);
        }
    }

    #[test]
    fn a_key_that_has_expired_keeps_its_address() {
        let command = || change_email(NEW, at(1));
        let changed = email_changed(NEW, at(1), at(4));
        given([created_until(at(5))]).when(command(), at(4)).then([changed]);
        given([created_until(at(5))]).when(command(), at(5)).then::<[KeyEvent; 0]>([]);
    }

    #[test]
    fn another_users_key_keeps_its_address() {
        let command = change_email_of("bob", NEW, at(1));
        given([created()]).when(command, at(1)).then::<[KeyEvent; 0]>([]);
    }

    #[test]
    fn what_does_not_exist_has_no_address() {
        given([]).when(change_email(NEW, at(1)), at(1)).refused(Refusal::NotFound);
    }

    #[test]
    fn a_clock_set_back_does_not_reorder_history() {
        let changed = email_changed(NEW, at(1), at(0));
        given([created()]).when(change_email(NEW, at(1)), at(-60)).then([changed]);
    }
}
