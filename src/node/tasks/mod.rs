//! What runs beside the requests, one file each.

mod head;
mod index;
mod log;
mod sign_in;
mod tables;
mod usage;

pub use head::{Head, watch_head};
pub use index::{IndexFollower, prove};
pub use log::{LogFollower, Publisher, sign_last};
pub use sign_in::prepare_sign_in;
pub use tables::{TablesFollower, watch_tables};
pub use usage::{record_now, record_uses};
