//! What runs beside the requests: it keeps the read side level, and tells what the service can do.

mod journal;
mod lead;
mod read_side;
mod sign_in;

use std::time::Duration;

pub use journal::watch_journal;
pub use read_side::ReadSide;
pub use sign_in::prepare_sign_in;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

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
