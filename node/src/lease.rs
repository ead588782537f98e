//! Renews a lease while the work that needs it runs.

use std::time::Duration;

use async_trait::async_trait;
use keyledger_domain::chain;
use keyledger_projections::{Epoch, Lease};
use tokio::time::Instant;

/// A lease that a node can claim. Only the node that holds it may do the work.
#[async_trait]
pub trait LeaseClaims: Send + Sync {
    /// Takes the lease if it is free, or renews it if this node holds it. Returns its epoch; `None` if
    /// another node holds it.
    ///
    /// # Errors
    /// The error of the database that keeps the lease.
    async fn claim(&self) -> Result<Option<Epoch>, Box<dyn std::error::Error + Send + Sync>>;

    /// How long the lease lasts after a claim or renewal.
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

/// Renews the lease three times a period. Returns when another node holds it, or when it could not be
/// renewed for a whole period, since another node may hold it from then on.
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
