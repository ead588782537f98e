//! The journal position that a follower includes, and waiting for it to advance.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use keyledger_domain::Position;
use tokio::sync::{Semaphore, oneshot, watch};

/// How many readers may wait at the same time: see [`Progress::wait_in_turn`].
const READERS: usize = 1_024;

/// The position that a follower includes. It only grows, unless it is forgotten. It is unknown until the
/// follower has been checked against the journal. Clones are cheap and share it.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    reached: watch::Sender<Option<Position>>,
    waiting: Mutex<Waiting>,
    readers: Semaphore,
}

/// Those who wait for a position, by this position. Only those are woken whose position is reached, since
/// there may be many, and each event advances the position.
#[derive(Debug, Default)]
struct Waiting {
    waiters: BTreeMap<(Position, u64), oneshot::Sender<Position>>,
    next: u64,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            reached: watch::Sender::default(),
            waiting: Mutex::default(),
            readers: Semaphore::new(READERS),
        }
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // No code can panic in the middle of a change of the map.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among those who wait. It is given back when this is dropped.
struct Waiter<'a> {
    shared: &'a Shared,
    place: (Position, u64),
    woken: oneshot::Receiver<Position>,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.shared.waiting().waiters.remove(&self.place);
    }
}

/// A follower did not reach the wanted position in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("position {wanted} is not included in time, only events up to {reached}")]
pub struct Lagging {
    /// The position that was waited for.
    pub wanted: Position,
    /// The position that the follower had reached.
    pub reached: Position,
}

impl Progress {
    /// The position that the follower includes; [`Position::START`] while it is unknown.
    #[must_use]
    pub fn current(&self) -> Position {
        self.0.reached.borrow().unwrap_or_default()
    }

