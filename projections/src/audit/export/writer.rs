//! Writes an export, line by line.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::super::merkle::{TreeFull, hex};
use super::super::{Entry, TreeHash};
use super::event::EventLine;
use super::header::Header;
use super::{RANGE, trailer};
use crate::audit::merkle::Frontier;

/// Writes an export to buffers, which whoever calls it empties into a file.
#[derive(Debug)]
pub struct Writer {
    digest: Sha256,
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
    /// The range is full.
    #[error(transparent)]
    Full(#[from] TreeFull),
}

#[derive(Serialize)]
struct RangeLine {
    range: u64,
    hash: TreeHash,
}

impl Writer {
    /// Begins an export with its first line.
    ///
    /// # Errors
    /// [`ExportError::Json`].
    pub fn begin(header: &Header, out: &mut Vec<u8>) -> Result<Self, ExportError> {
        let mut writer = Self {
            digest: Sha256::new(),
            whole: header.subset.is_none(),
            announced: header.events,
            written: 0,
            least: 0,
            range: Frontier::default(),
        };
        writer.line(header, out)?;
        Ok(writer)
    }

    /// Writes the next event of a whole export. `leaf` is the hash that the tree holds: where the
    /// journal was altered since, the two do not fit, and that names the event. `range` is the
    /// hash that the tree holds over the 256 events of which this is the last; where it is not
    /// given it follows from the leaves.
    ///
    /// # Errors
    /// Every variant of [`ExportError`].
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
        self.line(&EventLine { index, entry, leaf, proof: None }, out)?;
        self.written += 1;
        self.range.append(leaf)?;
        if self.range.size() == RANGE {
            self.end_range(range, out)?;
        }
        Ok(())
    }

    /// Writes the next event of a subset, with the proof that it is in the checkpoint's tree.
    ///
    /// # Errors
    /// [`ExportError::Json`] and [`ExportError::Order`].
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
        self.line(&EventLine { index, entry, leaf, proof: Some(proof) }, out)?;
        self.written += 1;
        self.least = index.saturating_add(1);
        Ok(())
    }

    /// Ends the export with its last line.
    ///
    /// # Errors
    /// [`ExportError::Json`] and [`ExportError::Count`].
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), ExportError> {
        if self.written != self.announced {
            let (announced, written) = (self.announced, self.written);
            return Err(ExportError::Count { announced, written });
        }
        if self.range.size() > 0 {
            self.end_range(None, out)?;
        }
        let sha256 = hex(&self.digest.finalize());
        out.extend_from_slice(trailer(self.written, &sha256).as_bytes());
        out.push(b'\n');
        Ok(())
    }

    fn end_range(&mut self, hash: Option<TreeHash>, out: &mut Vec<u8>) -> Result<(), ExportError> {
        let range = self.written.saturating_sub(1) / RANGE;
        let hash = hash.unwrap_or_else(|| self.range.root());
        self.range = Frontier::default();
        self.line(&RangeLine { range, hash }, out)
    }

    fn line(&mut self, line: &impl Serialize, out: &mut Vec<u8>) -> Result<(), ExportError> {
        let from = out.len();
        serde_json::to_writer(&mut *out, line)?;
        out.push(b'\n');
        self.digest.update(out.get(from..).unwrap_or_default());
        Ok(())
    }
}
