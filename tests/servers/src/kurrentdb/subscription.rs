//! Subscriptions: what they deliver, and when they fail.

use std::sync::Arc;

use tokio::sync::mpsc;
use tonic::Status;
use uuid::Uuid;

use super::forms::{answer, appeared};
use super::log::{Database, Record};
use super::protocol::event_store::client::streams as s;
use super::{Faults, SubscriptionFault};

/// Which events a subscription delivers.
pub(super) struct Filter {
    prefixes: Vec<String>,
    /// After how many events, delivered or not, a checkpoint is sent.
    window: usize,
}

impl Filter {
    pub(super) fn of(options: s::read_req::options::FilterOptions) -> Self {
        use s::read_req::options::filter_options::{Filter as By, Window};
        let prefixes = match options.filter {
            Some(By::StreamIdentifier(expression)) => expression.prefix,
            Some(By::EventType(_)) | None => panic!("the stand-in filters by names of streams"),
        };
        let window = match options.window {
            Some(Window::Max(most)) => usize::try_from(most).unwrap(),
            Some(Window::Count(_)) | None => 32,
        };
        Self { prefixes, window }
    }

    fn takes(&self, event: &Record) -> bool {
        self.prefixes.iter().any(|prefix| event.stream.starts_with(prefix))
    }
}

/// Sends a subscription the events that there are, then that it has caught up, then new events.
pub(super) async fn deliver(
    database: Database,
    faults: Arc<Faults>,
    mut after: Option<u64>,
    filter: Option<Filter>,
    told: mpsc::Sender<Result<s::ReadResp, Status>>,
) -> Option<()> {
    use s::read_resp::{CaughtUp, Checkpoint, Content, SubscriptionConfirmation};
    let mut head = database.head();
    let mut fault = faults.subscriptions.subscribe();
    // A fault that was set before concerns earlier subscriptions only.
    fault.mark_unchanged();
    let begun_with = *fault.borrow();
    if begun_with == SubscriptionFault::Silent {
        told.closed().await;
        return None;
    }
    let checkpoint = |commit_position, prepare_position| {
        Ok(answer(Content::Checkpoint(Checkpoint { commit_position, prepare_position })))
    };
    let id = Uuid::from_u128(2).to_string();
    let confirmed = SubscriptionConfirmation { subscription_id: id };
    told.send(Ok(answer(Content::Confirmation(confirmed)))).await.ok()?;
    let mut looked_through = 0;
    let mut has_caught_up = false;
    loop {
        loop {
            head.borrow_and_update();
            let events = database.after(after, 500);
            if events.is_empty() {
                break;
            }
            for event in events {
                after = Some(event.position);
                if filter.as_ref().is_none_or(|filter| filter.takes(&event)) {
                    told.send(Ok(appeared(&event))).await.ok()?;
                }
                looked_through += 1;
                if filter.as_ref().is_some_and(|filter| looked_through >= filter.window) {
                    looked_through = 0;
                    // During catch-up, a real server sends no prepare position.
                    let prepare = if has_caught_up { event.position } else { 0 };
                    told.send(checkpoint(event.position, prepare)).await.ok()?;
                }
            }
        }
        if !has_caught_up {
            has_caught_up = true;
            told.send(Ok(answer(Content::CaughtUp(CaughtUp {})))).await.ok()?;
        }
        tokio::select! {
            changed = head.changed() => changed.ok()?,
            () = told.closed() => return None,
            _ = changed(&mut fault) => {}
        }
        if !fault.has_changed().ok()? {
            continue;
        }
        let now = *fault.borrow_and_update();
        if now != SubscriptionFault::None {
            faults.struck.send_modify(|count| *count += 1);
        }
        match now {
            SubscriptionFault::None => {}
            SubscriptionFault::End => return None,
            SubscriptionFault::Error => {
                told.send(Err(Status::unavailable("the node is going away"))).await.ok()?;
                return None;
            }
            SubscriptionFault::Silent => {
                told.closed().await;
                return None;
            }
        }
    }
}

/// Waits for a change of the fault, and leaves it marked as changed.
async fn changed(fault: &mut tokio::sync::watch::Receiver<SubscriptionFault>) {
    if fault.changed().await.is_ok() {
        fault.mark_changed();
    }
}
