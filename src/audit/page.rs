//! Events in pages.

use futures::StreamExt;
use keyledger_domain::Delivery;
use keyledger_domain::{EventFilter, Position, RecordedEvent};

use super::broken_off;
use keyledger_journal::{ReadError, Subscription};

/// A page of events.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// In journal order.
    pub events: Vec<RecordedEvent>,
    /// The position after which the next page begins; `None` if there is nothing more.
    pub next_after: Option<Position>,
}

/// The next events that a filter fits, `limit` at most. Where few events fit, the page ends once so
/// many have been looked through, so that each page takes a bounded time.
///
/// # Errors
/// As the deliveries, and [`ReadError::Unavailable`] when they end before their caught-up mark.
pub async fn page(
    mut deliveries: Subscription,
    filter: &EventFilter,
    limit: usize,
    look_through: usize,
) -> Result<Page, ReadError> {
    let mut events: Vec<RecordedEvent> = Vec::new();
    let mut seen = 0_usize;
    while let Some(delivery) = deliveries.next().await {
        let event = match delivery? {
            Delivery::CaughtUp(_) => return Ok(Page { events, next_after: None }),
            Delivery::Event(event) => event,
        };
        let position = event.position;
        if filter.fits(&event) {
            if events.len() == limit {
                let next_after = events.last().map(|last| last.position);
                return Ok(Page { events, next_after });
            }
            events.push(event);
        }
        seen += 1;
        if seen == look_through {
            return Ok(Page { events, next_after: Some(position) });
        }
    }
    Err(broken_off())
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use keyledger_domain::{EventId, Revision, decode};

    use super::*;

    /// Creations at these positions.
    fn events(positions: impl IntoIterator<Item = u64>) -> Vec<RecordedEvent> {
        let stored: serde_json::Value =
            serde_json::from_str(include_str!("../../domain/golden/key_created.v1.json")).unwrap();
        let part = |name: &str| stored[name].to_string().into_bytes();
        let (event, metadata) = decode("KeyCreated", &part("data"), &part("metadata")).unwrap();
        let at = |position: u64| RecordedEvent {
            position: position.try_into().unwrap(),
            revision: Revision::FIRST,
            id: EventId::from_uuid(uuid::Uuid::nil()),
            event: event.clone(),
            metadata: metadata.clone(),
        };
        positions.into_iter().map(at).collect()
    }

    fn deliveries(positions: impl IntoIterator<Item = u64>) -> Vec<Result<Delivery, ReadError>> {
        events(positions).into_iter().map(Delivery::Event).map(Ok).collect()
    }

    fn level() -> Result<Delivery, ReadError> {
        Ok(Delivery::CaughtUp(Position::START))
    }

    async fn cut(
        deliveries: Vec<Result<Delivery, ReadError>>,
        limit: usize,
        look_through: usize,
        filter: EventFilter,
    ) -> Result<(Vec<u64>, Option<u64>), ReadError> {
        let page = page(stream::iter(deliveries).boxed(), &filter, limit, look_through).await?;
        let positions = page.events.iter().map(|event| event.position.as_u64()).collect();
        Ok((positions, page.next_after.map(Position::as_u64)))
    }

    fn all() -> EventFilter {
        EventFilter::default()
    }

    #[tokio::test]
    async fn a_page_is_followed_by_another_only_if_there_is_more() {
        let three = || deliveries([1, 4, 9]).into_iter().chain([level()]).collect();
        assert_eq!(cut(three(), 2, 99, all()).await.unwrap(), (vec![1, 4], Some(4)));
        assert_eq!(cut(three(), 3, 99, all()).await.unwrap(), (vec![1, 4, 9], None));
        assert_eq!(cut(vec![level()], 3, 99, all()).await.unwrap(), (vec![], None));
    }

    #[tokio::test]
    async fn where_nothing_fits_a_page_ends_after_so_many_events() {
        let none = EventFilter { types: vec!["KeyDeleted"], ..all() };
        assert_eq!(cut(deliveries([1, 4, 9]), 5, 2, none).await.unwrap(), (vec![], Some(4)));
        assert_eq!(cut(deliveries([1, 4, 9]), 5, 2, all()).await.unwrap(), (vec![1, 4], Some(4)));
    }

    #[tokio::test]
    async fn a_subscription_that_ends_early_makes_no_page() {
        assert!(cut(deliveries([1, 4]), 5, 99, all()).await.is_err());
        let failing = vec![Err(broken_off())];
        assert!(cut(failing, 5, 99, all()).await.is_err());
    }
}