    /// Whether the position is known.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.0.reached.borrow().is_some()
    }

    /// Waits until the position is known.
    pub async fn known(&self) {
        // Fails only without a sender, and `self` is one.
        let _ = self.0.reached.subscribe().wait_for(Option::is_some).await;
    }

    /// A receiver that sees each change.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Option<Position>> {
        self.0.reached.subscribe()
    }

    /// Waits until the follower includes this position, and returns the position that it includes then.
    ///
    /// # Errors
    /// [`Lagging`] when this takes longer than `limit`.
    pub async fn wait_for(&self, wanted: Position, limit: Duration) -> Result<Position, Lagging> {
        let mut waiter = match self.wait(wanted) {
            Ok(reached) => return Ok(reached),
            Err(waiter) => waiter,
        };
        match tokio::time::timeout(limit, &mut waiter.woken).await {
            Ok(Ok(position)) => Ok(position),
            Ok(Err(_)) | Err(_) => Err(Lagging { wanted, reached: self.current() }),
        }
    }

    /// The same for readers that ask for a position. Only 1,024 of them wait at the same time.
    ///
    /// # Errors
    /// [`Lagging`] when this takes longer than `limit`, and at once when too many wait.
    pub async fn wait_in_turn(
        &self,
        wanted: Position,
        limit: Duration,
    ) -> Result<Position, Lagging> {
        let reached = self.0.reached.borrow().filter(|reached| *reached >= wanted);
        if let Some(reached) = reached {
            return Ok(reached);
        }
        let turn = self.0.readers.try_acquire();
        let _turn = turn.map_err(|_| Lagging { wanted, reached: self.current() })?;
        self.wait_for(wanted, limit).await
    }

    /// A place among those who wait for this position, unless it is reached.
    fn wait(&self, wanted: Position) -> Result<Position, Waiter<'_>> {
        let mut waiting = self.0.waiting();
        // Asked while the map is locked: whoever advances the position looks into the map afterwards.
        let reached = self.0.reached.borrow().filter(|reached| *reached >= wanted);
        if let Some(reached) = reached {
            return Ok(reached);
        }
        let (wake, woken) = oneshot::channel();
        let place = (wanted, waiting.next);
        waiting.next += 1;
        waiting.waiters.insert(place, wake);
        drop(waiting);
        Err(Waiter { shared: &self.0, place, woken })
    }

    /// Reports that the follower includes this position. A lower one than before changes nothing.
    pub fn advance(&self, position: Position) {
        let is_further = self.0.reached.send_if_modified(|reached| {
            let is_further = reached.is_none_or(|reached| position > reached);
            *reached = Some(reached.map_or(position, |reached| position.max(reached)));
            is_further
        });
        if is_further {
            let mut waiting = self.0.waiting();
            while let Some(first) = waiting.waiters.first_entry()
                && first.key().0 <= position
            {
                // It may have given up.
                let _ = first.remove().send(position);
            }
        }
    }

    /// Makes the position unknown, because what the follower includes may not be the journal's history.
    pub fn forget(&self) {
        self.0.reached.send_replace(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(number: u64) -> Position {
        Position::try_from(number).unwrap()
    }

    #[keyledger_bounded::test]
    async fn a_position_that_was_reached_is_not_waited_for() {
        let progress = Progress::default();
        progress.advance(position(5));
        let reached = progress.wait_for(position(3), Duration::ZERO).await;
        assert_eq!(reached, Ok(position(5)));
    }

    #[keyledger_bounded::test]
    async fn a_waiting_task_is_woken() {
        let progress = Progress::default();
        let wait = progress.wait_for(position(2), Duration::from_secs(60));
        let (reached, ()) = tokio::join!(wait, async {
            progress.advance(position(1));
            tokio::task::yield_now().await;
            progress.advance(position(2));
        });
        assert_eq!(reached, Ok(position(2)));
    }

    #[keyledger_bounded::test]
    async fn the_wait_is_bounded() {
        let progress = Progress::default();
        progress.advance(position(1));
        let reached = progress.wait_for(position(2), Duration::from_millis(10)).await;
        assert_eq!(reached, Err(Lagging { wanted: position(2), reached: position(1) }));
    }

    #[keyledger_bounded::test]
    async fn only_those_are_woken_whose_position_is_reached_and_none_stays_behind() {
        let progress = Progress::default();
        let far: Vec<_> = (0..100).map(|_| progress.wait(position(9)).unwrap_err()).collect();
        let mut near = progress.wait(position(2)).unwrap_err();
        progress.advance(position(2));
        assert_eq!(near.woken.try_recv(), Ok(position(2)));
        assert_eq!(progress.0.waiting().waiters.len(), 100);
        drop((near, far));
        assert_eq!(progress.0.waiting().waiters.len(), 0);
    }

    #[keyledger_bounded::test(paused)]
    async fn only_so_many_readers_wait() {
        let progress = Progress::default();
        let limit = Duration::from_secs(2);
        let waits = (0..READERS).map(|_| progress.wait_in_turn(position(9), limit));
        let waits = futures::future::join_all(waits);
        let one_more = async {
            tokio::task::yield_now().await;
            let begun = tokio::time::Instant::now();
            assert!(progress.wait_in_turn(position(9), limit).await.is_err());
            assert_eq!(begun.elapsed(), Duration::ZERO, "it was refused at once");
            // Who writes is no reader.
            let written = progress.wait_for(position(8), limit);
            progress.advance(position(8));
            assert_eq!(written.await, Ok(position(8)));
        };
        let (waited, ()) = tokio::join!(waits, one_more);
        assert!(waited.iter().all(Result::is_err));
        progress.advance(position(9));
        assert_eq!(progress.wait_in_turn(position(9), limit).await, Ok(position(9)));
    }

    #[keyledger_bounded::test]
    async fn a_position_that_was_forgotten_is_not_reached() {
        let progress = Progress::default();
        assert!(!progress.is_known());
        progress.advance(Position::START);
        assert!(progress.is_known());
        progress.advance(position(5));
        progress.forget();
        assert_eq!((progress.is_known(), progress.current()), (false, Position::START));
        let reached = progress.wait_for(Position::START, Duration::from_millis(10)).await;
        assert!(reached.is_err());
        progress.advance(position(2));
        assert_eq!(progress.current(), position(2));
    }

    #[keyledger_bounded::test]
    fn progress_never_goes_back() {
        let progress = Progress::default();
        progress.advance(position(5));
        progress.advance(position(3));
        assert_eq!(progress.current(), position(5));
    }
}
