//! Fixtures for tests: times, ids, events, whole histories, and given/when/then for the rules.
//!
//! Everything here follows from its arguments, so that a test has the same values in each run. Keys
//! have numbers; one number always means the same id, owner, secret and name.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be built fails its test")]

use std::collections::HashMap;

use rand::SeedableRng;
use rand::rngs::StdRng;
use uuid::Uuid;

use crate::key::{
    ChangeOwnerEmail, Command, CreateKey, DeleteKey, Key, KeyCreated, KeyDeleted, KeyDetails,
    KeyEvent, KeyOwnerEmailChanged, KeyRevoked, Refusal, RevokeKey, decide, evolve, fold,
};
use crate::{
    CommandId, Email, HashFunction, KeyId, KeyName, KeyPrefix, Metadata, Position, RecordedEvent,
    Revision, Secret, SourceId, Timestamp, UserId,
};

/// The owners of keys. The key with number `n` belongs to `OWNERS[n % 3]`.
pub const OWNERS: [&str; 3] = ["ann", "bob", "eve"];

/// The time this many seconds after 2026-03-01T12:00:00Z, or before it if negative.
///
/// # Panics
/// If the time is outside the years 0001 to 9999.
#[must_use]
pub fn at(seconds: i64) -> Timestamp {
    let start = Timestamp::parse("2026-03-01T12:00:00Z").unwrap();
    Timestamp::from_unix_micros(start.unix_micros() + seconds * 1_000_000).unwrap()
}

/// The user with this id.
///
/// # Panics
/// If the text is not a user id.
#[must_use]
pub fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

/// The position with this number.
///
/// # Panics
/// If the number is above 2^63 - 1.
#[must_use]
pub fn position(number: u64) -> Position {
    number.try_into().unwrap()
}

/// The id of a key. Ids sort as their numbers do.
///
/// # Panics
/// If the number of seconds is outside the range of [`at`].
#[must_use]
pub fn key_id(number: u64) -> KeyId {
    KeyId::generate(at(number.try_into().unwrap()), &mut StdRng::seed_from_u64(number))
}

/// The owner of a key.
///
/// # Panics
/// Never: there are owners.
#[must_use]
pub fn owner(number: u64) -> UserId {
    user(OWNERS.iter().cycle().nth(usize::try_from(number % 3).unwrap()).unwrap())
}

/// The secret of a key.
///
/// # Panics
/// Never: the prefix is valid.
#[must_use]
pub fn secret(number: u64) -> Secret {
    Secret::generate(&KeyPrefix::parse("orag").unwrap(), &mut StdRng::seed_from_u64(number))
}

/// The details of a key that does not expire and whose owner has an address.
///
/// # Panics
/// Never: the fields are valid.
#[must_use]
pub fn details(number: u64) -> KeyDetails {
    let secret = secret(number);
    KeyDetails {
        owner: owner(number),
        owner_email: Email::parse("someone@example.com"),
        name: KeyName::parse(&format!("key {number}")).unwrap(),
        prefix: secret.display_prefix(),
        hash: secret.hash(),
        expires_at: None,
        hash_function: HashFunction::Sha256,
        source_id: None,
    }
}

/// The creation of a key with [`details`], at second 0.
#[must_use]
pub fn created(number: u64) -> KeyEvent {
    created_with(number, details(number))
}

/// The creation of a key that expires, at second 0.
#[must_use]
pub fn created_until(number: u64, expires_at: Timestamp) -> KeyEvent {
    created_with(number, KeyDetails { expires_at: Some(expires_at), ..details(number) })
}

/// The creation of a key with these details, at second 0.
#[must_use]
pub fn created_with(number: u64, details: KeyDetails) -> KeyEvent {
    KeyEvent::Created(KeyCreated { key_id: key_id(number), details, occurred_at: at(0) })
}

/// The revocation of a key by its owner, at second 1.
#[must_use]
pub fn revoked(number: u64) -> KeyEvent {
    revoked_at(number, at(1))
}

/// The revocation of a key by its owner.
#[must_use]
pub fn revoked_at(number: u64, occurred_at: Timestamp) -> KeyEvent {
    let (key_id, user_id) = (key_id(number), owner(number));
    KeyEvent::Revoked(KeyRevoked { key_id, user_id, occurred_at, reason: None })
}

/// The deletion of a key by its owner, at second 2.
#[must_use]
pub fn deleted(number: u64) -> KeyEvent {
    let (key_id, user_id) = (key_id(number), owner(number));
    KeyEvent::Deleted(KeyDeleted { key_id, user_id, occurred_at: at(2), reason: None })
}

/// The change of the address of a key's owner, by a token that was issued at a time.
///
/// # Panics
/// If the text is not an address.
#[must_use]
pub fn email_changed(
    number: u64,
    email: &str,
    token_issued_at: Timestamp,
    occurred_at: Timestamp,
) -> KeyEvent {
    let (key_id, user_id) = (key_id(number), owner(number));
    let user_email = Email::parse(email).unwrap();
    KeyEvent::OwnerEmailChanged(KeyOwnerEmailChanged {
        key_id,
        user_id,
        user_email,
        token_issued_at,
        occurred_at,
    })
}

/// The metadata of an event with this owner as its actor, caused by this command.
#[must_use]
pub fn metadata(actor: UserId, command_id: CommandId) -> Metadata {
    Metadata {
        actor,
        correlation_id: "r1".to_owned(),
        causation_id: command_id.as_uuid(),
        traceparent: None,
        client: None,
    }
}

