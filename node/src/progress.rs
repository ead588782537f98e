//! The journal position that a follower includes, and waiting for it to advance.

use std::sync::Arc;
use std::time::Duration;

use keyledger_domain::Position;
use tokio::sync::watch;

/// The position that a follower includes. It only grows. Clones are cheap and share it.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<watch::Sender<Position>>);

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
    /// The position that the follower includes.
    #[must_use]
    pub fn current(&self) -> Position {
        *self.0.borrow()
    }

    /// Waits until the follower includes this position, and returns the position that it includes then.
    ///
    /// # Errors
    /// [`Lagging`] when this takes longer than `limit`.
    pub async fn wait_for(&self, wanted: Position, limit: Duration) -> Result<Position, Lagging> {
        let mut position = self.0.subscribe();
        let reached = position.wait_for(|position| *position >= wanted);
        match tokio::time::timeout(limit, reached).await {
            Ok(Ok(position)) => Ok(*position),
            Ok(Err(_)) | Err(_) => Err(Lagging { wanted, reached: self.current() }),
        }
    }

    /// Reports that the follower includes this position. A lower one than before changes nothing.
    pub fn advance(&self, position: Position) {
        self.0.send_if_modified(|reached| {
            let is_further = position > *reached;
            *reached = position.max(*reached);
            is_further
        });
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
    fn progress_never_goes_back() {
        let progress = Progress::default();
        progress.advance(position(5));
        progress.advance(position(3));
        assert_eq!(progress.current(), position(5));
    }
}
