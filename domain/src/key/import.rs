//! Taking over a key from a former service, which stored the same hash of it.

use super::{Key, KeyCreated, KeyDetails, KeyEvent, KeyRevoked, Lifecycle, Refusal};
use crate::{KeyId, Reason, Timestamp};

/// Take over a key as a former service knew it. The same key may be imported again: that changes
/// nothing, unless the former service has revoked the key since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportKey {
    /// What the former service knew of the key. The key's id follows from its hash.
    pub details: KeyDetails,
    /// When the former service created the key.
    pub created_at: Timestamp,
    /// Whether the former service has revoked the key.
    pub revoked: bool,
}

impl ImportKey {
    /// The id of this key. It is the same in each import, so that the journal refuses a second
    /// creation.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        KeyId::for_imported_hash(&self.details.hash)
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
            user_id: command.details.owner.clone(),
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
            details: command.details.clone(),
            occurred_at: command.created_at,
        });
        return Ok(if command.revoked { vec![created, revoked(now)] } else { vec![created] });
    };
    if key.details.hash != command.details.hash
        || key.details.owner != command.details.owner
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
    use crate::key::{Command, KeyDeleted};
    use crate::testing::{at, details, given, user};

    fn import() -> ImportKey {
        ImportKey {
            details: KeyDetails { owner: user("ann"), ..details(7) },
            created_at: at(0),
            revoked: false,
        }
    }

    fn revoked_there() -> ImportKey {
        ImportKey { revoked: true, ..import() }
    }

    /// The events of a first import.
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
            user_id: import().details.owner,
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
        let details = KeyDetails { owner: user("bob"), ..import().details };
        let other = ImportKey { details, ..import() };
        given(first(&import()))
            .when(Command::Import(other), at(20))
            .refused(Refusal::AlreadyExists);
    }

    #[test]
    fn a_key_of_the_future_is_refused() {
        given([]).when(Command::Import(import()), at(-1)).refused(Refusal::CreatedInFuture);
    }
}
