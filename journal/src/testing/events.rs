//! Events to append.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use keyledger_domain::key::{KeyCreated, KeyDeleted, KeyDetails, KeyEvent, KeyRevoked};
use keyledger_domain::{
    CommandId, Email, HashFunction, InstallationSecret, KeyId, KeyName, KeyPrefix, Metadata,
    Reason, RecordedEvent, Revision, Secret, Timestamp, UserId,
};
use rand::SeedableRng;
use rand::rngs::{StdRng, SysRng};

use crate::{Append, AppendError, Appended, Expected, Journal, NewEvent};

/// How long the outcome of an append may stay unknown.
const OUTCOME: Duration = Duration::from_secs(60);
/// The pause before an append is sent again.
const PAUSE: Duration = Duration::from_millis(20);

/// A random number generator, seeded by the system.
///
/// # Panics
/// If the system has no random numbers.
#[must_use]
pub fn random() -> StdRng {
    StdRng::try_from_rng(&mut SysRng).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "events of tests may be dated by the system's clock")]
fn now() -> Timestamp {
    let micros = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
    Timestamp::from_unix_micros(micros.try_into().unwrap()).unwrap()
}

/// The id of a key that does not exist yet.
#[must_use]
pub fn new_key() -> KeyId {
    KeyId::generate(now(), &mut random())
}

/// The id of a key that is made by a request with this idempotency key, which can come again.
///
/// # Panics
/// Never: the secret has its length.
#[must_use]
pub fn recurring(idempotency_key: &str) -> KeyId {
    let secret = InstallationSecret::try_from([7; 32].as_slice()).unwrap();
    KeyId::for_idempotency_key(&secret, &ann(), idempotency_key)
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

/// The creation of a key. Its text fields contain characters that are easily lost or escaped wrongly.
///
/// # Panics
/// Never: the fields are valid.
#[must_use]
pub fn created(key_id: KeyId) -> NewEvent {
    let secret = Secret::generate(&KeyPrefix::parse("orag").unwrap(), &mut random());
    let now = now();
    new_event(KeyEvent::Created(KeyCreated {
        key_id,
        details: KeyDetails {
            owner: ann(),
            owner_email: Email::parse("ann@example.com"),
            name: KeyName::parse("ci \"bot\" \\ 'x' -- ü 🦀 \u{200d}").unwrap(),
            prefix: secret.display_prefix(),
            hash: secret.hash(),
            expires_at: Some(now.plus_seconds(60).unwrap()),
            hash_function: HashFunction::Sha256,
            source_id: None,
        },
        occurred_at: now,
    }))
}

/// The revocation of a key.
///
/// # Panics
/// Never: the fields are valid.
#[must_use]
pub fn revoked(key_id: KeyId) -> NewEvent {
    let reason = Reason::parse("left ’em").unwrap();
    let occurred_at = now();
    new_event(KeyEvent::Revoked(KeyRevoked { key_id, user_id: ann(), occurred_at, reason }))
}

/// The deletion of a key.
#[must_use]
pub fn deleted(key_id: KeyId) -> NewEvent {
    let occurred_at = now();
    new_event(KeyEvent::Deleted(KeyDeleted { key_id, user_id: ann(), occurred_at, reason: None }))
}

/// Appends the first events of a key.
#[must_use]
pub fn first(key_id: KeyId, events: Vec<NewEvent>) -> Append {
    Append { key_id, expected: Expected::NoStream, events }
}

/// Appends events after one with this revision.
#[must_use]
pub fn after(revision: u32, key_id: KeyId, events: Vec<NewEvent>) -> Append {
    Append { key_id, expected: Expected::Revision(Revision::new(revision)), events }
}

/// Sends an append again until its outcome is known, as commands do: on a busy machine a server may
/// answer late.
///
/// # Errors
/// As [`Journal::append`], but the error is not a passing one.
///
/// # Panics
/// If the outcome is not known within 60 s.
pub async fn settle(journal: &dyn Journal, append: Append) -> Result<Appended, AppendError> {
    let settling = async {
        loop {
            match journal.append(append.clone()).await {
                Err(error) if error.is_passing() => tokio::time::sleep(PAUSE).await,
                outcome => return outcome,
            }
        }
    };
    match tokio::time::timeout(OUTCOME, settling).await {
        Ok(outcome) => outcome,
        Err(_) => panic!("the outcome of an append is not known within {} s", OUTCOME.as_secs()),
    }
}

/// Appends the creation of a new key.
///
/// # Panics
/// If the append fails.
pub async fn create(journal: &dyn Journal) -> (KeyId, Appended) {
    let key_id = new_key();
    let appended = settle(journal, first(key_id, vec![created(key_id)])).await.unwrap();
    (key_id, appended)
}

/// Whether an event was recorded as it was appended.
#[must_use]
pub fn is_same(recorded: &RecordedEvent, new: &NewEvent) -> bool {
    (recorded.id, &recorded.event, &recorded.metadata) == (new.id, &new.event, &new.metadata)
}
