//! The keys that the former service calls by an id, so that a key is recognised whose hash it has computed anew.

use std::collections::HashMap;

use anyhow::Context;
use futures::StreamExt;
use keyledger_domain::key::{ImportKey, KeyEvent};
use keyledger_domain::{HashFunction, KeyDelivery, KeyId, Position, SourceId};
use keyledger_journal::JournalReader;

/// The keys that were imported with an id of the former service.
#[derive(Default)]
pub(super) struct KnownKeys(HashMap<SourceId, KnownKey>);

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
                        && let Some(source_id) = created.details.source_id
                    {
                        let (key_id, hash_function) =
                            (created.key_id, created.details.hash_function);
                        let key = KnownKey { key_id, hash_function, is_created: true };
                        known.0.insert(source_id, key);
                    }
                }
                KeyDelivery::Closed(_) => {}
                KeyDelivery::CaughtUp(_) => break,
            }
        }
        Ok(known)
    }

    /// Says under which id the key is known, if the former service has hashed it in another way since it was
    /// imported. Fails if its id at the former service is that of another key, or of another row of this file.
    pub(super) fn recognise(&mut self, import: &mut ImportKey) -> Result<(), OtherKey> {
        let Some(source_id) = import.details.source_id.clone() else { return Ok(()) };
        let (key_id, hash_function) = (import.key_id(), import.details.hash_function);
        let new = KnownKey { key_id, hash_function, is_created: false };
        let known = *self.0.entry(source_id).or_insert(new);
        if known.key_id == key_id {
            return Ok(());
        }
        if known.hash_function == hash_function || !known.is_created {
            return Err(OtherKey);
        }
        import.known_as = Some(known.key_id);
        Ok(())
    }
}

/// Another key has the same id at the former service.
pub(super) struct OtherKey;
