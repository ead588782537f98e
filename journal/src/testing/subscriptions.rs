//! Ways to wait for deliveries of a subscription.

use std::time::Duration;

use futures::StreamExt;
use keyledger_domain::{Delivery, Position, RecordedEvent};

use crate::{ReadError, Subscription};

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
