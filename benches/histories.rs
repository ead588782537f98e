//! Histories of keys, and ways to fill a journal with them.

use futures::StreamExt;
use keyledger_domain::Clock;
use keyledger_domain::key::{
    Command, CreateKey, DeleteKey, Key, KeyDetails, RevokeKey, decide, evolve,
};
use keyledger_domain::{
    CommandId, Email, HashFunction, KeyId, KeyName, KeyPrefix, Metadata, Secret, Timestamp, UserId,
};
use keyledger_journal::{Append, Expected, Journal, NewEvent};
use keyledger_node::clock::SystemClock;
use rand::rngs::StdRng;

/// The command that creates a key, and its secret.
pub(crate) fn new_key(
    owner: &str,
    email: &str,
    name: &str,
    random: &mut StdRng,
) -> (Secret, CreateKey) {
    let secret = Secret::generate(&KeyPrefix::parse("orag").unwrap(), random);
    let key_id = KeyId::generate(SystemClock.now(), random);
    let details = KeyDetails {
        owner: UserId::parse(owner).unwrap(),
        owner_email: Email::parse(email),
        name: KeyName::parse(name).unwrap(),
        prefix: secret.display_prefix(),
        hash: secret.hash(),
        expires_at: None,
        hash_function: HashFunction::Sha256,
        source_id: None,
    };
    (secret, CreateKey { key_id, details })
}

/// The events of a key: created (`age` 0), also revoked (1), also deleted (2).
pub(crate) fn life(create: CreateKey, age: usize, now: Timestamp, random: &mut StdRng) -> Append {
    let (key_id, by) = (create.key_id, create.details.owner.clone());
    let commands = [
        Command::Create(create),
        Command::Revoke(RevokeKey { key_id, by: by.clone(), reason: None }),
        Command::Delete(DeleteKey { key_id, by: by.clone(), reason: None }),
    ];
    let command_id = CommandId::generate(random);
    let metadata = Metadata {
        actor: by,
        correlation_id: command_id.as_uuid().to_string(),
        causation_id: command_id.as_uuid(),
        traceparent: None,
        client: Some("bench/1.0".to_owned()),
    };
    let mut key: Option<Key> = None;
    let mut events = Vec::new();
    for (index, command) in commands.iter().take(age + 1).enumerate() {
        for event in decide(key.as_ref(), command, now).unwrap() {
            key = Some(evolve(key, &event).unwrap());
            let id = command_id.event_id(index);
            events.push(NewEvent { id, event, metadata: metadata.clone() });
        }
    }
    Append { key_id, expected: Expected::NoStream, events }
}

/// Appends all of them, many at once.
pub(crate) async fn append_all(journal: &dyn Journal, appends: impl Iterator<Item = Append>) {
    futures::stream::iter(appends.map(|append| journal.append(append)))
        .buffer_unordered(1_000)
        .for_each(async |outcome| assert!(outcome.is_ok()))
        .await;
}
