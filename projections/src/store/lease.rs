//! Names, claims and epochs of leases, as the database stores them.

use std::time::Duration;

use uuid::Uuid;

/// A duty that only one node performs at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseName {
    /// Apply the journal's events to the read tables.
    Project,
    /// Publish the journal's events.
    Relay,
    /// Append the journal's events to the Merkle tree, and sign checkpoints of it.
    Tree,
}

impl LeaseName {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Relay => "relay",
            Self::Tree => "tree",
        }
    }
}

/// The number of a period during which one node holds a lease. It grows by one with each change of
/// the holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch(pub(crate) i64);

impl Epoch {
    /// The epoch with this number. The database assigns the numbers; other implementations of a
    /// lease, such as those in tests, choose their own.
    #[must_use]
    pub fn new(number: i64) -> Self {
        Self(number)
    }
}

/// A request for a lease: the duty, the id of the holder, and the time until the lease expires.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    pub(crate) name: LeaseName,
    pub(crate) holder: Uuid,
    pub(crate) period: Duration,
}
