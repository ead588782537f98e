//! Creating a key.

use super::{Key, KeyCreated, KeyDetails, KeyEvent, Lifecycle, Refusal};
use crate::{KeyId, Timestamp};

/// Create a key. The command has the secret's hash, and not the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateKey {
    /// The id of the new key.
    pub key_id: KeyId,
    /// What is chosen for the key.
    pub details: KeyDetails,
}

pub(super) fn decide(
    state: Option<&Key>,
    command: &CreateKey,
    now: Timestamp,
) -> Result<Vec<KeyEvent>, Refusal> {
    if state.is_some() {
        return Err(Refusal::AlreadyExists);
    }
    if command.details.expires_at.is_some_and(|expires_at| expires_at <= now) {
        return Err(Refusal::ExpiryNotInFuture);
    }
    Ok(vec![KeyEvent::Created(KeyCreated {
        key_id: command.key_id,
        details: command.details.clone(),
        occurred_at: now,
    })])
}

pub(super) fn evolve(state: Option<Key>, event: &KeyCreated) -> Option<Key> {
    let KeyCreated { key_id, details, occurred_at } = event;
    let key = Key {
        id: *key_id,
        details: details.clone(),
        owner_email_as_of: *occurred_at,
        created_at: *occurred_at,
        changed_at: *occurred_at,
        lifecycle: Lifecycle::Active,
    };
    state.is_none().then_some(key)
}

#[cfg(test)]
mod tests {
    use crate::Timestamp;
    use crate::key::tests::{create, created, created_until, deleted, revoked};
    use crate::key::{Command, CreateKey, KeyDetails, Refusal};
    use crate::testing::{at, given};

    fn create_until(expires_at: Timestamp) -> Command {
        let Command::Create(CreateKey { key_id, details }) = create() else { panic!() };
        let details = KeyDetails { expires_at: Some(expires_at), ..details };
        Command::Create(CreateKey { key_id, details })
    }

    #[test]
    fn a_new_key_is_created() {
        given([]).when(create(), at(0)).then([created()]);
    }

    #[test]
    fn an_id_is_used_once() {
        for history in [
            vec![created()],
            vec![created(), revoked()],
            vec![created(), deleted()],
            vec![created(), revoked(), deleted()],
        ] {
            given(history).when(create(), at(9)).refused(Refusal::AlreadyExists);
        }
    }

    #[test]
    fn a_key_may_expire_later() {
        given([]).when(create_until(at(1)), at(0)).then([created_until(at(1))]);
    }

    #[test]
    fn a_key_cannot_expire_before_it_exists() {
        given([]).when(create_until(at(5)), at(5)).refused(Refusal::ExpiryNotInFuture);
        given([]).when(create_until(at(5)), at(6)).refused(Refusal::ExpiryNotInFuture);
    }
}
