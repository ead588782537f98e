//! Exports: files of events that can be checked offline.
//!
//! A whole export holds every event of the tree, and is checked by building the tree again. A
//! subset holds some events, each with an inclusion proof, and shows nothing of the others. Writer
//! and verifier hold at most one range of 256 events in memory; the verifier also keeps the last
//! revision and time of each stream, about 60 bytes per stream.

mod block;
mod event;
mod finding;
mod header;
mod pipeline;
mod placing;
mod proven;
mod range;
mod sequence;
mod streams;
mod verifier;
mod whole;
mod writer;

pub use finding::Finding;
pub use header::{Header, Subset};
pub use placing::Placing;
pub use verifier::{ExportVerifier, Report};
pub use writer::{ExportError, ExportWriter};

/// The version of the file format.
const VERSION: u32 = 1;
/// The number of events in a range. The line after each range holds the hash over its events.
pub const RANGE: u64 = 256;
/// The maximum length of a line, in bytes.
const MAX_LINE: usize = 1024 * 1024;
/// The maximum number of findings, and of gaps and misplaced lines, that are kept. Further findings
/// are only counted.
const LIMIT: usize = 1_000;

/// The beginnings of the lines, which identify their kinds.
const HEADER: &[u8] = b"{\"keyledger_export\":";
const EVENT: &[u8] = b"{\"index\":";
const RANGE_LINE: &[u8] = b"{\"range\":";
const TRAILER: &[u8] = b"{\"events\":";

/// The last line of an export.
fn trailer(events: u64, crc32: u32) -> String {
    format!("{{\"events\":{events},\"crc32\":\"{crc32:08x}\"}}\n")
}

/// Parses a decimal number without leading zeros; returns it and the rest of the text.
fn take_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at_checked(digits)?;
    if digits.len() > 1 && digits.starts_with(b"0") {
        return None;
    }
    Some((std::str::from_utf8(digits).ok()?.parse().ok()?, rest))
}
