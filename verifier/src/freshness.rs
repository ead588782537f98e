//! The proof that the index has caught up with the journal.
//!
//! A task notes the time on this machine's monotonic clock, asks the journal for its head, and waits
//! until the index includes that position. Then the index includes every event that was committed
//! before the noted time, and no other machine's clock is involved. The proof holds for a bounded time.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use keyledger_domain::{Position, Timestamp};

/// A moment on both clocks of this machine.
///
/// The monotonic clock cannot be set, but stands still while the machine is suspended. The time of day
/// goes on, but can be set. A proof ages by the clock that says it is older.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// The monotonic clock.
    pub monotonic: Instant,
    /// The time of day.
    pub wall: Timestamp,
}

impl Clocks {
    /// The monotonic clock now, together with this time of day.
    #[must_use]
    pub fn now(wall: Timestamp) -> Self {
        Self { monotonic: Instant::now(), wall }
    }
}

/// When the index was last proven to have caught up, and which position answers must include.
#[derive(Debug)]
pub(crate) struct Freshness {
    /// Times are kept as the time since this one.
    origin: Instant,
    bound: Duration,
    /// The monotonic time of the last proof, in nanoseconds since `origin`; 0 before the first one.
    proven: AtomicU64,
    /// The time of day of the last proof, in microseconds since 1970.
    proven_wall: AtomicI64,
    /// The position that answers must include, even while a proof holds.
    owed: AtomicI64,
}

impl Freshness {
    /// No proof yet. Each one will hold for less than `bound`.
    pub(crate) fn new(bound: Duration) -> Self {
        // A proof from before this time would have run out already.
        let now = Instant::now();
        Self {
            origin: now.checked_sub(bound).unwrap_or(now),
            bound,
            proven: AtomicU64::new(0),
            proven_wall: AtomicI64::new(0),
            owed: AtomicI64::new(Position::START.as_i64()),
        }
    }

    fn since_origin(&self, moment: Instant) -> u64 {
        let passed = moment.saturating_duration_since(self.origin);
        u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Notes that the index includes every event that was committed before this moment. Called by one
    /// task at a time. An earlier moment than that of the last proof changes nothing.
    pub(crate) fn prove(&self, moment: Clocks) {
        let monotonic = self.since_origin(moment.monotonic);
        if monotonic > self.proven.load(Ordering::Acquire) {
            // A reader that sees only one of the two sees a proof that holds, or an older one.
            self.proven_wall.store(moment.wall.unix_micros(), Ordering::Release);
            self.proven.store(monotonic, Ordering::Release);
        }
    }

    /// How long ago the moment of the last proof was; `None` before the first one.
    pub(crate) fn staleness(&self, now: Clocks) -> Option<Duration> {
        let proven = self.proven.load(Ordering::Acquire);
        if proven == 0 {
            return None;
        }
        let wall = now.wall.unix_micros().saturating_sub(self.proven_wall.load(Ordering::Acquire));
        let wall = Duration::from_micros(u64::try_from(wall).unwrap_or(0));
        let monotonic = self.since_origin(now.monotonic).saturating_sub(proven);
        Some(Duration::from_nanos(monotonic).max(wall))
    }

    /// Whether the last proof still holds.
    pub(crate) fn holds(&self, now: Clocks) -> bool {
        self.staleness(now).is_some_and(|staleness| staleness < self.bound)
    }

    /// Requires answers to include this position from now on: call it before a client is told that the
    /// event there has happened.
    pub(crate) fn owe(&self, position: Position) {
        self.owed.fetch_max(position.as_i64(), Ordering::AcqRel);
    }

    /// The position that answers must include.
    pub(crate) fn owed(&self) -> Position {
        Position::try_from(self.owed.load(Ordering::Acquire)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Some time after this test began, on both clocks.
    fn after(monotonic: Duration, wall: Duration) -> Clocks {
        let micros = i64::try_from(wall.as_micros()).unwrap();
        let wall = Timestamp::from_unix_micros(1_000_000 + micros).unwrap();
        Clocks { monotonic: Instant::now() + monotonic, wall }
    }

    fn later(clocks: Clocks, monotonic: Duration, wall_micros: i64) -> Clocks {
        let wall = Timestamp::from_unix_micros(clocks.wall.unix_micros() + wall_micros).unwrap();
        Clocks { monotonic: clocks.monotonic + monotonic, wall }
    }

    #[test]
    fn nothing_holds_before_the_first_proof() {
        let freshness = Freshness::new(SECOND);
        assert_eq!(freshness.staleness(after(SECOND, SECOND)), None);
        assert!(!freshness.holds(after(SECOND, SECOND)));
    }

    #[test]
    fn a_proof_holds_from_the_question_for_as_long_as_the_bound() {
        let freshness = Freshness::new(SECOND);
        let asked = after(SECOND, SECOND);
        freshness.prove(asked);
        let half = later(asked, SECOND / 2, 500_000);
        assert_eq!(freshness.staleness(half), Some(SECOND / 2));
        assert!(freshness.holds(half));
        assert!(!freshness.holds(later(asked, SECOND, 1_000_000)));
    }

    #[test]
    fn a_proof_ages_while_the_machine_is_suspended() {
        let freshness = Freshness::new(SECOND);
        let asked = after(SECOND, SECOND);
        freshness.prove(asked);
        assert!(!freshness.holds(later(asked, Duration::ZERO, 1_000_000)));
    }

    #[test]
    fn a_time_of_day_that_is_set_back_makes_no_proof_younger() {
        let freshness = Freshness::new(SECOND);
        let asked = after(SECOND, 60 * SECOND);
        freshness.prove(asked);
        assert!(!freshness.holds(later(asked, SECOND, -50_000_000)));
        // The next proof is aged by the time of day again.
        let next = later(asked, SECOND, -50_000_000);
        freshness.prove(next);
        assert!(freshness.holds(next));
        assert!(!freshness.holds(later(next, Duration::ZERO, 1_000_000)));
    }

    #[test]
    fn an_older_proof_does_not_shorten_a_later_one() {
        let freshness = Freshness::new(SECOND);
        let asked = after(SECOND, SECOND);
        freshness.prove(asked);
        freshness.prove(Clocks { monotonic: asked.monotonic - SECOND / 2, wall: asked.wall });
        assert_eq!(freshness.staleness(asked), Some(Duration::ZERO));
    }
}
