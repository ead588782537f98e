//! Records when keys were last used, now and then.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use keyledger_projections::ReadTables;
use keyledger_projections::verification::Verification;

use crate::telemetry::chain;

/// Records uses every `interval`; what cannot be recorded waits, within bounds.
pub async fn record_uses(
    verification: Arc<OnceLock<Verification>>,
    tables: ReadTables,
    interval: Duration,
) {
    let mut flushes = tokio::time::interval(interval);
    flushes.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut is_interrupted = false;
    loop {
        flushes.tick().await;
        let recorded = record_now(&verification, &tables).await;
        let was_interrupted = std::mem::replace(&mut is_interrupted, recorded.is_err());
        match recorded {
            Ok(()) if was_interrupted => tracing::info!("last uses are recorded again"),
            Ok(()) => {}
            Err(error) if !was_interrupted => {
                tracing::warn!(cause = %chain(&error), "last uses wait to be recorded");
            }
            Err(_) => {}
        }
    }
}

/// Records all uses that wait.
///
/// # Errors
/// The database's error; they wait on then.
pub async fn record_now(
    verification: &OnceLock<Verification>,
    tables: &ReadTables,
) -> Result<(), impl std::error::Error + use<>> {
    match verification.get() {
        Some(verification) => verification.index.record_uses(tables).await,
        None => Ok(()),
    }
}
