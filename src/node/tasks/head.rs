//! Asks for the journal's head, again and again, and says whether the journal answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keyledger_domain::{Position, chain};
use keyledger_journal::JournalReader;
use tokio::sync::watch;

use crate::node::Health;
use crate::node::readiness::State;

/// The longest time between two questions.
const INTERVAL: Duration = Duration::from_secs(1);

/// Where the journal's head was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// A position at or after every event that was committed when the head was asked for.
    pub position: Position,
    /// When it was asked for, by this machine's monotonic clock, before the question was sent.
    pub asked: Instant,
}

/// Asks for the head at least four times in `bound`, for as long as the process lives.
pub async fn watch_head(
    journal: Arc<dyn JournalReader>,
    bound: Duration,
    head: watch::Sender<Option<Head>>,
    health: Health,
) {
    let mut asks = tokio::time::interval(INTERVAL.min(bound / 4));
    asks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        asks.tick().await;
        let asked = Instant::now();
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
