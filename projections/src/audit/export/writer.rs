//! Writes an export, line by line.

use crc32fast::Hasher;

use super::super::{Entry, TreeHash};
use super::event;
use super::header::Header;
use super::trailer;

/// Writes an export to buffers, which whoever calls it empties into a file.
#[derive(Debug)]
pub struct Writer {
    crc32: Hasher,
    whole: bool,
    announced: u64,
    written: u64,
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
    /// It is of the other kind of export.
    #[error("event {0} has a proof in a whole export or none in a subset")]
    Kind(u64),
    /// The event's entry is not of the form that every entry of ours has.
    #[error("event {0} cannot be written so that it can be read again")]
    Form(u64),
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
        };
        let from = out.len();
        serde_json::to_writer(&mut *out, header)?;
        out.push(b'\n');
        writer.sum(from, out);
        Ok(writer)
    }

    /// Writes the next event of a whole export. `index` is its place in the tree and `leaf` the hash
    /// that the tree holds there: where the journal was altered since, they do not fit, and that names
    /// the event.
    ///
    /// # Errors
    /// [`ExportError::Form`] and [`ExportError::Kind`].
    pub fn event(
        &mut self,
        index: u64,
        entry: &Entry,
        leaf: TreeHash,
        out: &mut Vec<u8>,
    ) -> Result<(), ExportError> {
        if !self.whole {
            return Err(ExportError::Kind(index));
        }
        self.line(index, entry, leaf, None, out)
    }

    /// Writes the hash that the tree holds over a range of 256 events, or over the last ones, once
    /// they are written.
    pub fn range(&mut self, range: u64, hash: TreeHash, out: &mut Vec<u8>) {
        let from = out.len();
        out.extend_from_slice(format!("{{\"range\":{range},\"hash\":\"{hash}\"}}\n").as_bytes());
        self.sum(from, out);
    }

    /// Writes the next event of a subset, with the proof that it is in the checkpoint's tree.
    ///
    /// # Errors
    /// [`ExportError::Form`] and [`ExportError::Kind`].
    pub fn proven_event(
        &mut self,
        index: u64,
        entry: &Entry,
        leaf: TreeHash,
        proof: &[TreeHash],
        out: &mut Vec<u8>,
    ) -> Result<(), ExportError> {
        if self.whole {
            return Err(ExportError::Kind(index));
        }
        self.line(index, entry, leaf, Some(proof), out)
    }

    /// Ends the export with its last line. A whole export announces as many events as the tree has:
    /// where the journal has others, that is for the reader to find.
    ///
    /// # Errors
    /// [`ExportError::Count`].
    pub fn finish(self, out: &mut Vec<u8>) -> Result<(), ExportError> {
        if !self.whole && self.written != self.announced {
            let (announced, written) = (self.announced, self.written);
            return Err(ExportError::Count { announced, written });
        }
        out.extend_from_slice(trailer(self.written, self.crc32.finalize()).as_bytes());
        Ok(())
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
