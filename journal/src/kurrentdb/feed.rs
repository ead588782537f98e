//! One subscription of the client, on a thread, a runtime and a connection of its own.
//!
//! Two things make that necessary. The client's `next` may not be dropped while it waits: the next
//! one would subscribe anew, and miss events. So a task here does nothing but wait for it. And when
//! the server, or something between, ends the stream without an error, the client asks it for more
//! for ever, without a pause, and tells so in the log each time: that log is what unwinds it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use eventstore::{
    Client, Position, StreamPosition, SubscribeToAllOptions, Subscription, SubscriptionEvent,
    SubscriptionFilter,
};
use tokio::sync::mpsc;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata};

use super::PULSE;
use super::link::{Link, Signed};
use crate::Cause;

/// How many events may wait to be used.
const WAITING: usize = 2_000;
/// How many events the server looks through between two checkpoints.
const WINDOW: u32 = 500;
/// How long the server may take to confirm a subscription.
const CONFIRM: Duration = Duration::from_secs(3);
/// How many warnings without an event between them show that the client spins.
const SPINS: u32 = 100;

/// What a subscription tells, until it fails.
pub(super) type Feed = mpsc::Receiver<Result<SubscriptionEvent, Cause>>;

/// Subscribes to the events of keys, and to pulses, after a position.
pub(super) fn feed(link: &Link, after: Option<Position>) -> Feed {
    let (told, feed) = mpsc::channel(WAITING);
    let settings = link.settings().clone();
    let filter = SubscriptionFilter::on_stream_name().add_prefix("apikey-").add_prefix(PULSE);
    let options = SubscribeToAllOptions::default()
        .position(after.map_or(StreamPosition::Start, StreamPosition::Position))
        .filter(filter.max(WINDOW));
    let options = match settings.credentials.clone() {
        Some(credentials) => options.signed(credentials),
        None => options,
    };
    let last_word = told.clone();
    let thread = std::thread::Builder::new().name("subscription".to_owned()).spawn(move || {
        let listen = AssertUnwindSafe(|| listen(settings.client, &options, &told));
        let failure: Cause = match std::panic::catch_unwind(listen) {
            Ok(Err(failure)) => failure,
            Ok(Ok(())) => return,
            Err(_) => "the server has ended the subscription".into(),
        };
        // Whoever does not listen any more does not want to know.
        let _ = told.blocking_send(Err(failure));
    });
    if let Err(error) = thread {
        // There is room: nothing was sent yet.
        let _ = last_word.try_send(Err(error.into()));
    }
    feed
}

/// Tells what comes until the subscription fails, or nobody listens any more.
fn listen(
    settings: eventstore::ClientSettings,
    options: &SubscribeToAllOptions,
    told: &mpsc::Sender<Result<SubscriptionEvent, Cause>>,
) -> Result<(), Cause> {
    let warnings = Arc::new(AtomicU32::new(0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listening = async {
        let client = Client::new(settings)?;
        let mut subscription = client.subscribe_to_all(options).await;
        let first = next(&mut subscription);
        let first = tokio::time::timeout(CONFIRM, first);
        let mut event = first.await.map_err(|_| "the server does not confirm a subscription")??;
        loop {
            warnings.store(0, Ordering::Relaxed);
            if told.send(Ok(event)).await.is_err() {
                return Ok(());
            }
            event = tokio::select! {
                event = next(&mut subscription) => event?,
                () = told.closed() => return Ok(()),
            };
        }
    };
    let unwinding = tracing::Dispatch::new(UnwindSpinning(warnings.clone()));
    let outcome = tracing::dispatcher::with_default(&unwinding, || runtime.block_on(listening));
    runtime.shutdown_background();
    outcome
}

async fn next(subscription: &mut Subscription) -> Result<SubscriptionEvent, Cause> {
    Ok(subscription.next_subscription_event().await?)
}

/// Counts the client's warnings on this thread, and unwinds it when there is one after another and
/// nothing else. What is worth telling comes as an error as well.
struct UnwindSpinning(Arc<AtomicU32>);

impl tracing::Subscriber for UnwindSpinning {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN && metadata.is_event()
    }

    fn event(&self, _: &Event<'_>) {
        if self.0.fetch_add(1, Ordering::Relaxed) > SPINS {
            std::panic::resume_unwind(Box::new("the subscription spins"));
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
