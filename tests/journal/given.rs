//! Events to append, and ways to read them back.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use keyledger::clock::{Clock, SystemClock};
use keyledger_domain::Delivery;
use keyledger_domain::key::{KeyCreated, KeyDeleted, KeyEvent, KeyRevoked};
use keyledger_domain::{
    CommandId, Email, KeyId, KeyName, KeyPrefix, Metadata, Position, Reason, RecordedEvent,
    Revision, Secret, UserId,
};
use keyledger_journal::{
    Append, Appended, Expected, Journal, JournalReader, NewEvent, Subscription,
};
use rand::SeedableRng;
use rand::rngs::{StdRng, SysRng};

/// A journal of one kind, empty, and ways to open it.
#[async_trait]
pub(crate) trait Stand: Send + Sync {
    /// Opens it for appending.
    async fn open(&self) -> Arc<dyn Journal>;

    /// Opens it for reading, as another process does beside the one that appends.
    async fn open_reader(&self) -> Arc<dyn JournalReader>;
}

pub(crate) fn random() -> StdRng {
    StdRng::try_from_rng(&mut SysRng).unwrap()
}

pub(crate) fn new_key() -> KeyId {
    KeyId::generate(SystemClock.now(), &mut random())
}

fn ann() -> UserId {
    UserId::parse("ann").unwrap()
}

fn new_event(event: KeyEvent) -> NewEvent {
    let command_id = CommandId::generate(&mut random());
    let metadata = Metadata {
        actor: UserId::parse("bob").unwrap(),
        correlation_id: "req-1".to_owned(),
        causation_id: command_id.as_uuid(),
        traceparent: Some(format!("00-{}-{}-01", "a".repeat(32), "b".repeat(16))),
        client: Some("tests \"1.0\" ü".to_owned()),
    };
    NewEvent { id: command_id.event_id(0), event, metadata }
}

/// The creation of a key, with odd characters where people may have them.
pub(crate) fn created(key_id: KeyId) -> NewEvent {
    let secret = Secret::generate(&KeyPrefix::parse("orag").unwrap(), &mut random());
    let now = SystemClock.now();
    new_event(KeyEvent::Created(KeyCreated {
        key_id,
        user_id: ann(),
        user_email: Email::parse("ann@example.com"),
        name: KeyName::parse("ci \"bot\" \\ 'x' -- ü 🦀 \u{202e}").unwrap(),
        key_prefix: secret.display_prefix(),
        key_hash: secret.hash(),
        occurred_at: now,
        expires_at: Some(now.plus_seconds(60).unwrap()),
    }))
}

pub(crate) fn revoked(key_id: KeyId) -> NewEvent {
    let reason = Reason::parse("left ’em").unwrap();
    let occurred_at = SystemClock.now();
    new_event(KeyEvent::Revoked(KeyRevoked { key_id, user_id: ann(), occurred_at, reason }))
}

pub(crate) fn deleted(key_id: KeyId) -> NewEvent {
    let occurred_at = SystemClock.now();
    new_event(KeyEvent::Deleted(KeyDeleted { key_id, user_id: ann(), occurred_at, reason: None }))
}

pub(crate) fn first(key_id: KeyId, events: Vec<NewEvent>) -> Append {
    Append { key_id, expected: Expected::NoStream, events }
}

pub(crate) fn after(revision: u32, key_id: KeyId, events: Vec<NewEvent>) -> Append {
    Append { key_id, expected: Expected::Revision(Revision::new(revision)), events }
}

/// Creates a key.
pub(crate) async fn create(journal: &dyn Journal) -> (KeyId, Appended) {
    let key_id = new_key();
    let appended = journal.append(first(key_id, vec![created(key_id)])).await.unwrap();
    (key_id, appended)
}

/// Whether what was read is what was to be written.
pub(crate) fn is_same(recorded: &RecordedEvent, new: &NewEvent) -> bool {
    (recorded.id, &recorded.event, &recorded.metadata) == (new.id, &new.event, &new.metadata)
}

/// The next event of a subscription, past caught-up marks.
pub(crate) async fn next_event(subscription: &mut Subscription) -> RecordedEvent {
    loop {
        if let Delivery::Event(event) = subscription.next().await.unwrap().unwrap() {
            return event;
        }
    }
}

/// All events up to the first caught-up mark, and the mark.
pub(crate) async fn until_level(subscription: &mut Subscription) -> (Vec<RecordedEvent>, Position) {
    let mut events = Vec::new();
    loop {
        match subscription.next().await.unwrap().unwrap() {
            Delivery::Event(event) => events.push(event),
            Delivery::CaughtUp(position) => return (events, position),
        }
    }
}
