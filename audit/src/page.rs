//! Reads the journal's events in pages.

use futures::StreamExt;
use keyledger_domain::{Delivery, EventFilter, Position, RecordedEvent};
use keyledger_journal::{ReadError, Subscription};

use crate::broken_off;

/// A page of events.
#[derive(Debug, PartialEq, Eq)]
pub struct JournalPage {
    /// The events, in journal order.
    pub events: Vec<RecordedEvent>,
    /// The position after which the next page begins; `None` if this is the last page.
    pub next_after: Option<Position>,
}

/// Reads the next events that match a filter, at most `limit`. A page also ends after `scan_limit`
/// events, matching or not, so that the time for a page is bounded.
///
/// # Errors
/// The error of a delivery, and [`ReadError::Unavailable`] if the deliveries end before
/// [`Delivery::CaughtUp`].
pub async fn page(
    mut deliveries: Subscription,
    filter: &EventFilter,
    limit: usize,
    scan_limit: usize,
) -> Result<JournalPage, ReadError> {
    let mut events: Vec<RecordedEvent> = Vec::new();
    let mut scanned = 0_usize;
    while let Some(delivery) = deliveries.next().await {
        let event = match delivery? {
            Delivery::CaughtUp(_) => return Ok(JournalPage { events, next_after: None }),
            Delivery::Event(event) => event,
        };
        let position = event.position;
        if filter.fits(&event) {
            if events.len() == limit {
                let next_after = events.last().map(|last| last.position);
                return Ok(JournalPage { events, next_after });
            }
            events.push(event);
        }
        scanned += 1;
        if scanned == scan_limit {
            return Ok(JournalPage { events, next_after: Some(position) });
        }
    }
    Err(broken_off())
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use keyledger_domain::Revision;
    use keyledger_journal::testing::{created, new_key};

    use super::*;

    /// Creations of keys, at these positions.
    fn events(positions: impl IntoIterator<Item = u64>) -> Vec<RecordedEvent> {
        let new = created(new_key());
        let at = |position: u64| RecordedEvent {
            position: position.try_into().unwrap(),
            revision: Revision::FIRST,
            id: new.id,
            event: new.event.clone(),
            metadata: new.metadata.clone(),
        };
        positions.into_iter().map(at).collect()
    }

    fn deliveries(positions: impl IntoIterator<Item = u64>) -> Vec<Result<Delivery, ReadError>> {
        events(positions).into_iter().map(Delivery::Event).map(Ok).collect()
    }

    fn caught_up() -> Result<Delivery, ReadError> {
        Ok(Delivery::CaughtUp(Position::START))
    }

    async fn cut(
        deliveries: Vec<Result<Delivery, ReadError>>,
        limit: usize,
        scan_limit: usize,
        filter: EventFilter,
    ) -> Result<(Vec<u64>, Option<u64>), ReadError> {
        let page = page(stream::iter(deliveries).boxed(), &filter, limit, scan_limit).await?;
        let positions = page.events.iter().map(|event| event.position.as_u64()).collect();
        Ok((positions, page.next_after.map(Position::as_u64)))
    }

    fn all() -> EventFilter {
        EventFilter::default()
    }

    #[keyledger_bounded::test]
    async fn a_page_is_followed_by_another_only_if_there_is_more() {
        let three = || deliveries([1, 4, 9]).into_iter().chain([caught_up()]).collect();
        assert_eq!(cut(three(), 2, 99, all()).await.unwrap(), (vec![1, 4], Some(4)));
        assert_eq!(cut(three(), 3, 99, all()).await.unwrap(), (vec![1, 4, 9], None));
        assert_eq!(cut(vec![caught_up()], 3, 99, all()).await.unwrap(), (vec![], None));
    }

    #[keyledger_bounded::test]
    async fn where_nothing_fits_a_page_ends_after_so_many_events() {
        let none = EventFilter { types: vec!["KeyDeleted"], ..all() };
        assert_eq!(cut(deliveries([1, 4, 9]), 5, 2, none).await.unwrap(), (vec![], Some(4)));
        assert_eq!(cut(deliveries([1, 4, 9]), 5, 2, all()).await.unwrap(), (vec![1, 4], Some(4)));
    }

    #[keyledger_bounded::test]
    async fn a_subscription_that_ends_early_makes_no_page() {
        assert!(cut(deliveries([1, 4]), 5, 99, all()).await.is_err());
        let failing = vec![Err(broken_off())];
        assert!(cut(failing, 5, 99, all()).await.is_err());
    }
}
