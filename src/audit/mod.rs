//! Reads the journal for auditors: the events in order, in pages or as they come, and what a key
//! was at a moment.

mod key_at;
mod page;

use futures::{FutureExt, StreamExt, stream};
use keyledger_domain::Delivery;
use keyledger_domain::{EventFilter, Position};

pub use key_at::{KeyAtError, key_at};
use keyledger_journal::{JournalReader, ReadError, Subscription};
pub use page::{Page, page};

/// All events after a position that a filter may fit, in journal order, and a caught-up mark after
/// those that are there now. The events of one key are read from its own stream, and end with the
/// mark.
pub fn deliveries(
    journal: std::sync::Arc<dyn JournalReader>,
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

/// The error of a subscription that ended before its reader had all that it was promised.
#[must_use]
pub fn broken_off() -> ReadError {
    ReadError::Unavailable("the subscription to the journal has ended".into())
}
