//! The time of day, as the operating system has it.

use std::time::SystemTime;

use keyledger_domain::{Clock, Timestamp};

/// The operating system's clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system's clock")]
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let micros = since_epoch.ok().and_then(|since| i64::try_from(since.as_micros()).ok());
        micros.and_then(|micros| Timestamp::from_unix_micros(micros).ok()).unwrap_or(Timestamp::MAX)
    }
}
