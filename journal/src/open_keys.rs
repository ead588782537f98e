//! A journal without the keys that are closed in it.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use keyledger_domain::{
    Closure, InstallationSecret, KeyDelivery, KeyId, Place, Position, RecordedEvent,
};

use crate::{JournalReader, KeySubscription, ReadError};

/// The events of all keys that are not closed. A copy of them has no closed key: elsewhere nobody would know
/// that it is closed, and it would be in use again.
#[derive(Clone, Debug)]
pub struct OpenKeys {
    journal: Arc<dyn JournalReader>,
    closed: Arc<BTreeMap<KeyId, Closure>>,
}

impl OpenKeys {
    /// Reads the whole journal to find the closed keys. Later closures are not noticed.
    ///
    /// # Errors
    /// Every error of a subscription to all events.
    pub async fn of(journal: Arc<dyn JournalReader>) -> Result<Self, ReadError> {
        let mut closed = BTreeMap::new();
        let mut deliveries = journal.subscribe_to_keys(Position::START);
        loop {
            match deliveries.next().await {
                Some(Ok(KeyDelivery::Event(_))) => {}
                Some(Ok(KeyDelivery::Closed(key))) => match key.closure {
                    Closure::Unreadable(why) => {
                        return Err(ReadError::Undecodable { position: key.position, why });
                    }
                    closure @ (Closure::Removed | Closure::Foreign(_)) => {
                        closed.insert(key.key_id, closure);
                    }
                },
                Some(Ok(KeyDelivery::CaughtUp(_))) => break,
                Some(Err(error)) => return Err(error),
                None => return Err(ReadError::Unavailable("the subscription has ended".into())),
            }
        }
        Ok(Self { journal, closed: Arc::new(closed) })
    }

    /// The keys that are left out.
    #[must_use]
    pub fn closed(&self) -> &BTreeMap<KeyId, Closure> {
        &self.closed
    }
}

#[async_trait]
impl JournalReader for OpenKeys {
    async fn read(&self, key_id: KeyId) -> Result<Vec<RecordedEvent>, ReadError> {
        match self.closed.get(&key_id) {
            Some(closure) => Err(ReadError::Closed(closure.clone())),
            None => self.journal.read(key_id).await,
        }
    }

    fn subscribe_to_keys(&self, after: Position) -> KeySubscription {
        let closed = self.closed.clone();
        let is_open = move |delivery: &Result<KeyDelivery, ReadError>| {
            ready(match delivery {
                Ok(KeyDelivery::Event(event)) => !closed.contains_key(&event.event.key_id()),
                Ok(KeyDelivery::Closed(_) | KeyDelivery::CaughtUp(_)) | Err(_) => true,
            })
        };
        self.journal.subscribe_to_keys(after).filter(is_open).boxed()
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.journal.head().await
    }

    async fn holds(&self, place: Place) -> Result<Option<bool>, ReadError> {
        self.journal.holds(place).await
    }

    async fn installation_secret(&self) -> Result<Option<InstallationSecret>, ReadError> {
        self.journal.installation_secret().await
    }
}
