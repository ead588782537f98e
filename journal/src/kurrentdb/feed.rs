//! One subscription of the client, on its own thread, runtime and connection.
//!
//! This works around two defects. The future of the client's `next` must not be dropped while it
//! waits, since the following call would subscribe again and miss events: so a task here does nothing
//! but await it. And when the server or a proxy ends the stream without an error, `next` loops for
//! ever without a pause, and logs a warning each time. Since the loop never yields, the only way out
//! is from inside that log call: a `tracing` subscriber of this thread counts the warnings and, after
//! too many, unwinds the thread.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use eventstore::{
    Client, Position, StreamPosition, SubscribeToAllOptions, Subscription, SubscriptionEvent,
    SubscriptionFilter,
};
use keyledger_domain::KeyId;
use tokio::sync::mpsc;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata};

use super::PULSE;
use super::connection::{Connection, Signed};
use super::mistakes::{Right, cause};
use super::removed::metadata_of;
use crate::Cause;

/// How many events may wait in the channel.
const WAITING: usize = 2_000;
/// After how many events that do not match the filter the server sends a checkpoint.
const WINDOW: u32 = 500;
/// How long the server may take to confirm a subscription.
const CONFIRM: Duration = Duration::from_secs(3);
/// After how many warnings without an event between them the client is assumed to loop.
const WARNINGS: u32 = 100;

/// Receives the events of a subscription, and at the end the error that ended it.
pub(super) type Feed = mpsc::Receiver<Result<SubscriptionEvent, Cause>>;

/// Subscribes to the events of keys, to the metadata of their streams, and to pulses, after a position.
pub(super) fn feed(connection: &Connection, after: Option<Position>) -> Feed {
    let (sender, feed) = mpsc::channel(WAITING);
    let settings = connection.settings().clone();
    let filter = SubscriptionFilter::on_stream_name()
        .add_prefix(KeyId::STREAM_PREFIX)
        .add_prefix(metadata_of(KeyId::STREAM_PREFIX))
        .add_prefix(PULSE);
    let options = SubscribeToAllOptions::default()
        .position(after.map_or(StreamPosition::Start, StreamPosition::Position))
        .filter(filter.max(WINDOW));
    let options = match settings.credentials.clone() {
        Some(credentials) => options.signed(credentials),
        None => options,
    };
    let errors = sender.clone();
    let thread = std::thread::Builder::new().name("subscription".to_owned()).spawn(move || {
        let receive = AssertUnwindSafe(|| receive(settings.client, &options, &sender));
        let failure: Cause = match std::panic::catch_unwind(receive) {
            Ok(Err(failure)) => failure,
            Ok(Ok(())) => return,
            Err(_) => "the server has ended the subscription".into(),
        };
        // Fails only if the receiver was dropped, and so does not need the error.
        let _ = sender.blocking_send(Err(failure));
    });
    if let Err(error) = thread {
        // The channel has room, since nothing was sent yet.
        let _ = errors.try_send(Err(error.into()));
    }
    feed
}

/// Passes events on until the subscription fails, or the receiver is dropped.
fn receive(
    settings: eventstore::ClientSettings,
    options: &SubscribeToAllOptions,
    sender: &mpsc::Sender<Result<SubscriptionEvent, Cause>>,
) -> Result<(), Cause> {
    let warnings = Arc::new(AtomicU32::new(0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let receiving = async {
        let client = Client::new(settings)?;
        let mut subscription = client.subscribe_to_all(options).await;
        let first = tokio::time::timeout(CONFIRM, next(&mut subscription));
        let mut event = first.await.map_err(|_| "the server does not confirm a subscription")??;
        loop {
            warnings.store(0, Ordering::Relaxed);
            if sender.send(Ok(event)).await.is_err() {
                return Ok(());
            }
            event = tokio::select! {
                event = next(&mut subscription) => event?,
                () = sender.closed() => return Ok(()),
            };
        }
    };
    let detector = tracing::Dispatch::new(LoopDetector(warnings.clone()));
    let outcome = tracing::dispatcher::with_default(&detector, || runtime.block_on(receiving));
    runtime.shutdown_background();
    outcome
}

async fn next(subscription: &mut Subscription) -> Result<SubscriptionEvent, Cause> {
    let next = subscription.next_subscription_event().await;
    next.map_err(|error| cause(error, Right::ReadAll))
}

/// Counts the client's warnings on this thread, and unwinds the thread after too many of them without
/// an event. The warnings themselves are dropped: the client also returns an error for whatever
/// matters.
struct LoopDetector(Arc<AtomicU32>);

impl tracing::Subscriber for LoopDetector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN && metadata.is_event()
    }

    fn event(&self, _: &Event<'_>) {
        if self.0.fetch_add(1, Ordering::Relaxed) > WARNINGS {
            std::panic::resume_unwind(Box::new("the client loops"));
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
