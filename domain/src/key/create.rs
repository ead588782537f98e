//! Making a key.

use super::{Key, KeyCreated, KeyEvent, Refusal};
use crate::{DisplayPrefix, Email, KeyHash, KeyId, KeyName, Timestamp, UserId};

/// Make a key for its owner. The secret itself is not part of it: only what may be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateKey {
    /// The id that the key is to have.
    pub key_id: KeyId,
    /// Its owner.
    pub owner: UserId,
    /// The owner's address, where known.
    pub owner_email: Option<Email>,
    /// What the owner calls it.
    pub name: KeyName,
    /// What people will recognise it by.
    pub prefix: DisplayPrefix,
    /// What stands in the secret's place.
    pub hash: KeyHash,
    /// From when on it shall no longer verify.
    pub expires_at: Option<Timestamp>,
}

pub(super) fn decide(
    state: Option<&Key>,
    command: &CreateKey,
    now: Timestamp,
) -> Result<Vec<KeyEvent>, Refusal> {
    if state.is_some() {
        return Err(Refusal::AlreadyExists);
    }
    if command.expires_at.is_some_and(|expires_at| expires_at <= now) {
        return Err(Refusal::ExpiryNotInFuture);
    }
    Ok(vec![KeyEvent::Created(KeyCreated {
        key_id: command.key_id,
        user_id: command.owner.clone(),
        user_email: command.owner_email.clone(),
        name: command.name.clone(),
        key_prefix: command.prefix.clone(),
        key_hash: command.hash,
        occurred_at: now,
        expires_at: command.expires_at,
    })])
}

#[cfg(test)]
mod tests {
    use crate::key::tests::{at, create, created, deleted, given, revoked};
    use crate::key::{Command, CreateKey, KeyCreated, KeyEvent, Refusal};

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
        let Command::Create(command) = create() else { panic!() };
        let KeyEvent::Created(event) = created() else { panic!() };
        let expires_at = Some(at(1));
        given([])
            .when(Command::Create(CreateKey { expires_at, ..command }), at(0))
            .then([KeyEvent::Created(KeyCreated { expires_at, ..event })]);
    }

    #[test]
    fn a_key_cannot_expire_before_it_exists() {
        let Command::Create(command) = create() else { panic!() };
        let command = Command::Create(CreateKey { expires_at: Some(at(5)), ..command });
        given([]).when(command.clone(), at(5)).refused(Refusal::ExpiryNotInFuture);
        given([]).when(command, at(6)).refused(Refusal::ExpiryNotInFuture);
    }
}
