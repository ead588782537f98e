//! Records when keys were last used.

use std::time::Duration;

use keyledger_domain::chain;
use keyledger_projections::ReadTables;
use keyledger_verifier::Index;

use crate::History;

/// Why last uses are not recorded.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// The database failed or cannot be reached.
    #[error("last uses cannot be written")]
    Write(#[from] keyledger_projections::DatabaseError),
    /// The task that collects and sorts them failed.
    #[error("last uses cannot be collected")]
    Collect(#[from] tokio::task::JoinError),
}

/// Records last uses every `interval`, for as long as the process lives. Uses that cannot be recorded
/// stay in memory, one for each key.
pub async fn record_uses(history: History, tables: ReadTables, interval: Duration) {
    let mut flushes = tokio::time::interval(interval);
    flushes.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut is_interrupted = false;
    loop {
        flushes.tick().await;
        let recorded = record_now(&history, &tables).await;
        let was_interrupted = std::mem::replace(&mut is_interrupted, recorded.is_err());
        match recorded {
            Ok(()) if was_interrupted => tracing::info!("last uses are recorded again"),
            Ok(()) => {}
            Err(error) if !was_interrupted => {
                tracing::warn!(cause = %chain(&error), "last uses cannot be recorded; they stay in memory");
            }
            Err(_) => {}
        }
    }
}

/// Records every use that is not recorded yet.
///
/// # Errors
/// Why the uses cannot be collected or written. They stay in memory then.
pub async fn record_now(history: &History, tables: &ReadTables) -> Result<(), UsageError> {
    match history.verification().index() {
        Some(index) => record(index, tables).await,
        None => Ok(()),
    }
}

/// Records every use in this index that is not recorded yet.
pub(super) async fn record(index: &Index, tables: &ReadTables) -> Result<(), UsageError> {
    let waiting = {
        let index = index.clone();
        tokio::task::spawn_blocking(move || index.waiting_uses()).await?
    };
    Ok(index.record_uses(&waiting, tables).await?)
}
