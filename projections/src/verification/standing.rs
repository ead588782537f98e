//! A key's standing, as of one of its events.

use keyledger_domain::Revision;
use keyledger_domain::key::Standing;

use super::atomic::{AtomicU64, Ordering};

/// The standing of a key as of a revision: one word that only ever moves forward. Whoever tells an
/// older standing, in whatever order and at whatever moment, changes nothing.
#[derive(Debug)]
pub(super) struct StandingCell(AtomicU64);

/// A standing and the revision that led to it, so that later ones are greater.
fn word(revision: Revision, standing: Standing) -> u64 {
    let standing = match standing {
        Standing::Active => 0,
        Standing::Revoked => 1,
        Standing::Deleted => 2,
    };
    u64::from(revision.as_u32()) << 2 | standing
}

impl StandingCell {
    pub(super) fn new(revision: Revision, standing: Standing) -> Self {
        Self(AtomicU64::new(word(revision, standing)))
    }

    /// Tells that an event of this revision has led to this standing.
    pub(super) fn advance(&self, revision: Revision, standing: Standing) {
        self.0.fetch_max(word(revision, standing), Ordering::AcqRel);
    }

    /// The standing, and as of which revision.
    pub(super) fn get(&self) -> (Revision, Standing) {
        let word = self.0.load(Ordering::Acquire);
        let standing = match word & 3 {
            0 => Standing::Active,
            1 => Standing::Revoked,
            _ => Standing::Deleted,
        };
        // What was put in fits.
        (Revision::new(u32::try_from(word >> 2).unwrap_or(u32::MAX)), standing)
    }
}
