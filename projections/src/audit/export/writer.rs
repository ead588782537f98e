//! Writes an export, line by line.

use crc32fast::Hasher;

use super::super::merkle::TreeFull;
use super::super::{Entry, TreeHash};
use super::event;
use super::header::Header;
use super::{RANGE, trailer};
use crate::audit::merkle::Frontier;

/// Writes an export to buffers, which whoever calls it empties into a file.
#[derive(Debug)]
pub struct Writer {
    crc32: Hasher,
    whole: bool,
    announced: u64,
    written: u64,
    /// The least index that the next event of a subset can have.
    least: u64,
    range: Frontier,
}

/// Why an export cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The line has no JSON form.
    #[error("the line has no JSON form")]
    Json(#[from] serde_json::Error),
    /// There are not as many events as the header says.
    #[error("the header says {announced} events, and {written} were written")]
    Count {
        /// What the header says.
        announced: u64,
        /// How many came.
        written: u64,
    },
    /// The event has no place here.
    #[error("event {0} does not follow, or has a proof in a whole export or none in a subset")]
    Order(u64),
    /// The event's entry is not of the form that every entry of ours has.
    #[error("event {0} cannot be written so that it can be read again")]
    Form(u64),
    /// The range is full.
    #[error(transparent)]
    Full(#[from] TreeFull),
}

impl Writer {
    /// Begins an export with its first line.
    ///
    /// # Errors
    /// [`ExportError::Json`].
    pub fn begin(header: &Header, out: &mut Vec<u8>) -> Result<Self, ExportError> {
        let mut writer = Self {
            crc32: Hasher::new(),
            whole: header.subset.is_none(),
            announced: header.events,
            written: 0,
            least: 0,
            range: Frontier::default(),
        };
        let from = out.len();
        serde_json::to_writer(&mut *out, header)?;
        out.push(b'\n');
        writer.sum(from, out);
        Ok(writer)
    }

    /// Writes the next event of a whole export. `leaf` is the hash that the tree holds: where the
    /// journal was altered since, the two do not fit, and that names the event. `range` is the
    /// hash that the tree holds over the 256 events of which this is the last; where it is not
    /// given it follows from the leaves.
    ///
    /// # Errors
    /// [`ExportError::Form`] and [`ExportError::Order`].
    pub fn event(
        &mut self,
        entry: &Entry,
        leaf: TreeHash,
        range: Option<TreeHash>,
        out: &mut Vec<u8>,
    ) -> Result<(), ExportError> {
        let index = self.written;
        if !self.whole {
            return Err(ExportError::Order(index));
        }
        self.line(index, entry, leaf, None, out)?;
        self.range.append(leaf)?;
        if self.range.size() == RANGE {
            self.end_range(range, out);
        }
        Ok(())
    }

    /// Writes the next event of a subset, with the proof that it is in the checkpoint's tree.
    ///
    /// # Errors
    /// [`ExportError::Form`] and [`ExportError::Order`].
    pub fn proven_event(
        &mut self,
        index: u64,
        entry: &Entry,
        leaf: TreeHash,
        proof: &[TreeHash],
        out: &mut Vec<u8>,
    ) -> Result<(), ExportError> {
        if self.whole || index < self.least {
            return Err(ExportError::Order(index));
        }
        self.line(index, entry, leaf, Some(proof), out)?;
        self.least = index.saturating_add(1);
        Ok(())
    }

    /// Ends the export with its last line.
    ///
    /// # Errors
    /// [`ExportError::Count`].
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), ExportError> {
        if self.written != self.announced {
            let (announced, written) = (self.announced, self.written);
            return Err(ExportError::Count { announced, written });
        }
        if self.range.size() > 0 {
            self.end_range(None, out);
        }
        out.extend_from_slice(trailer(self.written, self.crc32.finalize()).as_bytes());
        Ok(())
    }

    fn end_range(&mut self, hash: Option<TreeHash>, out: &mut Vec<u8>) {
        let range = self.written.saturating_sub(1) / RANGE;
        let hash = hash.unwrap_or_else(|| self.range.root());
        self.range = Frontier::default();
        let from = out.len();
        out.extend_from_slice(format!("{{\"range\":{range},\"hash\":\"{hash}\"}}\n").as_bytes());
        self.sum(from, out);
    }

    fn line(
        &mut self,
        index: u64,
        entry: &Entry,
        leaf: TreeHash,
        proof: Option<&[TreeHash]>,
        out: &mut Vec<u8>,
    ) -> Result<(), ExportError> {
        let from = out.len();
        if !event::write(index, entry, leaf, proof, out) {
            out.truncate(from);
            return Err(ExportError::Form(index));
        }
        self.sum(from, out);
        self.written += 1;
        Ok(())
    }

    /// Takes what was written from here on into the checksum.
    fn sum(&mut self, from: usize, out: &[u8]) {
        self.crc32.update(out.get(from..).unwrap_or_default());
    }
}
