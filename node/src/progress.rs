//! The journal position that a follower includes, and waiting for it to advance.

use std::sync::Arc;
use std::time::Duration;

use keyledger_domain::Position;
use tokio::sync::watch;

/// The position that a follower includes. It only grows, unless it is forgotten. It is unknown until the
/// follower has been checked against the journal. Clones are cheap and share it.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<watch::Sender<Option<Position>>>);

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
        self.0.borrow().unwrap_or_default()
    }

    /// Whether the position is known.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Waits until the position is known.
    pub async fn known(&self) {
        // Fails only without a sender, and `self` is one.
        let _ = self.0.subscribe().wait_for(Option::is_some).await;
    }

    /// A receiver that sees each change.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Option<Position>> {
        self.0.subscribe()
    }

    /// Waits until the follower includes this position, and returns the position that it includes then.
    ///
    /// # Errors
    /// [`Lagging`] when this takes longer than `limit`.
    pub async fn wait_for(&self, wanted: Position, limit: Duration) -> Result<Position, Lagging> {
        let mut position = self.0.subscribe();
        let reached = position.wait_for(|position| position.is_some_and(|it| it >= wanted));
        match tokio::time::timeout(limit, reached).await {
            Ok(Ok(position)) => Ok(position.unwrap_or(wanted)),
            Ok(Err(_)) | Err(_) => Err(Lagging { wanted, reached: self.current() }),
        }
    }

    /// Reports that the follower includes this position. A lower one than before changes nothing.
    pub fn advance(&self, position: Position) {
        self.0.send_if_modified(|reached| {
            let is_further = reached.is_none_or(|reached| position > reached);
            *reached = Some(reached.map_or(position, |reached| position.max(reached)));
            is_further
        });
    }

    /// Makes the position unknown, because what the follower includes may not be the journal's history.
    pub fn forget(&self) {
        self.0.send_replace(None);
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
