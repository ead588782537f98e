//! What a subscription to the journal delivers, and how deliveries are gathered into batches.

use crate::{Position, RecordedEvent};

/// One item of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly every delivery is an event")]
pub enum Delivery {
    /// The next event in journal order.
    Event(RecordedEvent),
    /// Every event up to this position has been delivered, and this position was the journal's
    /// head at some moment after the subscription began.
    CaughtUp(Position),
}

/// Deliveries that were ready at the same time, to be applied together.
#[derive(Debug)]
pub struct Batch<E> {
    /// The events, in journal order.
    pub events: Vec<RecordedEvent>,
    /// The position of the last caught-up mark, if the batch has one.
    pub caught_up: Option<Position>,
    /// The error that ended the subscription, if it ended. The events came before it.
    pub failure: Option<E>,
}

impl<E> Batch<E> {
    /// Sorts deliveries into events, caught-up mark and failure.
    pub fn gather(deliveries: impl IntoIterator<Item = Result<Delivery, E>>) -> Self {
        let deliveries = deliveries.into_iter();
        let events = Vec::with_capacity(deliveries.size_hint().0);
        let mut batch = Self { events, caught_up: None, failure: None };
        for delivery in deliveries {
            match delivery {
                Ok(Delivery::Event(event)) => batch.events.push(event),
                Ok(Delivery::CaughtUp(position)) => batch.caught_up = Some(position),
                Err(error) => batch.failure = Some(error),
            }
        }
        batch
    }

    /// The position that a reader at `from` has reached once it has applied this batch: that of the
    /// last event or of the caught-up mark, and never less than `from`.
    #[must_use]
    pub fn reaches(&self, from: Position) -> Position {
        let last = self.events.last().map(|last| last.position);
        from.max(last.unwrap_or_default()).max(self.caught_up.unwrap_or_default())
    }
}
