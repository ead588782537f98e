//! A key's standing, as of one of its events.

use keyledger_domain::Revision;
use keyledger_domain::key::KeyStatus;

use crate::atomic::{AtomicU64, Ordering};

/// The standing of a key as of a revision: one word that only ever moves forward. Whoever tells an
/// older standing, in whatever order and at whatever moment, changes nothing.
#[derive(Debug)]
pub(super) struct StatusCell(AtomicU64);

/// A standing and the revision that led to it, so that later ones are greater.
fn word(revision: Revision, status: KeyStatus) -> u64 {
    let status = match status {
        KeyStatus::Active => 0,
        KeyStatus::Revoked => 1,
        KeyStatus::Deleted => 2,
    };
    u64::from(revision.as_u32()) << 2 | status
}

impl StatusCell {
    pub(super) fn new(revision: Revision, status: KeyStatus) -> Self {
        Self(AtomicU64::new(word(revision, status)))
    }

    /// Tells that an event of this revision has led to this standing.
    pub(super) fn advance(&self, revision: Revision, status: KeyStatus) {
        self.0.fetch_max(word(revision, status), Ordering::AcqRel);
    }

    /// The standing, and as of which revision.
    pub(super) fn get(&self) -> (Revision, KeyStatus) {
        let word = self.0.load(Ordering::Acquire);
        let status = match word & 3 {
            0 => KeyStatus::Active,
            1 => KeyStatus::Revoked,
            _ => KeyStatus::Deleted,
        };
        // What was put in fits.
        (Revision::new(u32::try_from(word >> 2).unwrap_or(u32::MAX)), status)
    }
}
