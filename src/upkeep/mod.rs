//! What runs beside the requests: it keeps the read side level, and tells what the service can do.

mod journal;
mod lead;
mod read_side;
mod sign_in;

pub use journal::watch_journal;
pub use read_side::ReadSide;
pub use sign_in::prepare_sign_in;
