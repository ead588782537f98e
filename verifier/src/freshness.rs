//! The proof that the index is level with the journal.
//!
//! Someone asks the journal for its head, notes by this machine's own clock when that was, and waits
//! until the index includes it. Then the index includes all that had happened by the moment of the
//! question, whatever the clocks of others say. The proof holds for a bounded time.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use keyledger_domain::Position;

/// How long it is since the index was last proven level, at most.
#[derive(Debug)]
pub struct Freshness {
    /// Times are kept as what has passed since this one.
    origin: Instant,
    bound: Duration,
    /// Nanoseconds; 0 before the first proof.
    proven: AtomicU64,
    /// What reads must include, whatever was proven.
    owed: AtomicI64,
}

impl Freshness {
    /// No proof yet; one will hold for this long.
    #[must_use]
    pub fn new(bound: Duration) -> Self {
        // Nothing that was earlier than this can be a proof any more.
        let now = Instant::now();
        let origin = now.checked_sub(bound).unwrap_or(now);
        let (proven, owed) = (AtomicU64::new(0), AtomicI64::new(Position::START.as_i64()));
        Self { origin, bound, proven, owed }
    }

    fn since_origin(&self, moment: Instant) -> u64 {
        let passed = moment.saturating_duration_since(self.origin);
        u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Tells that the index includes all that had happened at this moment.
    pub fn prove(&self, moment: Instant) {
        self.proven.fetch_max(self.since_origin(moment), Ordering::AcqRel);
    }

    /// How long ago the moment was as of which the index is level; `None` if it never was.
    #[must_use]
    pub fn staleness(&self, now: Instant) -> Option<Duration> {
        match self.proven.load(Ordering::Acquire) {
            0 => None,
            proven => Some(Duration::from_nanos(self.since_origin(now).saturating_sub(proven))),
        }
    }

    /// Whether the last proof still holds.
    #[must_use]
    pub fn holds(&self, now: Instant) -> bool {
        self.staleness(now).is_some_and(|staleness| staleness < self.bound)
    }

    /// Tells that reads must include this position: someone has been told of what happened there.
    pub fn owe(&self, position: Position) {
        self.owed.fetch_max(position.as_i64(), Ordering::AcqRel);
    }

    /// What reads must include.
    pub(super) fn owed(&self) -> Position {
        Position::try_from(self.owed.load(Ordering::Acquire)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn nothing_holds_before_the_first_proof() {
        let freshness = Freshness::new(SECOND);
        assert_eq!(freshness.staleness(Instant::now()), None);
        assert!(!freshness.holds(Instant::now()));
    }

    #[test]
    fn a_proof_holds_from_the_question_for_as_long_as_the_bound() {
        let freshness = Freshness::new(SECOND);
        let asked = Instant::now() + SECOND;
        freshness.prove(asked);
        assert_eq!(freshness.staleness(asked + SECOND / 2), Some(SECOND / 2));
        assert!(freshness.holds(asked + SECOND / 2));
        assert!(!freshness.holds(asked + SECOND));
    }

    #[test]
    fn an_older_proof_does_not_shorten_a_later_one() {
        let freshness = Freshness::new(SECOND);
        let asked = Instant::now() + SECOND;
        freshness.prove(asked);
        freshness.prove(asked - SECOND / 2);
        assert_eq!(freshness.staleness(asked), Some(Duration::ZERO));
    }
}
