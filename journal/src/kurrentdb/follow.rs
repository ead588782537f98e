//! A subscription that starts again after the server's subscription has failed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use eventstore::{Position as LogPosition, SubscriptionEvent};
use futures::{StreamExt, stream};
use keyledger_domain::{KeyDelivery, Position};
use tokio::sync::watch;

use super::PULSE;
use super::connection::Connection;
use super::decode::{deliver, position_of};
use super::feed::{Feed, feed};
use crate::{Cause, KeySubscription, ReadError};

/// How long a subscription may deliver nothing while this process has appended an event that it lacks.
/// After that it counts as stuck.
const SILENCE: Duration = Duration::from_millis(1_500);
/// How often to check for that.
const CHECK: Duration = Duration::from_millis(250);
/// The first wait before the server is subscribed to again; it doubles up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

struct ResumingSubscription {
    connection: Arc<Connection>,
    feed: Option<Feed>,
    /// Where the next feed starts: after the last event or checkpoint.
    resume: Option<LogPosition>,
    /// The position of the last event, of whichever kind.
    seen: Position,
    /// Whether the feed has caught up with the head.
    is_live: bool,
    /// When the feed last delivered anything.
    heard: Instant,
    /// Since when this process is known to have appended an event that has not been delivered.
    behind: Option<Instant>,
    /// Tells when a client that hung was replaced since the feed began.
    replacements: watch::Receiver<u64>,
    pause: Duration,
    has_ended: bool,
}

/// Subscribes to all events, and to what closes keys, after a position.
pub(super) fn subscribe(connection: Arc<Connection>, after: Position) -> KeySubscription {
    let commit = after.as_u64();
    let subscription = ResumingSubscription {
        replacements: connection.replacements(),
        connection,
        feed: None,
        // Of an event, the commit and the prepare position are the same.
        resume: (commit > 0).then_some(LogPosition { commit, prepare: commit }),
        seen: after,
        is_live: false,
        heard: Instant::now(),
        behind: None,
        pause: PAUSE,
        has_ended: false,
    };
    stream::unfold(subscription, ResumingSubscription::next).boxed()
}

impl ResumingSubscription {
    async fn next(mut self) -> Option<(Result<KeyDelivery, ReadError>, Self)> {
        if self.has_ended {
            return None;
        }
        loop {
            let received = match &mut self.feed {
                None => {
                    self.replacements.mark_unchanged();
                    self.feed = Some(feed(&self.connection, self.resume));
                    self.is_live = false;
                    self.heard = Instant::now();
                    self.behind = None;
                    continue;
                }
                Some(feed) => tokio::select! {
                    received = tokio::time::timeout(CHECK, feed.recv()) => received,
                    Ok(()) = self.replacements.changed() => {
                        tracing::warn!("journal subscription left with its server; subscribing again");
                        self.feed = None;
                        continue;
                    }
                },
            };
            match received {
                Ok(Some(Ok(event))) => {
                    self.heard = Instant::now();
                    self.behind = None;
                    if let Some(delivery) = self.take(event) {
                        self.has_ended = delivery.is_err();
                        return Some((delivery, self));
                    }
                }
                Ok(Some(Err(cause))) => self.restart(&cause).await,
                Ok(None) => self.restart(&"the subscription's thread has ended".into()).await,
                Err(_) if self.is_stuck() => {
                    self.restart(&"the subscription delivers nothing".into()).await;
                }
                Err(_) => {}
            }
        }
    }

    /// What is delivered for an event of the feed, if anything.
    fn take(&mut self, event: SubscriptionEvent) -> Option<Result<KeyDelivery, ReadError>> {
        match event {
            SubscriptionEvent::EventAppeared(resolved) => {
                let event = resolved.event?;
                self.resume = Some(event.position);
                self.pause = PAUSE;
                if let Some(position) = position_of(&event) {
                    self.seen = self.seen.max(position);
                }
                if event.stream_id == PULSE {
                    // A pulse from before the feed has caught up says nothing of the head.
                    return self.is_live.then_some(Ok(KeyDelivery::CaughtUp(self.seen)));
                }
                deliver(event)
            }
            SubscriptionEvent::Checkpoint(position) => {
                self.resume = Some(position);
                None
            }
            SubscriptionEvent::CaughtUp => {
                self.is_live = true;
                Some(Ok(KeyDelivery::CaughtUp(self.seen)))
            }
            SubscriptionEvent::Confirmed(_)
            | SubscriptionEvent::FirstStreamPosition(_)
            | SubscriptionEvent::LastStreamPosition(_)
            | SubscriptionEvent::LastAllPosition(_)
            | SubscriptionEvent::FellBehind => None,
        }
    }

    /// Whether this process has appended an event that is not delivered, and nothing else is either.
    fn is_stuck(&mut self) -> bool {
        if self.connection.acknowledged() <= self.seen {
            self.behind = None;
            return false;
        }
        // The time counts from the first such event: later appends do not extend it.
        let behind = self.behind.get_or_insert_with(Instant::now);
        behind.elapsed() > SILENCE && self.heard.elapsed() > SILENCE
    }

    async fn restart(&mut self, cause: &Cause) {
        tracing::warn!(%cause, "journal subscription lost; subscribing again");
        self.feed = None;
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}
