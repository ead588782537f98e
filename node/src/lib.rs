//! The background work of a node: one supervised loop, and the followers of the journal.
//!
//! [`supervise()`] runs one piece of work for as long as the process lives: it claims the lease that
//! the work needs, tries again after failures, and reports the work's state for `/readyz`.
//! [`Following`] is the work that all followers share. The followers themselves are in [`tasks`] and
//! in the crate `keyledger-relay`.

pub mod appends;
pub mod backoff;
pub mod clock;
pub mod follow;
pub mod health;
pub mod history;
pub mod lease;
pub mod progress;
pub mod readiness;
pub mod shutdown;
pub mod supervise;
pub mod tasks;

pub use appends::ReportedAppends;
pub use follow::{Follower, Following, Pace, Reads, ReadyWhen};
pub use health::Health;
pub use history::{History, HistoryChanged, WatchedAppends, WatchedJournal};
pub use lease::LeaseClaims;
pub use progress::{Lagging, Progress};
pub use supervise::{Interruption, Work, supervise};

#[cfg(test)]
mod tests;
