//! Asks for the journal's head periodically, and reports whether the journal answers.

use std::sync::Arc;
use std::time::Duration;

use keyledger_domain::{Clock, Position, chain};
use keyledger_journal::JournalReader;
use keyledger_verifier::Clocks;
use tokio::sync::{Notify, watch};

use crate::Health;
use crate::readiness::State;

/// The longest time between two requests for the head.
const INTERVAL: Duration = Duration::from_secs(1);

/// The journal's head, and when it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// A position at or after every event that was committed when the head was asked for.
    pub position: Position,
    /// This machine's clocks, read before the request was sent.
    pub asked: Clocks,
}

/// Asks for the head every second, or more often if `bound` is less than 4 s, so that there are at
/// least four requests within `bound`; and each time that `ask` is notified. Runs for as long as the
/// process lives.
pub async fn watch_head(
    journal: Arc<dyn JournalReader>,
    bound: Duration,
    clock: Arc<dyn Clock>,
    ask: Arc<Notify>,
    head: watch::Sender<Option<Head>>,
    health: Health,
) {
    let mut asks = tokio::time::interval(INTERVAL.min(bound / 4));
    asks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = asks.tick() => {}
            () = ask.notified() => {}
        }
        let asked = Clocks::now(clock.now());
        match journal.head().await {
            Ok(position) => {
                health.set(State::Ready);
                head.send_replace(Some(Head { position, asked }));
            }
            Err(error) => {
                tracing::warn!(cause = %chain(&error), "journal does not answer");
                health.set(State::Failing);
            }
        }
    }
}
