//! Follows a journal that is a table: pages of it, then what is told, or looked for.

use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use keyledger_domain::Delivery;
use keyledger_domain::{Position, RecordedEvent};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;

use super::news::{Hear, News};
use super::{ReadError, Subscription};

/// How many events are read at a time.
pub(super) const PAGE: usize = 1_000;

/// A table whose events can be read in order.
#[async_trait]
pub(super) trait Pages: Clone + Send + Sync + 'static {
    /// Up to [`PAGE`] events after a position: fewer only if the journal has no more.
    async fn page(&self, after: Position) -> Result<Vec<RecordedEvent>, ReadError>;
}

/// How a subscription that is level learns of new events.
pub(super) struct Live {
    /// By being told, if anyone tells it. When nobody ever will again, the subscription ends.
    pub(super) told: Option<Hear>,
    /// By looking this often, if it is to look at all.
    pub(super) poll: Option<Duration>,
}

type Page = JoinHandle<Result<Vec<RecordedEvent>, ReadError>>;

struct Follower<T> {
    table: T,
    after: Position,
    live: Live,
    phase: Phase,
}

enum Phase {
    /// Reading a page; the next one is fetched and decoded while this one is being used.
    CatchingUp(Page),
    Live,
    Ended,
}

/// Subscribes to all events after a position.
pub(super) fn subscribe(table: impl Pages, after: Position, live: Live) -> Subscription {
    let start = (table, after, live);
    // The first page is asked for when the stream is first polled, inside the runtime.
    stream::once(async move {
        let (table, after, live) = start;
        let phase = Phase::CatchingUp(fetch(&table, after));
        stream::unfold(Follower { table, after, live, phase }, Follower::next)
    })
    .flatten()
    .flat_map(stream::iter)
    .boxed()
}

fn fetch(table: &impl Pages, after: Position) -> Page {
    let table = table.clone();
    tokio::spawn(async move { table.page(after).await })
}

impl<T: Pages> Follower<T> {
    /// The next deliveries, and the follower after them.
    async fn next(mut self) -> Option<(Vec<Result<Delivery, ReadError>>, Self)> {
        loop {
            let deliveries = match std::mem::replace(&mut self.phase, Phase::Ended) {
                Phase::Ended => return None,
                Phase::CatchingUp(page) => match page.await {
                    Ok(Ok(events)) => self.caught(events),
                    Ok(Err(error)) => vec![Err(error)],
                    Err(failed) => vec![Err(ReadError::Unavailable(failed.into()))],
                },
                Phase::Live => self.news().await,
            };
            if !deliveries.is_empty() {
                return Some((deliveries, self));
            }
        }
    }

    /// Takes a page; a short one is the last.
    fn caught(&mut self, events: Vec<RecordedEvent>) -> Vec<Result<Delivery, ReadError>> {
        let level = events.len() < PAGE;
        let mut deliveries = self.deliver(events);
        if level {
            deliveries.push(Ok(Delivery::CaughtUp(self.after)));
            self.phase = Phase::Live;
        } else {
            self.phase = Phase::CatchingUp(fetch(&self.table, self.after));
        }
        deliveries
    }

    fn deliver(
        &mut self,
        events: impl IntoIterator<Item = RecordedEvent>,
    ) -> Vec<Result<Delivery, ReadError>> {
        let deliver = |event: RecordedEvent| {
            self.after = event.position;
            Ok(Delivery::Event(event))
        };
        events.into_iter().map(deliver).collect()
    }

    /// Waits for news; an empty answer means that the phase has changed.
    async fn news(&mut self) -> Vec<Result<Delivery, ReadError>> {
        let look = async {
            match self.live.poll {
                Some(interval) => tokio::time::sleep(interval).await,
                None => std::future::pending().await,
            }
        };
        let told = async {
            match &mut self.live.told {
                Some(told) => told.recv().await,
                None => std::future::pending().await,
            }
        };
        let told = tokio::select! {
            told = told => Some(told),
            () = look => None,
        };
        let fresh = match told {
            Some(Err(RecvError::Closed)) => return Vec::new(),
            None | Some(Err(RecvError::Lagged(_))) => None,
            Some(Ok(news)) => self.fresh(&news),
        };
        match fresh {
            Some(events) => {
                self.phase = Phase::Live;
                self.deliver(events)
            }
            None => {
                self.phase = Phase::CatchingUp(fetch(&self.table, self.after));
                Vec::new()
            }
        }
    }

    /// The events that follow on what was delivered, as far as these news tell; `None` if only the
    /// table can.
    fn fresh(&self, news: &News) -> Option<Vec<RecordedEvent>> {
        match news {
            News::Committed(committed) if committed.after <= self.after => {
                let fresh = committed.events.iter().filter(|event| event.position > self.after);
                Some(fresh.cloned().collect())
            }
            News::Head(head) if *head <= self.after => Some(Vec::new()),
            News::Committed(_) | News::Head(_) | News::Unknown => None,
        }
    }
}
