//! What runs beside the requests: it keeps the read side level, and tells what the service can do.

mod index;
mod journal;
mod lead;
mod read_side;
mod sign_in;
mod tree;
mod usage;

pub use index::IndexUpkeep;
pub use journal::{Head, watch_journal};
pub use read_side::ReadSide;
pub use sign_in::prepare_sign_in;
pub use tree::TreeUpkeep;
pub use usage::{record_now, record_uses};
