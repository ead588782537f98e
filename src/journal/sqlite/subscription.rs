//! Follows the journal: pages from the file, then what the writer tells.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use keyledger_domain::{Position, RecordedEvent};
use keyledger_projections::Delivery;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;

use super::reader::SqliteReader;
use super::writer::Committed;
use crate::journal::{ReadError, Subscription};

/// How many events are read at a time.
pub(super) const PAGE: usize = 1_000;
/// How often a process that does not write looks for news.
const POLL: Duration = Duration::from_millis(20);

/// How a subscription learns of new events.
pub(super) enum Live {
    /// By this process's writer; `None` when it has stopped.
    Told(Option<broadcast::Receiver<Arc<Committed>>>),
    /// By looking.
    Polled,
}

type Page = JoinHandle<Result<Vec<RecordedEvent>, ReadError>>;

struct Follower {
    reader: SqliteReader,
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
pub(super) fn subscribe(reader: SqliteReader, after: Position, live: Live) -> Subscription {
    let start = (reader, after, live);
    // The first page is asked for when the stream is first polled, inside the runtime.
    stream::once(async move {
        let (reader, after, live) = start;
        let phase = Phase::CatchingUp(fetch(&reader, after));
        stream::unfold(Follower { reader, after, live, phase }, Follower::next)
    })
    .flatten()
    .flat_map(stream::iter)
    .boxed()
}

fn fetch(reader: &SqliteReader, after: Position) -> Page {
    let reader = reader.clone();
    tokio::spawn(async move { reader.page(after, PAGE).await })
}

impl Follower {
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
            self.phase = Phase::CatchingUp(fetch(&self.reader, self.after));
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
        let Live::Told(told) = &mut self.live else {
            tokio::time::sleep(POLL).await;
            self.phase = Phase::CatchingUp(fetch(&self.reader, self.after));
            return Vec::new();
        };
        let Some(told) = told else { return Vec::new() };
        match told.recv().await {
            Ok(committed) if self.follows(&committed) => {
                self.phase = Phase::Live;
                let after = self.after;
                let fresh = committed.events.iter().filter(|event| event.position > after);
                self.deliver(fresh.cloned().collect::<Vec<_>>())
            }
            Ok(_) | Err(RecvError::Lagged(_)) => {
                self.phase = Phase::CatchingUp(fetch(&self.reader, self.after));
                Vec::new()
            }
            Err(RecvError::Closed) => Vec::new(),
        }
    }

    /// Whether nothing lies between what was delivered and these events.
    fn follows(&self, committed: &Committed) -> bool {
        !committed.events.is_empty() && committed.after <= self.after
    }
}
