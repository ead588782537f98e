//! Given/when/then for the rules, and the state machine against a model.

use proptest::prelude::*;

use super::*;
use crate::{EventId, KeyPrefix, Metadata, RecordedEvent, Revision, Secret};

pub(crate) fn at(seconds: i64) -> Timestamp {
    let start = Timestamp::parse("2026-03-01T12:00:00Z").unwrap();
    Timestamp::from_unix_micros(start.unix_micros() + seconds * 1_000_000).unwrap()
}

fn key_id() -> KeyId {
    "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap()
}

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn secret() -> Secret {
    use rand::SeedableRng;
    let mut random = rand::rngs::StdRng::seed_from_u64(1);
    Secret::generate(&KeyPrefix::parse("orag").unwrap(), &mut random)
}

pub(super) fn create() -> Command {
    let secret = secret();
    Command::Create(CreateKey {
        key_id: key_id(),
        owner: user("ann"),
        owner_email: Email::parse("ann@example.com"),
        name: KeyName::parse("ci").unwrap(),
        prefix: secret.display_prefix(),
        hash: secret.hash(),
        expires_at: None,
    })
}

pub(super) fn revoke_by(by: &str) -> Command {
    Command::Revoke(RevokeKey { key_id: key_id(), by: user(by), reason: None })
}

pub(super) fn delete_by(by: &str) -> Command {
    Command::Delete(DeleteKey { key_id: key_id(), by: user(by), reason: None })
}

pub(crate) fn created() -> KeyEvent {
    created_with(None)
}

pub(crate) fn created_until(expires_at: Timestamp) -> KeyEvent {
    created_with(Some(expires_at))
}

fn created_with(expires_at: Option<Timestamp>) -> KeyEvent {
    let secret = secret();
    KeyEvent::Created(KeyCreated {
        key_id: key_id(),
        user_id: user("ann"),
        user_email: Email::parse("ann@example.com"),
        name: KeyName::parse("ci").unwrap(),
        key_prefix: secret.display_prefix(),
        key_hash: secret.hash(),
        occurred_at: at(0),
        expires_at,
    })
}

pub(crate) fn revoked() -> KeyEvent {
    revoked_at(at(1))
}

pub(crate) fn revoked_at(occurred_at: Timestamp) -> KeyEvent {
    let (key_id, user_id) = (key_id(), user("ann"));
    KeyEvent::Revoked(KeyRevoked { key_id, user_id, occurred_at, reason: None })
}

pub(crate) fn deleted() -> KeyEvent {
    let (key_id, user_id) = (key_id(), user("ann"));
    KeyEvent::Deleted(KeyDeleted { key_id, user_id, occurred_at: at(2), reason: None })
}

/// A key's events as a journal holds them, at these positions.
pub(crate) fn recorded<const N: usize>(events: [(u64, KeyEvent); N]) -> Vec<RecordedEvent> {
    let place = |(revision, (position, event)): (u32, (u64, KeyEvent))| RecordedEvent {
        position: position.try_into().unwrap(),
        revision: Revision::new(revision),
        id: EventId::from_uuid(uuid::Uuid::nil()),
        event,
        metadata: Metadata {
            actor: user("ann"),
            correlation_id: "r1".to_owned(),
            causation_id: uuid::Uuid::nil(),
            traceparent: None,
            client: None,
        },
    };
    (0..).zip(events).map(place).collect()
}

/// The first part of a rule's test: what has happened.
pub(super) struct Given(Option<Key>);

/// The second part: what came of the command.
pub(super) struct Outcome(Result<Vec<KeyEvent>, Refusal>);

pub(super) fn given(history: impl IntoIterator<Item = KeyEvent>) -> Given {
    let history: Vec<KeyEvent> = history.into_iter().collect();
    Given(fold(&history).unwrap())
}

impl Given {
    pub(super) fn when(self, command: Command, now: Timestamp) -> Outcome {
        Outcome(decide(self.0.as_ref(), &command, now))
    }
}

