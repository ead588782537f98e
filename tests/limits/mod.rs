//! What one caller can cost: connections, memory, keys, log lines.

mod answers;
mod clock;
mod connections;
mod logging;
mod memory;
mod owners;
mod requests;
mod waiting;
