//! Tells whether the journal can be read, and where its head is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keyledger_domain::Position;
use tokio::sync::watch;

use crate::journal::JournalReader;
use crate::readiness::{Part, Readiness, State};
use crate::telemetry::chain;

/// How often to ask, unless that is too seldom.
const INTERVAL: Duration = Duration::from_secs(1);

/// Where the journal's head was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The position: that of the head when it was asked for, or a later one.
    pub position: Position,
    /// When it was asked for.
    pub asked: Instant,
}

/// Asks the journal for its head, at least four times in `bound`, and tells it.
pub async fn watch_journal(
    journal: Arc<dyn JournalReader>,
    bound: Duration,
    head: watch::Sender<Option<Head>>,
    readiness: Readiness,
) {
    let mut asks = tokio::time::interval(INTERVAL.min(bound / 4));
    asks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        asks.tick().await;
        let asked = Instant::now();
        match journal.barrier().await {
            Ok(position) => {
                readiness.set(Part::Journal, State::Ready);
                head.send_replace(Some(Head { position, asked }));
            }
            Err(error) => {
                tracing::warn!(cause = %chain(&error), "journal does not answer");
                readiness.set(Part::Journal, State::Failing);
            }
        }
    }
}
