//! Reads the journal for auditors: its events in pages or as a stream, and the state of a key at an
//! earlier moment.

mod key_at;
mod page;

use std::sync::Arc;

use futures::{FutureExt, StreamExt, stream};
use keyledger_domain::{Delivery, EventFilter, Position};
use keyledger_journal::{JournalReader, ReadError, Subscription};

pub use key_at::{KeyAtError, key_at};
pub use page::{JournalPage, page};

/// The events after a position that may match a filter, in journal order, with
/// [`Delivery::CaughtUp`] after those that exist now. If the filter names a key, only that key's
/// stream is read, and the subscription ends with [`Delivery::CaughtUp`].
pub fn deliveries(
    journal: Arc<dyn JournalReader>,
    filter: &EventFilter,
    after: Position,
) -> Subscription {
    let Some(key_id) = filter.key_id else {
        return journal.subscribe(after);
    };
    let read = async move {
        match journal.read(key_id).await {
            Ok(events) => {
                let later = events.into_iter().filter(|event| event.position > after);
                let mut deliveries: Vec<_> = later.map(Delivery::Event).map(Ok).collect();
                deliveries.push(Ok(Delivery::CaughtUp(after)));
                deliveries
            }
            Err(error) => vec![Err(error)],
        }
    };
    read.into_stream().flat_map(stream::iter).boxed()
}

/// The error for a subscription that ended before it had delivered all events that were needed.
#[must_use]
pub fn broken_off() -> ReadError {
    ReadError::Unavailable("the subscription to the journal has ended".into())
}
