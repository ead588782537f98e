//! Follows the journal across failures of subscriptions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use eventstore::{Position as Place, SubscriptionEvent};
use futures::{StreamExt, stream};
use keyledger_domain::Delivery;
use keyledger_domain::Position;

use super::PULSE;
use super::decode::{decode_event, position_of};
use super::feed::{Feed, feed};
use super::link::Link;
use crate::{Cause, ReadError, Subscription};

/// How long a subscription may take to come to what this process has appended, while it delivers
/// nothing at all, before it counts as stuck.
const SILENCE: Duration = Duration::from_millis(1_500);
/// How often to look for that.
const LOOK: Duration = Duration::from_millis(250);
/// The wait before another subscription, and the longest.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

struct Follower {
    link: Arc<Link>,
    feed: Option<Feed>,
    /// Where the next subscription begins: after the last event or checkpoint.
    resume: Option<Place>,
    /// The last event's position.
    seen: Position,
    /// Whether the subscription has caught up with the journal's head.
    is_live: bool,
    heard: Instant,
    /// Since when this process is known to have appended something that has not come.
    behind: Option<Instant>,
    pause: Duration,
    has_ended: bool,
}

/// Subscribes to all events after a position.
pub(super) fn subscribe(link: Arc<Link>, after: Position) -> Subscription {
    let commit = after.as_u64();
    let follower = Follower {
        link,
        feed: None,
        // What is told outside is an event's position, of which both parts are the same.
        resume: (commit > 0).then_some(Place { commit, prepare: commit }),
        seen: after,
        is_live: false,
        heard: Instant::now(),
        behind: None,
        pause: PAUSE,
        has_ended: false,
    };
    stream::unfold(follower, Follower::next).boxed()
}

impl Follower {
    async fn next(mut self) -> Option<(Result<Delivery, ReadError>, Self)> {
        if self.has_ended {
            return None;
        }
        loop {
            let told = match &mut self.feed {
                None => {
                    self.feed = Some(feed(&self.link, self.resume));
                    self.is_live = false;
                    self.heard = Instant::now();
                    self.behind = None;
                    continue;
                }
                Some(feed) => tokio::time::timeout(LOOK, feed.recv()).await,
            };
            match told {
                Ok(Some(Ok(event))) => {
                    self.heard = Instant::now();
                    self.behind = None;
                    if let Some(delivery) = self.take(event) {
                        self.has_ended = delivery.is_err();
                        return Some((delivery, self));
                    }
                }
                Ok(Some(Err(cause))) => self.lost(&cause).await,
                Ok(None) => self.lost(&"the subscription's thread has ended".into()).await,
                Err(_) if self.is_stuck() => self.lost(&"the subscription is silent".into()).await,
                Err(_) => {}
            }
        }
    }

    /// What an event of the subscription means to those who follow.
    fn take(&mut self, event: SubscriptionEvent) -> Option<Result<Delivery, ReadError>> {
        match event {
            SubscriptionEvent::EventAppeared(resolved) => {
                let event = resolved.event?;
                self.resume = Some(event.position);
                self.pause = PAUSE;
                if let Some(position) = position_of(&event) {
                    self.seen = self.seen.max(position);
                }
                if event.stream_id == PULSE {
                    // Old ones tell nothing of the head.
                    return self.is_live.then_some(Ok(Delivery::CaughtUp(self.seen)));
                }
                // The database's own, such as the tombstone of a stream that an operator deleted.
                if event.event_type.starts_with('$') {
                    return None;
                }
                Some(decode_event(event).map(Delivery::Event))
            }
            SubscriptionEvent::Checkpoint(place) => {
                self.resume = Some(place);
                None
            }
            SubscriptionEvent::CaughtUp => {
                self.is_live = true;
                Some(Ok(Delivery::CaughtUp(self.seen)))
            }
            SubscriptionEvent::Confirmed(_)
            | SubscriptionEvent::FirstStreamPosition(_)
            | SubscriptionEvent::LastStreamPosition(_)
            | SubscriptionEvent::LastAllPosition(_)
            | SubscriptionEvent::FellBehind => None,
        }
    }

    /// Whether this process has appended something that does not come, nor anything else.
    fn is_stuck(&mut self) -> bool {
        if self.link.acknowledged() <= self.seen {
            self.behind = None;
            return false;
        }
        // Later appends do not make it wait any longer.
        let behind = self.behind.get_or_insert_with(Instant::now);
        behind.elapsed() > SILENCE && self.heard.elapsed() > SILENCE
    }

    async fn lost(&mut self, cause: &Cause) {
        tracing::warn!(%cause, "journal subscription lost; subscribing anew");
        self.feed = None;
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}
