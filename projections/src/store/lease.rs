//! What a lease is for, who wants it, and the epochs in which it is held.

use std::time::Duration;

use uuid::Uuid;

/// What only one node may do at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseName {
    /// Keep the read tables level with the journal.
    Project,
    /// Publish the events.
    Relay,
    /// Keep the Merkle tree over all events, and sign checkpoints of it.
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

/// The time in which one node holds a lease. It grows with each change of the holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch(pub(crate) i64);

impl Epoch {
    /// The epoch with this number. Only the database that keeps the lease gives them out; other
    /// implementations of a lease, as in tests, make their own.
    #[must_use]
    pub fn new(number: i64) -> Self {
        Self(number)
    }
}

/// Who wants a lease, for what and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    pub(crate) name: LeaseName,
    pub(crate) holder: Uuid,
    pub(crate) period: Duration,
}
