//! The time of day, as a parameter, so that tests can set it.

use std::time::SystemTime;

use keyledger_domain::Timestamp;

/// A source of the time of day.
pub trait Clock: std::fmt::Debug + Send + Sync + 'static {
    /// The current time, in UTC.
    fn now(&self) -> Timestamp;
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system's clock")]
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let micros = since_epoch.ok().and_then(|since| i64::try_from(since.as_micros()).ok());
        // A clock before 1970 or after 9999 is treated as being at 1970.
        micros
            .and_then(|micros| Timestamp::from_unix_micros(micros).ok())
            .unwrap_or(Timestamp::UNIX_EPOCH)
    }
}
