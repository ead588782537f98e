//! The port: what the service needs of a journal.

use std::future::ready;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use keyledger_domain::{
    ClosedKey, Closure, Delivery, InstallationSecret, KeyDelivery, KeyId, Place, Position,
    RecordedEvent,
};

use crate::{Append, AppendError, Appended, CloseError, ReadError};

/// The events of a subscription, in journal order. The stream ends after its first error.
pub type Subscription = BoxStream<'static, Result<Delivery, ReadError>>;

/// The events of a subscription for those who keep the state of keys, in journal order. The stream ends
/// after its first error.
pub type KeySubscription = BoxStream<'static, Result<KeyDelivery, ReadError>>;

/// Reads events.
#[async_trait]
pub trait JournalReader: std::fmt::Debug + Send + Sync + 'static {
    /// All events of a key, oldest first. A key that was never created has none.
    ///
    /// # Errors
    /// Every variant of [`ReadError`].
    async fn read(&self, key_id: KeyId) -> Result<Vec<RecordedEvent>, ReadError>;

    /// All events after a position, in journal order and each exactly once: first the events that
    /// exist, then [`Delivery::CaughtUp`], then new events as they are appended. The stream ends after
    /// an error; the caller then subscribes again, from the last position that it received. An event that
    /// cannot be read is an error; what other programs have written is left out.
    fn subscribe(&self, after: Position) -> Subscription {
        let deliveries =
            self.subscribe_to_keys(after).filter_map(|delivery| ready(whole(delivery)));
        let until_error = deliveries.scan(false, |has_failed, delivery| {
            let is_over = std::mem::replace(has_failed, delivery.is_err());
            ready((!is_over).then_some(delivery))
        });
        until_error.boxed()
    }

    /// As [`JournalReader::subscribe`], but one key never ends the subscription for the others: a key whose
    /// events were removed, or cannot be read, is delivered as closed.
    fn subscribe_to_keys(&self, after: Position) -> KeySubscription;

    /// The journal's head: the position of its last event. The answer is the head at the time of the
    /// call, or a later one, so every event that was appended before the call is at or before it.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`].
    async fn head(&self) -> Result<Position, ReadError>;

    /// Whether the journal has this event at this position; `None` if it cannot tell, because the
    /// database has removed old records. A place that was read from the journal and is not there any
    /// more tells that the journal's past has changed, as by a restored backup or a failover to a
    /// standby that was behind.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`].
    async fn holds(&self, place: Place) -> Result<Option<bool>, ReadError>;

    /// The secret of the installation whose journal this is; `None` before
    /// [`Journal::keep_installation_secret`].
    ///
    /// # Errors
    /// [`ReadError::Unavailable`].
    async fn installation_secret(&self) -> Result<Option<InstallationSecret>, ReadError>;
}

/// Reads and appends events.
#[async_trait]
pub trait Journal: JournalReader {
    /// Appends events to a key's stream: all of them or none, and durably, so that they survive a
    /// crash once this has returned. The same events may be sent again with the same expectation:
    /// they are written once, and the first outcome is returned again.
    ///
    /// # Errors
    /// Every variant of [`AppendError`].
    async fn append(&self, append: Append) -> Result<Appended, AppendError>;

    /// Appends to several streams, to each at most once and at most 256 events in all, in this order.
    /// After a failure that is passing, the journal has none of them that comes after one that it does
    /// not have. The same appends may be sent again, as with [`Journal::append`].
    ///
    /// # Errors
    /// The first failure, in the order of the appends: every variant of [`AppendError`].
    async fn append_in_order(&self, appends: Vec<Append>) -> Result<Vec<Appended>, AppendError> {
        let mut appended = Vec::with_capacity(appends.len());
        for append in appends {
            appended.push(self.append(append).await?);
        }
        Ok(appended)
    }

    /// Writes something that is no part of the history, as durably as an append, to learn whether an
    /// append would be written now.
    ///
    /// # Errors
    /// [`AppendError::Unavailable`] and [`AppendError::Ambiguous`].
    async fn probe(&self) -> Result<(), AppendError> {
        let written = self.head().await;
        written.map(drop).map_err(|error| AppendError::Unavailable(error.into()))
    }

    /// Keeps this secret of the installation, unless the journal has one already. Returns the one that it
    /// has then: of several processes that call this at the same time, all get the same.
    ///
    /// # Errors
    /// [`AppendError::Unavailable`] and [`AppendError::Ambiguous`].
    async fn keep_installation_secret(
        &self,
        secret: InstallationSecret,
    ) -> Result<InstallationSecret, AppendError>;

    /// Writes the appends that wait, and closes the connections. A journal in a file is then complete
    /// without any other file. Afterwards nothing may be read or appended.
    ///
    /// # Errors
    /// [`CloseError`], if the file is not complete.
    async fn close(&self) -> Result<(), CloseError> {
        Ok(())
    }
}

/// What a subscription to all events delivers for a delivery of one to keys.
fn whole(delivery: Result<KeyDelivery, ReadError>) -> Option<Result<Delivery, ReadError>> {
    match delivery {
        Ok(KeyDelivery::Event(event)) => Some(Ok(Delivery::Event(event))),
        Ok(KeyDelivery::CaughtUp(position)) => Some(Ok(Delivery::CaughtUp(position))),
        Ok(KeyDelivery::Closed(ClosedKey { position, closure, .. })) => match closure {
            Closure::Unreadable(why) => Some(Err(ReadError::Undecodable { position, why })),
            Closure::Removed | Closure::Foreign(_) => None,
        },
        Err(error) => Some(Err(error)),
    }
}
