//! Holding a lease while the work that it is for goes on.

use std::time::Duration;

use async_trait::async_trait;
use keyledger_domain::chain;
use keyledger_projections::{Epoch, Lease};
use tokio::time::Instant;

/// A lease that a node can claim: what only one of many nodes may do at a time.
#[async_trait]
pub trait LeaseClaims: Send + Sync {
    /// Takes the lease if it is free, or renews it if this node holds it; `None` when another node
    /// does.
    ///
    /// # Errors
    /// The error of the database that keeps the lease.
    async fn claim(&self) -> Result<Option<Epoch>, Box<dyn std::error::Error + Send + Sync>>;

    /// How long a lease lasts that is not renewed.
    fn period(&self) -> Duration;
}

#[async_trait]
impl LeaseClaims for Lease {
    async fn claim(&self) -> Result<Option<Epoch>, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self::claim(self).await?)
    }

    fn period(&self) -> Duration {
        Self::period(self)
    }
}

/// Renews the lease three times a period. Returns when another node has it, or when it could not be
/// renewed for a whole period, after which another node may have it.
pub(super) async fn hold(lease: &dyn LeaseClaims, epoch: Epoch) {
    let mut renewed = Instant::now();
    while renewed.elapsed() < lease.period() {
        tokio::time::sleep(lease.period() / 3).await;
        let asked = Instant::now();
        match lease.claim().await {
            Ok(Some(now)) if now == epoch => renewed = asked,
            Ok(_) => return,
            Err(error) => tracing::warn!(cause = %chain(&*error), "lease cannot be renewed"),
        }
    }
}
