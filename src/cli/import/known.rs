//! The keys that the former service calls by an id, so that a key is recognised whose hash it has computed anew.

use std::collections::HashMap;

use anyhow::Context;
use futures::StreamExt;
use keyledger_domain::key::{ImportKey, KeyDetails, KeyEvent};
use keyledger_domain::{HashFunction, KeyDelivery, KeyId, Position, SourceId, Timestamp, UserId};
use keyledger_journal::JournalReader;

/// The keys that were imported with an id of the former service.
#[derive(Default)]
pub(super) struct KnownKeys(HashMap<Called, KnownKey>);

/// What a former service calls a key, and what it says of its beginning: services that number their keys use the
/// same ids.
#[derive(PartialEq, Eq, Hash)]
struct Called {
    source_id: SourceId,
    owner: UserId,
    created_at: Timestamp,
}

impl Called {
    fn of(details: &KeyDetails, created_at: Timestamp) -> Option<Self> {
        let source_id = details.source_id.clone()?;
        Some(Self { source_id, owner: details.owner.clone(), created_at })
    }
}

#[derive(Clone, Copy)]
struct KnownKey {
    key_id: KeyId,
    hash_function: HashFunction,
    /// Whether an earlier import has created it. Rows of one file are imported side by side, so a key of an
    /// earlier row may not be there yet.
    is_created: bool,
}

impl KnownKeys {
    /// Reads the whole journal.
    pub(super) async fn read(journal: &dyn JournalReader) -> anyhow::Result<Self> {
        let mut known = Self::default();
        let mut events = journal.subscribe_to_keys(Position::START);
        while let Some(delivery) = events.next().await {
            match delivery.context("the journal cannot be read")? {
                KeyDelivery::Event(event) => {
                    if let KeyEvent::Created(created) = event.event
                        && let Some(called) = Called::of(&created.details, created.occurred_at)
                    {
                        let (key_id, hash_function) =
                            (created.key_id, created.details.hash_function);
                        let key = KnownKey { key_id, hash_function, is_created: true };
                        known.0.insert(called, key);
                    }
                }
                KeyDelivery::Closed(_) => {}
                KeyDelivery::CaughtUp(_) => break,
            }
        }
        Ok(known)
    }

    /// The id under which the key is known here, if the former service has hashed it in another way since it was
    /// imported. Fails if it calls another key the same, or another row of this file.
    pub(super) fn find(&self, import: &ImportKey) -> Result<Option<KeyId>, OtherKey> {
        let called = Called::of(&import.details, import.created_at);
        let known = called.and_then(|called| self.0.get(&called));
        match known.filter(|known| known.key_id != import.key_id()) {
            None => Ok(None),
            Some(known) => {
                let is_hashed_anew = known.hash_function != import.details.hash_function;
                let is_it = is_hashed_anew && known.is_created;
                if is_it { Ok(Some(known.key_id)) } else { Err(OtherKey) }
            }
        }
    }

    /// Adds the key of a row, unless it is known.
    pub(super) fn add(&mut self, import: &ImportKey) {
        let (key_id, hash_function) = (import.key_id(), import.details.hash_function);
        if let Some(called) = Called::of(&import.details, import.created_at) {
            let new = KnownKey { key_id, hash_function, is_created: false };
            self.0.entry(called).or_insert(new);
        }
    }
}

/// Another key has the same id at the former service.
pub(super) struct OtherKey;
