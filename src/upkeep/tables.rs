//! Follows what a projector in another process does.

use std::time::Duration;

use keyledger_projections::{Progress, ReadTables};

use super::Pause;
use crate::readiness::{Part, Readiness, State};

/// How often to look: what a caller waits for a write to show is twice this at most.
const POLL: Duration = Duration::from_millis(20);

/// Tells `progress` how far the read tables have come, for a process in which no projector runs.
pub async fn follow_tables(tables: ReadTables, progress: Progress, readiness: Readiness) {
    readiness.set(Part::ReadTables, State::Starting);
    let mut pause = Pause::new();
    loop {
        match tables.position().await {
            Ok(position) => {
                progress.advance(position);
                readiness.set(Part::ReadTables, State::Ready);
                pause = Pause::new();
                tokio::time::sleep(POLL).await;
            }
            Err(error) => {
                tracing::warn!(cause = %error, "read tables cannot be read");
                readiness.set(Part::ReadTables, State::Failing);
                pause.wait().await;
            }
        }
    }
}
