//! The followers and other background tasks of a node, one file each.

mod head;
mod index;
mod log;
mod tables;
mod usage;

pub use head::{Head, watch_head};
pub use index::{IndexFollower, IndexMetrics, prove};
pub use log::{LogFollower, LogSettings, Publisher, sign_last};
pub use tables::{TablesFollower, watch_tables};
pub use usage::{record_now, record_uses};
