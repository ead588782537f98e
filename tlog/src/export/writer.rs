//! Writes an export, line by line.

use crc32fast::Hasher;

use super::super::{Entry, TreeHash};
use super::event;
use super::header::Header;
use super::trailer;

/// Writes an export into buffers, which the caller writes to a file.
#[derive(Debug)]
pub struct ExportWriter {
    crc32: Hasher,
    whole: bool,
    /// The number of events in the first line; `None` if that line was left blank.
    announced: Option<u64>,
    /// The content of the first line, if that was left blank.
    first: Option<Header>,
    written: u64,
}

/// Why an export, or a line of it, cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The first line cannot be encoded.
    #[error("the first line cannot be encoded as JSON")]
    Json(#[from] serde_json::Error),
    /// The number of events differs from the one in the header.
    #[error("the header says {announced} events, and {written} were written")]
    Count {
        /// The number in the header.
        announced: u64,
        /// The number of events written.
        written: u64,
    },
    /// An event with a proof in a whole export, or one without a proof in a subset.
    #[error("event {0} has a proof in a whole export or none in a subset")]
    Kind(u64),
    /// The entry is not in canonical form: its line would not parse back to it.
    #[error("the line of event {0} does not parse back to the same event")]
    Form(u64),
}

impl ExportWriter {
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

    /// Begins an export whose number of events is not known yet. Leaves the first line blank;
    /// [`ExportWriter::finish`] returns its text.
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

    /// Writes the next event of a whole export. `index` is the index of its leaf, and `leaf` the
    /// hash that the tree holds there. If the event was altered in the journal since, the hash does
    /// not match, and a check names the event.
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

    /// Writes the line of a range, after its events: the hash that the tree holds over 256 events,
    /// or over the remaining ones in the last range.
    pub fn range(&mut self, range: u64, hash: TreeHash, out: &mut Vec<u8>) {
        let from = out.len();
        out.extend_from_slice(format!("{{\"range\":{range},\"hash\":\"{hash}\"}}\n").as_bytes());
        self.sum(from, out);
    }

    /// Writes the next event of a subset, with its inclusion proof in the checkpoint's tree.
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

    /// Writes the last line. Returns the text of the first line if that was left blank, to be
    /// written at the start of the file. In a whole export, the number of events written may differ
    /// from the header's, which is the tree's size: a check then finds that the journal was
    /// altered.
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

    /// Adds what was written from offset `from` on to the checksum.
    fn sum(&mut self, from: usize, out: &[u8]) {
        self.crc32.update(out.get(from..).unwrap_or_default());
    }
}

/// The first line, padded with spaces to this length including the line feed.
fn first_line(header: &Header, length: usize) -> Result<Vec<u8>, ExportError> {
    let mut line = serde_json::to_vec(header)?;
    line.resize(line.len().max(length.saturating_sub(1)), b' ');
    line.push(b'\n');
    Ok(line)
}
