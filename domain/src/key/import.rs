//! Taking over a key from a former service, which stored a hash of it.

use super::{Key, KeyCreated, KeyDetails, KeyEvent, KeyRevoked, Lifecycle, Refusal};
use crate::{KeyId, Reason, Timestamp};

/// Take over a key as a former service knew it. The same key may be imported again: that changes
/// nothing, unless the former service has revoked the key since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportKey {
    /// What the former service knew of the key.
    pub details: KeyDetails,
    /// When the former service created the key.
    pub created_at: Timestamp,
    /// Whether the former service has revoked the key.
    pub revoked: bool,
    /// The id that the key has here, if it was imported before under another hash: the former service has
    /// changed its hash function since. `None` if that is not known; the id then follows from the hash.
    pub known_as: Option<KeyId>,
}

impl ImportKey {
    /// The id of this key. It is the same in each import, so that the journal refuses a second
    /// creation.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.known_as.unwrap_or_else(|| KeyId::for_imported_hash(&self.details.hash))
    }

    /// Whether this is a key that was imported with these details before. Its hash may differ only if the
    /// former service calls it by the same id, and has hashed it in another way.
    fn is_known_as(&self, known: &KeyDetails) -> bool {
        let new = &self.details;
        let is_hashed_anew = new.source_id.is_some()
            && new.source_id == known.source_id
            && new.hash_function != known.hash_function;
        let has_same_hash = new.hash == known.hash && new.hash_function == known.hash_function;
        new.owner == known.owner && (has_same_hash || is_hashed_anew)
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
    if !command.is_known_as(&key.details) || key.created_at != command.created_at {
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
    use crate::{HashFunction, KeyHash, SourceId};

    fn import() -> ImportKey {
        ImportKey {
            details: KeyDetails { owner: user("ann"), ..details(7) },
            created_at: at(0),
            revoked: false,
            known_as: None,
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
        let with = |details| ImportKey { details, ..import() };
        let known = import().details;
        for other in [
            with(KeyDetails { owner: user("bob"), ..known.clone() }),
            with(KeyDetails { hash_function: HashFunction::HmacSha256, ..known }),
            ImportKey { created_at: at(1), ..import() },
        ] {
            given(first(&import()))
                .when(Command::Import(other), at(20))
                .refused(Refusal::AlreadyExists);
        }
    }

    /// A key as the former service exported it, hashed in this way.
    fn exported(hash_function: HashFunction, hash: KeyHash) -> ImportKey {
        let source_id = SourceId::parse("k-7").ok();
        let details = KeyDetails { hash_function, hash, source_id, ..import().details };
        ImportKey { details, ..import() }
    }

    #[test]
    fn a_key_that_was_hashed_in_another_way_since_its_import_stays_as_it_is() {
        let plain = exported(HashFunction::Sha256, details(7).hash);
        let anew = ImportKey {
            known_as: Some(plain.key_id()),
            ..exported(HashFunction::HmacSha256, details(8).hash)
        };
        given(first(&plain)).when(Command::Import(anew.clone()), at(20)).then([]);
        let revoked = ImportKey { revoked: true, ..anew.clone() };
        let decided = given(first(&plain)).when(Command::Import(revoked), at(20));
        decided.then([KeyEvent::Revoked(KeyRevoked {
            key_id: plain.key_id(),
            user_id: user("ann"),
            occurred_at: at(20),
            reason: Reason::parse("revoked by the service that it was imported from").unwrap(),
        })]);
        // The same function cannot have another hash, and a key without that id may be another one.
        let other = ImportKey {
            known_as: Some(plain.key_id()),
            ..exported(HashFunction::Sha256, details(8).hash)
        };
        let details = KeyDetails { source_id: None, ..anew.details.clone() };
        for other in [other, ImportKey { details, ..anew }] {
            given(first(&plain))
                .when(Command::Import(other), at(20))
                .refused(Refusal::AlreadyExists);
        }
    }

    #[test]
    fn a_key_of_the_future_is_refused() {
        given([]).when(Command::Import(import()), at(-1)).refused(Refusal::CreatedInFuture);
    }
}
