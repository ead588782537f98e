//! What runs beside the requests: it keeps the read side level, and tells what the service can do.

mod journal;
mod projector;
mod sign_in;
mod tables;

use std::time::Duration;

pub use journal::watch_journal;
pub use projector::keep_level;
pub use sign_in::prepare_sign_in;
pub use tables::follow_tables;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The wait between tries of something that does not work, longer each time.
struct Pause(Duration);

impl Pause {
    fn new() -> Self {
        Self(FIRST_PAUSE)
    }

    async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(LONGEST_PAUSE);
    }
}
