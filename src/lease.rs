//! Holding a lease while the work that it is for goes on.

use std::time::Instant;

use keyledger_projections::{Lease, Term};

use crate::telemetry::chain;

/// Renews the lease until it is lost, or cannot be known to be ours.
pub(crate) async fn hold(lease: &Lease, term: Term) {
    let mut renewed = Instant::now();
    while renewed.elapsed() < lease.period() {
        tokio::time::sleep(lease.period() / 3).await;
        let asked = Instant::now();
        match lease.claim().await {
            Ok(Some(now)) if now == term => renewed = asked,
            Ok(_) => return,
            Err(error) => tracing::warn!(cause = %chain(&error), "lease cannot be renewed"),
        }
    }
}
