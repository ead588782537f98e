//! Exports: one file that holds events and what it takes to check them offline.
//!
//! A whole export holds every event of the tree, and is checked by building the tree again. A
//! subset holds some of them, each with a proof that it is in the tree, and shows nothing of the
//! others. Writer and verifier hold one range of 256 events in memory, whatever the length; the
//! verifier also remembers how far each stream has come, which takes some 60 bytes a stream.

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
pub use verifier::{Report, Verifier};
pub use writer::{ExportError, Writer};

/// The version of the file's form.
const VERSION: u32 = 1;
/// How many events share a line with the hash over them.
pub const RANGE: u64 = 256;
/// The longest line that is read, in bytes.
const MAX_LINE: usize = 1024 * 1024;
/// How many findings, gaps and misplaced lines are remembered; of more, only the number is.
const LIMIT: usize = 1_000;

/// How the lines begin, by which they are told apart.
const HEADER: &[u8] = b"{\"keyledger_export\":";
const EVENT: &[u8] = b"{\"index\":";
const RANGE_LINE: &[u8] = b"{\"range\":";
const TRAILER: &[u8] = b"{\"events\":";

/// The last line.
fn trailer(events: u64, crc32: u32) -> String {
    format!("{{\"events\":{events},\"crc32\":\"{crc32:08x}\"}}\n")
}

/// A decimal number, without a zero before others, and what comes after it.
fn take_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at_checked(digits)?;
    if digits.len() > 1 && digits.starts_with(b"0") {
        return None;
    }
    Some((std::str::from_utf8(digits).ok()?.parse().ok()?, rest))
}