/// An event as a journal holds it. Its id follows from its position.
#[must_use]
pub fn recorded(at: u64, revision: Revision, event: KeyEvent) -> RecordedEvent {
    let command_id = CommandId::generate(&mut StdRng::seed_from_u64(at));
    RecordedEvent {
        position: position(at),
        revision,
        id: command_id.event_id(0),
        metadata: metadata(event.owner().clone(), command_id),
        event,
    }
}

/// The events of one key as a journal holds them, each with its position.
#[must_use]
pub fn stream(events: impl IntoIterator<Item = (u64, KeyEvent)>) -> Vec<RecordedEvent> {
    let numbered = (0..).map(Revision::new).zip(events);
    numbered.map(|(revision, (at, event))| recorded(at, revision, event)).collect()
}

/// What someone tries to do with the key of a number. The rules may refuse it.
#[derive(Clone, Copy, Debug)]
pub enum Attempt {
    /// Create the key.
    Create(u64),
    /// Revoke the key, as its owner.
    Revoke(u64),
    /// Delete the key, as its owner.
    Delete(u64),
    /// Sign in as the key's owner, with an address that no token had before.
    ChangeEmail(u64),
}

impl Attempt {
    fn command(self, now: Timestamp) -> (KeyId, Command) {
        let (Self::Create(number)
        | Self::Revoke(number)
        | Self::Delete(number)
        | Self::ChangeEmail(number)) = self;
        let (key_id, by) = (key_id(number), owner(number));
        let command = match self {
            Self::Create(_) => {
                let plain = details(number);
                let details = KeyDetails {
                    owner_email: plain.owner_email.filter(|_| number.is_multiple_of(2)),
                    expires_at: number.is_multiple_of(4).then_some(Timestamp::MAX),
                    hash_function: if number.is_multiple_of(5) {
                        HashFunction::HmacSha256
                    } else {
                        HashFunction::Sha256
                    },
                    source_id: SourceId::parse(&number.to_string())
                        .ok()
                        .filter(|_| number.is_multiple_of(5)),
                    ..plain
                };
                Command::Create(CreateKey { key_id, details })
            }
            Self::Revoke(_) => Command::Revoke(RevokeKey { key_id, by, reason: None }),
            Self::Delete(_) => Command::Delete(DeleteKey { key_id, by, reason: None }),
            Self::ChangeEmail(_) => Command::ChangeOwnerEmail(ChangeOwnerEmail {
                key_id,
                owner: by,
                email: Email::parse(&format!("{}@example.com", now.unix_seconds())).unwrap(),
                token_issued_at: now,
            }),
        };
        (key_id, command)
    }
}

/// The events that attempts lead to, as a journal holds them. Attempt `n` is made at second `n`;
/// what the rules refuse leads to no event. Positions begin at 1 and have no gaps.
///
/// # Panics
/// If the rules decide on an event that cannot follow the events before it.
#[must_use]
pub fn history(attempts: &[Attempt]) -> Vec<RecordedEvent> {
    let mut keys: HashMap<KeyId, (Key, Revision)> = HashMap::new();
    let mut events = Vec::new();
    for (second, attempt) in (0..).zip(attempts) {
        let (key_id, command) = attempt.command(at(second));
        let before = keys.remove(&key_id);
        let state = before.as_ref().map(|(key, _)| key);
        let decided = decide(state, &command, at(second)).unwrap_or_default();
        let after = decided.into_iter().fold(before, |before, event| {
            let (key, revision) = before.unzip();
            let key = evolve(key, &event).unwrap();
            let revision = revision.map_or(Revision::FIRST, |last| last.next().unwrap());
            let next = u64::try_from(events.len()).unwrap() + 1;
            events.push(recorded(next, revision, event));
            Some((key, revision))
        });
        keys.extend(after.map(|after| (key_id, after)));
    }
    events
}

/// As many keys, each created and nothing else.
#[must_use]
pub fn creations(count: u64) -> Vec<RecordedEvent> {
    history(&(0..count).map(Attempt::Create).collect::<Vec<_>>())
}

/// The first part of a rule's test: what has happened.
#[derive(Debug)]
pub struct Given(Option<Key>);

/// The second part of a rule's test: what a command led to.
#[derive(Debug)]
pub struct Decided(Result<Vec<KeyEvent>, Refusal>);

/// A key to which these events have happened.
///
/// # Panics
/// If the events cannot follow each other.
#[must_use]
pub fn given(history: impl IntoIterator<Item = KeyEvent>) -> Given {
    let history: Vec<KeyEvent> = history.into_iter().collect();
    Given(fold(&history).unwrap())
}

impl Given {
    /// Decides a command at a time.
    #[must_use]
    pub fn when(self, command: Command, now: Timestamp) -> Decided {
        Decided(decide(self.0.as_ref(), &command, now))
    }
}

impl Decided {
    /// Checks that the command led to these events.
    ///
    /// # Panics
    /// If it did not.
    #[track_caller]
    pub fn then<E: IntoIterator<Item = KeyEvent>>(self, expected: E) {
        assert_eq!(self.0, Ok(expected.into_iter().collect()));
    }

    /// Checks that the rules refused the command.
    ///
    /// # Panics
    /// If they did not, or for another reason.
    #[track_caller]
    pub fn refused(self, expected: Refusal) {
        assert_eq!(self.0, Err(expected));
    }
}

/// The id of a key that no fixture has.
#[must_use]
pub fn other_key() -> KeyId {
    KeyId::from_uuid(Uuid::nil())
}
