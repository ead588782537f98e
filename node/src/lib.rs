//! What keeps a node level with the journal beside its requests.
//!
//! [`supervise()`] runs one piece of work for as long as the process lives: it claims the lease that
//! the work needs, tries again after failures, and says in `/readyz` how the work is doing.
//! [`Following`] is the work of everything that follows the journal. What each follower does with
//! the events is in [`tasks`] and in `relay`.

pub mod backoff;
pub mod clock;
pub mod follow;
pub mod health;
pub mod lease;
pub mod progress;
pub mod readiness;
pub mod shutdown;
pub mod supervise;
pub mod tasks;

pub use follow::{Follower, Following, Pace, ReadyWhen};
pub use health::Health;
pub use lease::LeaseClaims;
pub use progress::{Lagging, Progress};
pub use supervise::{Interruption, Work, supervise};

#[cfg(test)]
mod tests;
