//! The wait between two attempts.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);

/// How long to wait before the next attempt: 100 ms at first, twice as long each time, at most 2 s.
#[derive(Debug)]
pub struct Backoff(Duration);

impl Backoff {
    /// A backoff whose next wait is the shortest.
    #[must_use]
    pub fn new() -> Self {
        Self(FIRST)
    }

    /// Waits; the next wait will be twice as long.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(LONGEST);
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}
