//! The rules against a model of them, and histories that they cannot lead to.

use proptest::prelude::*;

use super::*;
use crate::Email;
use crate::testing::{self, at, key_id, user};

/// The number of the key that these tests are about; its owner is `ann`.
const KEY: u64 = 0;

pub(super) fn create() -> Command {
    Command::Create(CreateKey { key_id: key_id(KEY), details: testing::details(KEY) })
}

pub(super) fn revoke_by(by: &str) -> Command {
    Command::Revoke(RevokeKey { key_id: key_id(KEY), by: user(by), reason: None })
}

pub(super) fn delete_by(by: &str) -> Command {
    Command::Delete(DeleteKey { key_id: key_id(KEY), by: user(by), reason: None })
}

pub(crate) fn created() -> KeyEvent {
    testing::created(KEY)
}

pub(crate) fn created_until(expires_at: Timestamp) -> KeyEvent {
    testing::created_until(KEY, expires_at)
}

pub(crate) fn revoked() -> KeyEvent {
    testing::revoked(KEY)
}

pub(crate) fn revoked_at(occurred_at: Timestamp) -> KeyEvent {
    testing::revoked_at(KEY, occurred_at)
}

pub(crate) fn deleted() -> KeyEvent {
    testing::deleted(KEY)
}

pub(super) fn created_with_email(email: Option<&str>) -> KeyEvent {
    let owner_email = email.and_then(Email::parse);
    testing::created_with(KEY, KeyDetails { owner_email, ..testing::details(KEY) })
}

pub(super) fn change_email(email: &str, token_issued_at: Timestamp) -> Command {
    change_email_of("ann", email, token_issued_at)
}

pub(super) fn change_email_of(owner: &str, email: &str, token_issued_at: Timestamp) -> Command {
    let email = Email::parse(email).unwrap();
    let (key_id, owner) = (key_id(KEY), user(owner));
    Command::ChangeOwnerEmail(ChangeOwnerEmail { key_id, owner, email, token_issued_at })
}

pub(crate) fn email_changed(email: &str, issued: Timestamp, occurred_at: Timestamp) -> KeyEvent {
    testing::email_changed(KEY, email, issued, occurred_at)
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
        (vec![email_changed("ann@example.net", at(1), at(1))], "none"),
        (vec![created(), revoked(), email_changed("ann@example.net", at(1), at(1))], "revoked"),
        (vec![created(), deleted(), email_changed("ann@example.net", at(1), at(1))], "deleted"),
    ] {
        let corrupt = fold(&history).unwrap_err();
        assert_eq!(corrupt.state, state, "{history:?}");
    }
}

#[test]
fn another_keys_event_in_the_stream_is_corrupt() {
    // Key 3 has the same owner.
    assert!(fold(&[created(), testing::revoked(3)]).is_err());
}

#[test]
fn a_deleted_key_remembers_that_it_was_revoked() {
    let key = fold(&[created(), revoked(), deleted()]).unwrap().unwrap();
    let Lifecycle::Deleted { deleted, revoked } = key.lifecycle else { panic!("{key:?}") };
    assert_eq!(deleted.at, at(2));
    assert_eq!(revoked.unwrap().at, at(1));
}

/// The states of a key as a caller sees them, without events.
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
        (prop_oneof!["ann", "bob"], "[ab]", -100_i64..100)
            .prop_map(|(owner, email, issued)| change_email_of(&owner, &email, at(issued))),
    ];
    (command, -100_i64..100)
}

proptest! {
    #[test]
    fn any_sequence_of_commands_ends_where_the_model_does(
        steps in prop::collection::vec(step(), 0..40)
    ) {
        let (mut state, mut model, mut last) = (None, Model::None, None);
        // The owner's address, and as of when it is known.
        let mut email = (testing::details(KEY).owner_email, None);
        for (command, seconds) in steps {
            let decision = decide(state.as_ref(), &command, at(seconds));
            let mine = match &command {
                Command::Create(_) | Command::Import(_) => true,
                Command::Revoke(revoke) => revoke.by == user("ann"),
                Command::Delete(delete) => delete.by == user("ann"),
                Command::ChangeOwnerEmail(change) => change.owner == user("ann"),
            };
            let (expected, writes) = match (&command, model) {
                (Command::Create(_), Model::None) => (Some(Model::Active), 1),
                (Command::Revoke(_), Model::Active) if mine => (Some(Model::Revoked), 1),
                (Command::Revoke(_), Model::Revoked) if mine => (Some(Model::Revoked), 0),
                (Command::Delete(_), Model::Active | Model::Revoked) if mine => {
                    (Some(Model::Deleted), 1)
                }
                (Command::ChangeOwnerEmail(_), Model::None) => (None, 0),
                (Command::ChangeOwnerEmail(change), Model::Active) if mine => {
                    let (known, issued) = (Some(&change.email), Some(change.token_issued_at));
                    let changes = email.0.as_ref() != known && email.1 < issued;
                    if changes {
                        email = (known.cloned(), issued);
                    }
                    (Some(Model::Active), usize::from(changes))
                }
                (Command::ChangeOwnerEmail(_), _) => (Some(model), 0),
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
            if model == Model::None && expected == Some(Model::Active) {
                email.1 = last;
            }
            model = expected.unwrap_or(model);
            if let Some(key) = &state {
                prop_assert_eq!(&key.details.owner_email, &email.0);
            }
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
