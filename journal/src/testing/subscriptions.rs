//! Ways to wait for deliveries of a subscription.

use std::time::Duration;

use futures::StreamExt;
use keyledger_domain::{ClosedKey, Delivery, KeyDelivery, Position, RecordedEvent};

use crate::{JournalReader, ReadError, Subscription};

/// How long a subscription may take for one delivery.
const DELIVERY: Duration = Duration::from_secs(60);

/// The next delivery of a subscription.
///
/// # Panics
/// If there is none within 60 s, or if the subscription fails or ends.
pub async fn next_delivery(subscription: &mut Subscription) -> Delivery {
    let next: Option<Result<Delivery, ReadError>> =
        match tokio::time::timeout(DELIVERY, subscription.next()).await {
            Ok(next) => next,
            Err(_) => panic!("the subscription delivers nothing within {} s", DELIVERY.as_secs()),
        };
    match next {
        Some(Ok(delivery)) => delivery,
        Some(Err(error)) => panic!("the subscription fails: {error:?}"),
        None => panic!("the subscription has ended"),
    }
}

/// The next event of a subscription; deliveries of [`Delivery::CaughtUp`] are skipped.
///
/// # Panics
/// As [`next_delivery`].
pub async fn next_event(subscription: &mut Subscription) -> RecordedEvent {
    loop {
        if let Delivery::Event(event) = next_delivery(subscription).await {
            return event;
        }
    }
}

/// Checks that of three events, the one at position 2 closes its key, and the two others are delivered; or
/// that the subscription fails there if the event `names_a_key` not. `what` was done to it.
///
/// # Panics
/// If that is not so.
pub async fn closes_one_key(journal: &dyn JournalReader, names_a_key: bool, what: &str) {
    let mut deliveries = journal.subscribe_to_keys(Position::START);
    let mut told = Vec::new();
    while let Ok(Some(delivery)) = tokio::time::timeout(DELIVERY, deliveries.next()).await {
        told.push(match delivery {
            Ok(KeyDelivery::Event(event)) => (event.position.as_u64(), "event"),
            Ok(KeyDelivery::Closed(ClosedKey { position, closure, .. })) => {
                (position.as_u64(), closure.name())
            }
            Ok(KeyDelivery::CaughtUp(_)) => break,
            Err(ReadError::Undecodable { position, .. }) => (position.as_u64(), "failure"),
            Err(error) => panic!("{what}: {error:?}"),
        });
    }
    let whole = [(1, "event"), (2, "unreadable"), (3, "event")];
    let expected = if names_a_key { whole.as_slice() } else { &[(2, "failure")] };
    assert!(told.ends_with(expected), "{what}: {told:?}");
}

/// All events up to the first [`Delivery::CaughtUp`], and its position.
///
/// # Panics
/// As [`next_delivery`].
pub async fn until_caught_up(subscription: &mut Subscription) -> (Vec<RecordedEvent>, Position) {
    let mut events = Vec::new();
    loop {
        match next_delivery(subscription).await {
            Delivery::Event(event) => events.push(event),
            Delivery::CaughtUp(position) => return (events, position),
        }
    }
}
