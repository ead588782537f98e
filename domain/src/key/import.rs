//! Taking over a key of a former service, which knew it by the same hash.

use super::{Key, KeyCreated, KeyEvent, KeyRevoked, Lifecycle, Refusal};
use crate::{DisplayPrefix, Email, KeyHash, KeyId, KeyName, Reason, Timestamp, UserId};

/// Take over a key as its former service knew it. The same key may be imported again: nothing is done
/// then, unless it has been revoked there meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportKey {
    /// Its owner.
    pub owner: UserId,
    /// The owner's address, where known.
    pub owner_email: Option<Email>,
    /// What the owner calls it.
    pub name: KeyName,
    /// What people recognise it by.
    pub prefix: DisplayPrefix,
    /// What stands in the secret's place; the key's id follows from it.
    pub hash: KeyHash,
    /// When the former service created it.
    pub created_at: Timestamp,
    /// From when on it no longer verifies.
    pub expires_at: Option<Timestamp>,
    /// Whether the former service has revoked it.
    pub revoked: bool,
}

impl ImportKey {
    /// The id that this key always gets, so that the journal itself refuses a second creation.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        KeyId::for_imported_hash(&self.hash)
    }
}

pub(super) fn decide(
    state: Option<&Key>,
    command: &ImportKey,
    now: Timestamp,
) -> Result<Vec<KeyEvent>, Refusal> {
    let key_id = command.key_id();
    let revoked = |at| {
        KeyEvent::Revoked(KeyRevoked {
            key_id,
            user_id: command.owner.clone(),
            occurred_at: at,
            reason: Reason::parse("revoked by the service that it was imported from")
                .ok()
                .flatten(),
        })
    };
    let Some(key) = state else {
        if command.created_at > now {
            return Err(Refusal::CreatedInFuture);
        }
        let created = KeyEvent::Created(KeyCreated {
            key_id,
            user_id: command.owner.clone(),
            user_email: command.owner_email.clone(),
            name: command.name.clone(),
            key_prefix: command.prefix.clone(),
            key_hash: command.hash,
            occurred_at: command.created_at,
            expires_at: command.expires_at,
        });
        return Ok(if command.revoked { vec![created, revoked(now)] } else { vec![created] });
    };
    if key.hash != command.hash
        || key.owner != command.owner
        || key.created_at != command.created_at
    {
        return Err(Refusal::AlreadyExists);
    }
    match key.lifecycle {
        Lifecycle::Active if command.revoked => Ok(vec![revoked(key.not_before_last_change(now))]),
        Lifecycle::Active | Lifecycle::Revoked(_) | Lifecycle::Deleted { .. } => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::tests::{at, given};
    use crate::key::{Command, KeyDeleted};

    fn import() -> ImportKey {
        ImportKey {
            owner: UserId::parse("ann").unwrap(),
            owner_email: Email::parse("ann@example.com"),
            name: KeyName::parse("ci").unwrap(),
            prefix: DisplayPrefix::parse("orag_AbCdEfGh").unwrap(),
            hash: KeyHash::try_from([7; 32].as_slice()).unwrap(),
            created_at: at(0),
            expires_at: None,
            revoked: false,
        }
    }

    fn revoked_there() -> ImportKey {
        ImportKey { revoked: true, ..import() }
    }

    /// What an import of nothing that is there leads to.
    fn first(import: &ImportKey) -> Vec<KeyEvent> {
        decide(None, import, at(9)).unwrap()
    }

    #[test]
    fn a_key_is_imported_as_of_its_creation() {
        let events = first(&import());
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].occurred_at(), at(0));
        assert_eq!(events[0].key_id(), import().key_id());
    }

    #[test]
    fn a_key_that_was_revoked_is_imported_as_revoked() {
        let events = first(&revoked_there());
        assert_eq!(events.len(), 2);
        assert_eq!(events[1].event_type(), "KeyRevoked");
        assert_eq!(events[1].occurred_at(), at(9));
    }

    #[test]
    fn a_key_that_is_imported_again_stays_as_it_is() {
        let deleted = KeyEvent::Deleted(KeyDeleted {
            key_id: import().key_id(),
            user_id: import().owner,
            occurred_at: at(10),
            reason: None,
        });
        for history in
            [first(&import()), first(&revoked_there()), [first(&import()), vec![deleted]].concat()]
        {
            given(history).when(Command::Import(import()), at(20)).then([]);
        }
        given(first(&revoked_there())).when(Command::Import(revoked_there()), at(20)).then([]);
    }

    #[test]
    fn a_key_that_was_revoked_since_its_import_is_revoked_by_the_next() {
        let revoked = given(first(&import())).when(Command::Import(revoked_there()), at(20));
        let [_, mut event] = <[KeyEvent; 2]>::try_from(first(&revoked_there())).unwrap();
        if let KeyEvent::Revoked(revoked) = &mut event {
            revoked.occurred_at = at(20);
        }
        revoked.then([event]);
    }

    #[test]
    fn another_key_with_the_same_hash_is_refused() {
        let other = ImportKey { owner: UserId::parse("bob").unwrap(), ..import() };
        given(first(&import()))
            .when(Command::Import(other), at(20))
            .refused(Refusal::AlreadyExists);
    }

    #[test]
    fn a_key_of_the_future_is_refused() {
        given([]).when(Command::Import(import()), at(-1)).refused(Refusal::CreatedInFuture);
    }
}
