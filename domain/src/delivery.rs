//! What a subscription to the journal delivers, and how deliveries are gathered into batches.

use std::fmt;

use crate::{KeyId, Position, RecordedEvent};

/// One item of a subscription to all events.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly every delivery is an event")]
pub enum Delivery {
    /// The next event in journal order.
    Event(RecordedEvent),
    /// Every event up to this position has been delivered, and this position was the journal's
    /// head at some moment after the subscription began.
    CaughtUp(Position),
}

/// One item of a subscription for those who keep the state of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly every delivery is an event")]
pub enum KeyDelivery {
    /// The next event in journal order.
    Event(RecordedEvent),
    /// A key is closed.
    Closed(ClosedKey),
    /// As [`Delivery::CaughtUp`].
    CaughtUp(Position),
}

impl KeyDelivery {
    /// The position of the event, of what closed the key, or of the caught-up mark.
    #[must_use]
    pub fn position(&self) -> Position {
        match self {
            Self::Event(event) => event.position,
            Self::Closed(key) => key.position,
            Self::CaughtUp(position) => *position,
        }
    }
}

impl From<Delivery> for KeyDelivery {
    fn from(delivery: Delivery) -> Self {
        match delivery {
            Delivery::Event(event) => Self::Event(event),
            Delivery::CaughtUp(position) => Self::CaughtUp(position),
        }
    }
}

/// A key whose state the journal can no longer tell. It is refused from this position on, for good:
/// whatever else the journal has of it does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedKey {
    /// The id of the key.
    pub key_id: KeyId,
    /// The position of what closed it. Events of the key at this position or after it do not count.
    pub position: Position,
    /// Why it is closed.
    pub closure: Closure,
}

/// Why a key is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closure {
    /// An operator has deleted the key's stream, or its first events, by the means of the journal's
    /// database.
    Removed,
    /// Another program has written to the key's stream. The text says what.
    Foreign(String),
    /// An event of the key cannot be read: it is damaged, or a newer version of this program has
    /// written it. The text says what is wrong with it.
    Unreadable(String),
}

impl Closure {
    /// The name that programs see: `removed`, `foreign` or `unreadable`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Foreign(_) => "foreign",
            Self::Unreadable(_) => "unreadable",
        }
    }
}

impl fmt::Display for Closure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removed => f.write_str("its stream was deleted from the journal's database"),
            Self::Foreign(what) => write!(f, "another program has written to its stream: {what}"),
            Self::Unreadable(why) => write!(f, "an event of it cannot be read: {why}"),
        }
    }
}

/// Deliveries that were ready at the same time, to be applied together.
#[derive(Debug)]
pub struct Batch<E> {
    /// The events, in journal order.
    pub events: Vec<RecordedEvent>,
    /// The keys that were closed, in journal order.
    pub closed: Vec<ClosedKey>,
    /// The position of the last caught-up mark, if the batch has one.
    pub caught_up: Option<Position>,
    /// The error that ended the subscription, if it ended. The events came before it.
    pub failure: Option<E>,
}

impl<E> Batch<E> {
    /// Sorts deliveries into events, closed keys, caught-up mark and failure.
    pub fn gather<D: Into<KeyDelivery>>(
        deliveries: impl IntoIterator<Item = Result<D, E>>,
    ) -> Self {
        let deliveries = deliveries.into_iter();
        let events = Vec::with_capacity(deliveries.size_hint().0);
        let mut batch = Self { events, closed: Vec::new(), caught_up: None, failure: None };
        for delivery in deliveries {
            match delivery.map(Into::into) {
                Ok(KeyDelivery::Event(event)) => batch.events.push(event),
                Ok(KeyDelivery::Closed(key)) => batch.closed.push(key),
                Ok(KeyDelivery::CaughtUp(position)) => batch.caught_up = Some(position),
                Err(error) => batch.failure = Some(error),
            }
        }
        batch
    }

    /// The position that a reader at `from` has reached once it has applied this batch: that of the
    /// last event, of the last closed key or of the caught-up mark, and never less than `from`.
    #[must_use]
    pub fn reaches(&self, from: Position) -> Position {
        let event = self.events.last().map(|last| last.position);
        let closed = self.closed.last().map(|last| last.position);
        let last = event.max(closed).max(self.caught_up);
        from.max(last.unwrap_or_default())
    }
}
