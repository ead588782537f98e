//! The time of day, as a parameter.

use crate::Timestamp;

/// A source of the time of day: the operating system's in the service, a chosen one in tests.
pub trait Clock: std::fmt::Debug + Send + Sync + 'static {
    /// The current time, in UTC. A clock outside the years 1970 to 9999 tells [`Timestamp::MAX`]: then
    /// everything that expires has expired.
    fn now(&self) -> Timestamp;
}
