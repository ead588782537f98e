//! The port: what the service needs of a journal.

use async_trait::async_trait;
use futures::stream::BoxStream;
use keyledger_domain::{Delivery, KeyId, Place, Position, RecordedEvent};

use crate::{Append, AppendError, Appended, CloseError, ReadError};

/// The events of a subscription, in journal order. The stream ends after its first error.
pub type Subscription = BoxStream<'static, Result<Delivery, ReadError>>;

/// Reads events.
#[async_trait]
pub trait JournalReader: std::fmt::Debug + Send + Sync + 'static {
    /// All events of a key, oldest first. A key that was never created has none.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] and [`ReadError::Undecodable`].
    async fn read(&self, key_id: KeyId) -> Result<Vec<RecordedEvent>, ReadError>;

    /// All events after a position, in journal order and each exactly once: first the events that
    /// exist, then [`Delivery::CaughtUp`], then new events as they are appended. The stream ends after
    /// an error; the caller then subscribes again, from the last position that it received.
    fn subscribe(&self, after: Position) -> Subscription;

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

    /// Whether operators can delete all events of a key from the journal's database by its own means,
    /// so that a key whose events were published may have none.
    fn may_forget_keys(&self) -> bool;
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

    /// Writes something that is no part of the history, as durably as an append, to learn whether an
    /// append would be written now.
    ///
    /// # Errors
    /// [`AppendError::Unavailable`] and [`AppendError::Ambiguous`].
    async fn probe(&self) -> Result<(), AppendError> {
        let written = self.head().await;
        written.map(drop).map_err(|error| AppendError::Unavailable(error.into()))
    }

    /// Writes the appends that wait, and closes the connections. A journal in a file is then complete
    /// without any other file. Afterwards nothing may be read or appended.
    ///
    /// # Errors
    /// [`CloseError`], if the file is not complete.
    async fn close(&self) -> Result<(), CloseError> {
        Ok(())
    }
}
