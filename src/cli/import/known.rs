//! The keys that the former service calls by an id, so that a key is recognised whose hash it has computed anew.

use std::collections::HashMap;

use anyhow::Context;
use futures::StreamExt;
use keyledger_domain::key::{ImportKey, KeyEvent};
use keyledger_domain::{HashFunction, KeyDelivery, KeyId, Position, SourceId};
use keyledger_journal::JournalReader;

/// The keys that were imported with an id of the former service.
#[derive(Default)]
pub(super) struct KnownKeys(HashMap<SourceId, (KeyId, HashFunction)>);

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
                        let key = (created.key_id, created.details.hash_function);
                        known.0.insert(source_id, key);
                    }
                }
                KeyDelivery::Closed(_) => {}
                KeyDelivery::CaughtUp(_) => break,
            }
        }
        Ok(known)
    }

    /// Says under which id the key is known, if the former service has hashed it in another way since. Fails
    /// if its id at the former service is that of another key.
    pub(super) fn recognise(&mut self, import: &mut ImportKey) -> Result<(), OtherKey> {
        let Some(source_id) = import.details.source_id.clone() else { return Ok(()) };
        let new = (import.key_id(), import.details.hash_function);
        let (key_id, hash_function) = *self.0.entry(source_id).or_insert(new);
        if key_id == import.key_id() {
            return Ok(());
        }
        if hash_function == import.details.hash_function {
            return Err(OtherKey);
        }
        import.known_as = Some(key_id);
        Ok(())
    }
}

/// Another key has the same id at the former service.
pub(super) struct OtherKey;
