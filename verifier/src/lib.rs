#![deny(missing_docs)]
//! Verification: whether a key that someone presents is good, answered from memory.
//!
//! An [`IndexWriter`] loads the index from the key table and keeps it level with the journal;
//! [`Verification`] answers from it. It says nothing at all, rather than something that may be out of
//! date, when the index is not proven level with the journal ([`Freshness`]), or does not include what
//! a caller of this node was told.

mod atomic {
    pub(super) use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
}
mod freshness;
mod index;
mod record;
mod records;
mod slots;
mod status;
mod used;
mod uses;
mod writer;

use std::time::Instant;

use keyledger_domain::key::Verdict;
use keyledger_domain::{Timestamp, hash_presented};

pub use freshness::Freshness;
pub use index::{Found, Index};
pub use record::{KeyRecord, Owner};
pub use uses::{Use, UseSink, WaitingUses};
pub use writer::{IndexWriter, KeySource, LoadedKey, OutOfStep};

/// Answers whether keys are good.
#[derive(Debug)]
pub struct Verification {
    /// What answers follow from.
    pub index: Index,
    /// Until when they may.
    pub freshness: Freshness,
}

/// What becomes of a key that someone presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// It is good: this one.
    Valid(KeyRecord<'a>),
    /// It is not, for this reason.
    Refused(Verdict),
}

/// It cannot be known at the moment whether keys are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the index is not proven level with the journal")]
pub struct Stale;

impl Verification {
    /// Whether what someone presents is a good key; and if it is, which one. The use is noted then.
    ///
    /// What has not the form of a key, or a checksum that does not fit, is refused without a look.
    ///
    /// # Errors
    /// [`Stale`], whatever the key.
    pub fn verify(&self, presented: &str, now: Timestamp) -> Result<Outcome<'_>, Stale> {
        // Before the look: what is proven then holds for what is seen after it.
        if !self.knows() {
            return Err(Stale);
        }
        let Ok(hash) = hash_presented(presented) else {
            return Ok(Outcome::Refused(Verdict::NotFound));
        };
        let found = self.index.find(&hash);
        let Some((found, key)) = found.and_then(|found| Some((found, found.key_record()?))) else {
            return Ok(Outcome::Refused(Verdict::NotFound));
        };
        match found.status().1.verdict(key.expires_at, now) {
            Verdict::Valid => {
                self.index.records().note_use(found.number, now);
                Ok(Outcome::Valid(key))
            }
            refused @ (Verdict::Revoked | Verdict::Expired | Verdict::NotFound) => {
                Ok(Outcome::Refused(refused))
            }
        }
    }

    /// Whether answers can be given now.
    #[must_use]
    pub fn knows(&self) -> bool {
        self.freshness.holds(Instant::now()) && self.index.reached() >= self.freshness.owed()
    }
}
