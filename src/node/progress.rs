//! How far the read side has come, and the wait for it to come further.

use std::sync::Arc;
use std::time::Duration;

use keyledger_domain::Position;
use tokio::sync::watch;

/// How far the read side has come, for all who wait for it; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<watch::Sender<Position>>);

/// The read side has not come as far as was asked for within the time given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the read side has come to position {reached}, not yet to {wanted}")]
pub struct Lagging {
    /// The position that was asked for.
    pub wanted: Position,
    /// The position that was reached.
    pub reached: Position,
}

impl Progress {
    /// The position of the last event that queries include.
    #[must_use]
    pub fn current(&self) -> Position {
        *self.0.borrow()
    }

    /// Waits until queries include this position; tells which they include then.
    ///
    /// # Errors
    /// [`Lagging`] when that takes longer than `limit`.
    pub async fn wait_for(&self, wanted: Position, limit: Duration) -> Result<Position, Lagging> {
        let mut position = self.0.subscribe();
        let reached = position.wait_for(|position| *position >= wanted);
        match tokio::time::timeout(limit, reached).await {
            Ok(Ok(position)) => Ok(*position),
            Ok(Err(_)) | Err(_) => Err(Lagging { wanted, reached: self.current() }),
        }
    }

    /// Tells that queries now include this position.
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

    #[tokio::test]
    async fn a_position_that_was_reached_is_not_waited_for() {
        let progress = Progress::default();
        progress.advance(position(5));
        let reached = progress.wait_for(position(3), Duration::ZERO).await;
        assert_eq!(reached, Ok(position(5)));
    }

    #[tokio::test]
    async fn whoever_waits_is_woken() {
        let progress = Progress::default();
        let wait = progress.wait_for(position(2), Duration::from_secs(60));
        let (reached, ()) = tokio::join!(wait, async {
            progress.advance(position(1));
            tokio::task::yield_now().await;
            progress.advance(position(2));
        });
        assert_eq!(reached, Ok(position(2)));
    }

    #[tokio::test]
    async fn the_wait_is_bounded() {
        let progress = Progress::default();
        progress.advance(position(1));
        let reached = progress.wait_for(position(2), Duration::from_millis(10)).await;
        assert_eq!(reached, Err(Lagging { wanted: position(2), reached: position(1) }));
    }

    #[test]
    fn progress_never_goes_back() {
        let progress = Progress::default();
        progress.advance(position(5));
        progress.advance(position(3));
        assert_eq!(progress.current(), position(5));
    }
}
