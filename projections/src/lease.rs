//! Leases: of many nodes that share a database, only the holder of a lease does the lease's duty.
//!
//! A lease expires by the database's clock unless its holder renews it. Each change of the holder
//! begins a new epoch. Every write names the epoch of its writer and is refused in any other epoch,
//! so a former holder that was paused or disconnected past the end of its lease cannot write.

use std::time::Duration;

use uuid::Uuid;

use crate::store::Claim;
use crate::{Epoch, LeaseName, ReadTables};

/// A node's handle on a lease, to claim and release it; cheap to clone.
#[derive(Clone, Debug)]
pub struct Lease {
    tables: ReadTables,
    claim: Claim,
}

impl Lease {
    /// The lease on this duty, for a holder with this id. No other node and no earlier process of
    /// this node may have the same id. A lease that is not renewed expires after `period`.
    #[must_use]
    pub fn new(tables: &ReadTables, name: LeaseName, holder: Uuid, period: Duration) -> Self {
        Self { tables: tables.clone(), claim: Claim { name, holder, period } }
    }

    /// The time after which a lease expires that is not renewed.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.claim.period
    }

    /// Takes the lease if it is free or expired, or renews it if this holder has it; `None` when
    /// another node holds it. In SQLite, which only one machine uses, it always succeeds.
    ///
    /// # Errors
    /// The database's error.
    pub async fn claim(&self) -> Result<Option<Epoch>, sqlx::Error> {
        self.tables.store.claim(&self.claim).await
    }

    /// Releases the lease, so that another node can take it at once instead of waiting until it
    /// expires.
    ///
    /// # Errors
    /// The database's error.
    pub async fn release(&self) -> Result<(), sqlx::Error> {
        self.tables.store.release(&self.claim).await
    }
}