impl Outcome {
    #[track_caller]
    pub(super) fn then<E: IntoIterator<Item = KeyEvent>>(self, expected: E) {
        assert_eq!(self.0, Ok(expected.into_iter().collect()));
    }

    #[track_caller]
    pub(super) fn refused(self, expected: Refusal) {
        assert_eq!(self.0, Err(expected));
    }
}

#[test]
fn history_that_no_decision_could_write_is_corrupt() {
    for (history, state) in [
        (vec![revoked()], "none"),
        (vec![deleted()], "none"),
        (vec![created(), created()], "active"),
        (vec![created(), revoked(), revoked()], "revoked"),
        (vec![created(), deleted(), revoked()], "deleted"),
        (vec![created(), deleted(), deleted()], "deleted"),
    ] {
        let corrupt = fold(&history).unwrap_err();
        assert_eq!(corrupt.state, state, "{history:?}");
    }
}

#[test]
fn another_keys_event_in_the_stream_is_corrupt() {
    let other = KeyEvent::Revoked(KeyRevoked {
        key_id: "01890a5d-ac96-774b-bcce-b302099a8058".parse().unwrap(),
        user_id: user("ann"),
        occurred_at: at(1),
        reason: None,
    });
    assert!(fold(&[created(), other]).is_err());
}

#[test]
fn a_deleted_key_remembers_that_it_was_revoked() {
    let key = fold(&[created(), revoked(), deleted()]).unwrap().unwrap();
    let Lifecycle::Deleted { deleted, revoked } = key.lifecycle else { panic!("{key:?}") };
    assert_eq!(deleted.at, at(2));
    assert_eq!(revoked.unwrap().at, at(1));
}

/// What a caller who knows nothing of events expects: the simplest model of a key.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Model {
    None,
    Active,
    Revoked,
    Deleted,
}

fn step() -> impl Strategy<Value = (Command, i64)> {
    let command = prop_oneof![
        Just(create()),
        prop_oneof!["ann", "bob"].prop_map(|by| revoke_by(&by)),
        prop_oneof!["ann", "bob"].prop_map(|by| delete_by(&by)),
    ];
    (command, -100_i64..100)
}

proptest! {
    #[test]
    fn any_sequence_of_commands_ends_where_the_model_does(
        steps in prop::collection::vec(step(), 0..40)
    ) {
        let (mut state, mut model, mut last) = (None, Model::None, None);
        for (command, seconds) in steps {
            let decision = decide(state.as_ref(), &command, at(seconds));
            let mine = match &command {
                Command::Create(_) | Command::Import(_) => true,
                Command::Revoke(revoke) => revoke.by == user("ann"),
                Command::Delete(delete) => delete.by == user("ann"),
            };
            let (expected, writes) = match (&command, model) {
                (Command::Create(_), Model::None) => (Some(Model::Active), 1),
                (Command::Revoke(_), Model::Active) if mine => (Some(Model::Revoked), 1),
                (Command::Revoke(_), Model::Revoked) if mine => (Some(Model::Revoked), 0),
                (Command::Delete(_), Model::Active | Model::Revoked) if mine => {
                    (Some(Model::Deleted), 1)
                }
                _ => (None, 0),
            };
            prop_assert_eq!(decision.is_ok(), expected.is_some(), "{:?} {:?}", model, command);
            let events = decision.unwrap_or_default();
            prop_assert_eq!(events.len(), writes);
            for event in &events {
                prop_assert!(Some(event.occurred_at()) >= last);
                last = Some(event.occurred_at());
                state = Some(evolve(state.take(), event).unwrap());
            }
            model = expected.unwrap_or(model);
            let reached = match state.as_ref().map(|key| &key.lifecycle) {
                None => Model::None,
                Some(Lifecycle::Active) => Model::Active,
                Some(Lifecycle::Revoked(_)) => Model::Revoked,
                Some(Lifecycle::Deleted { .. }) => Model::Deleted,
            };
            prop_assert_eq!(reached, model);
        }
    }
}
