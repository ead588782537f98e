//! Leases: what only one of many nodes may do at a time.
//!
//! A lease ends by the database's clock unless its holder renews it. Each change of the holder begins
//! a new epoch, and whatever a holder writes is refused in another epoch than its own: so a holder
//! that was paused or cut off for longer than it knew can do no harm.

use std::time::Duration;

use uuid::Uuid;

use crate::store::Claim;
use crate::{Epoch, LeaseName, ReadTables};

/// A node's part in the contest for a duty; cheap to clone.
#[derive(Clone, Debug)]
pub struct Lease {
    tables: ReadTables,
    claim: Claim,
}

impl Lease {
    /// The contest for this duty, as this holder: an id that no other node and no earlier life of
    /// this one has. A lease lasts for `period` unless it is renewed.
    #[must_use]
    pub fn new(tables: &ReadTables, name: LeaseName, holder: Uuid, period: Duration) -> Self {
        Self { tables: tables.clone(), claim: Claim { name, holder, period } }
    }

    /// How long a lease lasts that is not renewed.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.claim.period
    }

    /// Takes the lease if it is free, or renews it if it is ours; `None` when another node holds it.
    /// In a database that only one machine uses, it is always ours.
    ///
    /// # Errors
    /// The database's error.
    pub async fn claim(&self) -> Result<Option<Epoch>, sqlx::Error> {
        self.tables.store.claim(&self.claim).await
    }

    /// Gives the lease back, so that another node need not wait for its end.
    ///
    /// # Errors
    /// The database's error.
    pub async fn release(&self) -> Result<(), sqlx::Error> {
        self.tables.store.release(&self.claim).await
    }
}
