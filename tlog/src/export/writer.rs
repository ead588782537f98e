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
    /// How many events the first line announces; `None` while that line is left blank.
    announced: Option<u64>,
    /// The first line that comes in the end, where it was left blank.
    first: Option<Header>,
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
        let mut writer = Self::new(header, Some(header.events));
        let from = out.len();
        out.extend(first_line(header, 0)?);
        writer.sum(from, out);
        Ok(writer)
    }

    /// Begins an export of events that nobody has counted: its first line is left blank, and
    /// [`Writer::finish`] tells what belongs there.
    ///
    /// # Errors
    /// [`ExportError::Json`].
    pub fn begin_uncounted(header: Header, out: &mut Vec<u8>) -> Result<Self, ExportError> {
        let most = Header { events: u64::MAX, ..header };
        let length = first_line(&most, 0)?.len();
        out.resize(out.len().saturating_add(length), b' ');
        let writer = Self::new(&most, None);
        Ok(Self { first: Some(most), ..writer })
    }

    fn new(header: &Header, announced: Option<u64>) -> Self {
        Self {
            crc32: Hasher::new(),
            whole: header.subset.is_none(),
            announced,
            first: None,
            written: 0,
        }
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
    /// where the journal has others, that is for the reader to find. Where the first line was left
    /// blank, this is what takes its place.
    ///
    /// # Errors
    /// [`ExportError::Count`] and [`ExportError::Json`].
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<Option<Vec<u8>>, ExportError> {
        let written = self.written;
        let announced = self.announced.filter(|announced| !self.whole && *announced != written);
        if let Some(announced) = announced {
            return Err(ExportError::Count { announced, written });
        }
        let mut first = None;
        if let Some(most) = self.first.take() {
            let length = first_line(&most, 0)?.len();
            let line = first_line(&Header { events: written, ..most }, length)?;
            let mut crc32 = Hasher::new();
            crc32.update(&line);
            crc32.combine(&self.crc32);
            (self.crc32, first) = (crc32, Some(line));
        }
        out.extend_from_slice(trailer(written, self.crc32.finalize()).as_bytes());
        Ok(first)
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

/// The first line, with spaces before its end where it would be shorter than this.
fn first_line(header: &Header, length: usize) -> Result<Vec<u8>, ExportError> {
    let mut line = serde_json::to_vec(header)?;
    line.resize(line.len().max(length.saturating_sub(1)), b' ');
    line.push(b'\n');
    Ok(line)
}
