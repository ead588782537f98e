//! A subscription to a table of events: it reads pages until it has caught up, and then waits for
//! notices, or looks for new rows at intervals.

use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use keyledger_domain::{KeyDelivery, Position, RecordedEvent};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;

use super::notice::{Notice, NoticeReceiver};
use crate::{KeySubscription, ReadError};

/// How many events a page has.
pub(crate) const PAGE: usize = 1_000;

/// A table whose events can be read in order.
#[async_trait]
pub(crate) trait Pages: Clone + Send + Sync + 'static {
    /// Up to [`PAGE`] events after a position, or the keys that are closed because of them: fewer only if
    /// the journal has no more.
    async fn page(&self, after: Position) -> Result<Vec<KeyDelivery>, ReadError>;
}

/// How a subscription that has caught up learns of new events.
pub(crate) struct Live {
    /// By notices, if the process has them. The subscription ends when their sender is dropped.
    pub(crate) notices: Option<NoticeReceiver>,
    /// By reading the table at this interval, if at all.
    pub(crate) poll: Option<Duration>,
}

/// Subscribes to all events after a position.
pub(crate) fn subscribe(table: impl Pages, after: Position, live: Live) -> KeySubscription {
    let start = (table, after, live);
    // Fetching starts a task, which needs the runtime: so only when the stream is first polled.
    stream::once(async move {
        let (table, after, live) = start;
        let phase = Phase::CatchingUp(fetch(&table, after));
        stream::unfold(TableSubscription { table, after, live, phase }, TableSubscription::next)
    })
    .flatten()
    .flat_map(stream::iter)
    .boxed()
}

type Page = JoinHandle<Result<Vec<KeyDelivery>, ReadError>>;

fn fetch(table: &impl Pages, after: Position) -> Page {
    let table = table.clone();
    tokio::spawn(async move { table.page(after).await })
}

struct TableSubscription<T> {
    table: T,
    /// The position of the last event that was delivered.
    after: Position,
    live: Live,
    phase: Phase,
}

enum Phase {
    /// Waits for a page. It is fetched and decoded while the caller uses the one before it.
    CatchingUp(Page),
    /// Has caught up, and waits for new events.
    Live,
    Ended,
}

impl<T: Pages> TableSubscription<T> {
    /// The next deliveries, and the subscription after them.
    async fn next(mut self) -> Option<(Vec<Result<KeyDelivery, ReadError>>, Self)> {
        loop {
            // Any error below leaves the phase at `Ended`.
            let deliveries = match std::mem::replace(&mut self.phase, Phase::Ended) {
                Phase::Ended => return None,
                Phase::CatchingUp(page) => match page.await {
                    Ok(Ok(page)) => self.take_page(page),
                    Ok(Err(error)) => vec![Err(error)],
                    Err(failed) => vec![Err(ReadError::Unavailable(failed.into()))],
                },
                Phase::Live => self.wait().await,
            };
            if !deliveries.is_empty() {
                return Some((deliveries, self));
            }
        }
    }

    /// Delivers a page. One that is not full is the last.
    fn take_page(&mut self, page: Vec<KeyDelivery>) -> Vec<Result<KeyDelivery, ReadError>> {
        let is_last = page.len() < PAGE;
        let mut deliveries = self.deliver(page);
        if is_last {
            deliveries.push(Ok(KeyDelivery::CaughtUp(self.after)));
            self.phase = Phase::Live;
        } else {
            self.phase = Phase::CatchingUp(fetch(&self.table, self.after));
        }
        deliveries
    }

    fn deliver(
        &mut self,
        new: impl IntoIterator<Item = KeyDelivery>,
    ) -> Vec<Result<KeyDelivery, ReadError>> {
        let deliver = |delivery: KeyDelivery| {
            self.after = delivery.position();
            Ok(delivery)
        };
        new.into_iter().map(deliver).collect()
    }

    /// Waits for a notice or for the next look at the table, and sets the next phase. Without new
    /// events in a notice, there is nothing to deliver yet.
    async fn wait(&mut self) -> Vec<Result<KeyDelivery, ReadError>> {
        let poll = async {
            match self.live.poll {
                Some(interval) => tokio::time::sleep(interval).await,
                None => std::future::pending().await,
            }
        };
        let notice = async {
            match &mut self.live.notices {
                Some(notices) => notices.recv().await,
                None => std::future::pending().await,
            }
        };
        let notice = tokio::select! {
            notice = notice => Some(notice),
            () = poll => None,
        };
        let events = match notice {
            Some(Err(RecvError::Closed)) => return Vec::new(),
            None | Some(Err(RecvError::Lagged(_))) => None,
            Some(Ok(notice)) => self.new_events(&notice),
        };
        match events {
            Some(events) => {
                self.phase = Phase::Live;
                self.deliver(events.into_iter().map(KeyDelivery::Event))
            }
            None => {
                self.phase = Phase::CatchingUp(fetch(&self.table, self.after));
                Vec::new()
            }
        }
    }

    /// The events in a notice that come directly after the last one delivered; `None` if the table has
    /// to be read.
    fn new_events(&self, notice: &Notice) -> Option<Vec<RecordedEvent>> {
        match notice {
            Notice::Committed(committed) if committed.after <= self.after => {
                let new = committed.events.iter().filter(|event| event.position > self.after);
                Some(new.cloned().collect())
            }
            Notice::Head(head) if *head <= self.after => Some(Vec::new()),
            Notice::Committed(_) | Notice::Head(_) | Notice::Unknown => None,
        }
    }
}
