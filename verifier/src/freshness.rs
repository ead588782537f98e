//! The proof that the index has caught up with the journal.
//!
//! A task notes the time on this machine's monotonic clock, asks the journal for its head, and waits
//! until the index includes that position. Then the index includes every event that was committed
//! before the noted time, and no other machine's clock is involved. The proof holds for a bounded time.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use keyledger_domain::Position;

/// When the index was last proven to have caught up, and which position answers must include.
#[derive(Debug)]
pub struct Freshness {
    /// Times are kept as the time since this one.
    origin: Instant,
    bound: Duration,
    /// The time of the last proof, in nanoseconds since `origin`; 0 before the first one.
    proven: AtomicU64,
    /// The position that answers must include, even while a proof holds.
    owed: AtomicI64,
}

impl Freshness {
    /// No proof yet. Each one will hold for less than `bound`.
    #[must_use]
    pub fn new(bound: Duration) -> Self {
        // A proof from before this time would have run out already.
        let now = Instant::now();
        let origin = now.checked_sub(bound).unwrap_or(now);
        let (proven, owed) = (AtomicU64::new(0), AtomicI64::new(Position::START.as_i64()));
        Self { origin, bound, proven, owed }
    }

    fn since_origin(&self, moment: Instant) -> u64 {
        let passed = moment.saturating_duration_since(self.origin);
        u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Notes that the index includes every event that was committed before this moment.
    pub fn prove(&self, moment: Instant) {
        self.proven.fetch_max(self.since_origin(moment), Ordering::AcqRel);
    }

    /// How long ago the moment of the last proof was; `None` before the first one.
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

    /// Requires answers to include this position from now on: call it before a client is told that the
    /// event there has happened.
    pub fn owe(&self, position: Position) {
        self.owed.fetch_max(position.as_i64(), Ordering::AcqRel);
    }

    /// The position that answers must include.
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
