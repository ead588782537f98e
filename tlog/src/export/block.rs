//! Cuts a file into lines, and parses each line by itself.

use super::event::{Beside, Event, Reader};
use super::{EVENT, HEADER, MAX_LINE, RANGE_LINE, TRAILER, take_number};
use crate::{Mangling, TreeHash};

/// A block of parsed lines. Parsing is most of the work of a check and needs only the text, so
/// blocks of a file can be parsed in parallel.
#[derive(Debug)]
pub(super) struct Block {
    bytes: Vec<u8>,
    lines: Vec<(usize, Line)>,
}

/// The content of a line.
#[derive(Debug)]
pub(super) enum Line {
    /// A line that begins like the first line of an export.
    Header,
    /// An event; in a subset, with its data and its proof.
    Event(Event, Option<Box<Beside>>),
    /// A line that begins like an event and cannot be parsed.
    BadEvent,
    Range(u64, TreeHash),
    Trailer,
    /// A line that cannot be parsed.
    Bad,
    /// A part of a line that is too long. `ended` tells whether the line ends with this part.
    TooLong {
        ended: bool,
    },
}

impl Block {
    /// Parses lines. They are whole, except for parts of lines that are too long to be kept.
    fn examine(bytes: Vec<u8>, continues: bool) -> Self {
        let mut lines = Vec::new();
        let mut reader = Reader::new();
        let (mut end, mut continues) = (0, continues);
        while let Some(rest) = bytes.get(end..).filter(|rest| !rest.is_empty()) {
            let length = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            let line = rest.get(..length).unwrap_or_default();
            end += length;
            let ended = line.last() == Some(&b'\n');
            let said = if continues || !ended || line.len() > MAX_LINE {
                Line::TooLong { ended }
            } else {
                examine(line, &mut reader)
            };
            continues = false;
            lines.push((end, said));
        }
        Self { bytes, lines }
    }

    /// Passes each line and its text to `take`, in order.
    pub(super) fn into_lines(self, mut take: impl FnMut(&[u8], Line)) {
        let mut from = 0;
        for (end, said) in self.lines {
            take(self.bytes.get(from..end).unwrap_or_default(), said);
            from = end;
        }
    }
}

fn examine(line: &[u8], reader: &mut Reader) -> Line {
    if line.starts_with(EVENT) {
        let read = reader.read(line);
        read.map_or(Line::BadEvent, |(event, beside)| Line::Event(event, beside))
    } else if line.starts_with(RANGE_LINE) {
        range(line).map_or(Line::Bad, |(range, hash)| Line::Range(range, hash))
    } else if line.starts_with(TRAILER) {
        Line::Trailer
    } else if line.starts_with(HEADER) {
        Line::Header
    } else {
        Line::Bad
    }
}

fn range(line: &[u8]) -> Option<(u64, TreeHash)> {
    let (range, rest) = take_number(line.strip_prefix(RANGE_LINE)?)?;
    let hash = rest.strip_prefix(b",\"hash\":\"")?.strip_suffix(b"\"}\n")?;
    Some((range, std::str::from_utf8(hash).ok()?.parse().ok()?))
}

/// Lines that are not parsed yet.
#[derive(Debug)]
pub(super) struct Unexamined {
    bytes: Vec<u8>,
    continues: bool,
}

impl Unexamined {
    /// Parses the lines.
    #[must_use]
    pub(super) fn examine(self) -> Block {
        Block::examine(self.bytes, self.continues)
    }
}

/// Cuts pieces of a file into blocks of whole lines.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    pending: Vec<u8>,
    /// Whether the next bytes continue a line that was too long to be kept.
    continues: bool,
    /// The first bytes of the file, at most [`Mangling::START`].
    start: Vec<u8>,
    /// Whether the first and the last line end in CR LF; `None` if there is no whole line yet.
    carriage_returns: Option<(bool, bool)>,
}

impl Cutter {
    /// Adds the next piece of the file; returns the lines that end in it.
    pub(super) fn cut(&mut self, piece: &[u8]) -> Option<Unexamined> {
        let missing = Mangling::START.saturating_sub(self.start.len());
        self.start.extend(piece.iter().take(missing));
        let end = memchr::memrchr(b'\n', piece).map_or(0, |at| at + 1);
        let (ended, rest) = piece.split_at_checked(end).unwrap_or((piece, &[]));
        let mut bytes = std::mem::take(&mut self.pending);
        bytes.extend_from_slice(ended);
        let continues = self.continues;
        if end > 0 {
            let last = bytes.ends_with(b"\r\n");
            let first = self.carriage_returns.map(|(first, _)| first);
            self.carriage_returns = Some((first.unwrap_or_else(|| first_line(&bytes)), last));
            self.continues = false;
            self.pending.extend_from_slice(rest);
        } else {
            bytes.extend_from_slice(rest);
            if bytes.len() <= MAX_LINE {
                self.pending = bytes;
                return None;
            }
            self.continues = true;
        }
        Some(Unexamined { bytes, continues })
    }

    /// Whether the file ends within a line.
    pub(super) fn is_within_line(&self) -> bool {
        self.continues || !self.pending.is_empty()
    }

    /// The bytes after the last line feed, unless they are too many to be kept.
    pub(super) fn rest(&self) -> &[u8] {
        &self.pending
    }

    /// How the file was changed on its way, as far as its start and its line ends show.
    pub(super) fn mangling(&self) -> Option<Mangling> {
        let line_ends = (self.carriage_returns == Some((true, true))).then_some(Mangling::LineEnds);
        Mangling::at_start(&self.start).or(line_ends)
    }
}

/// Whether the first of these lines ends in CR LF.
fn first_line(bytes: &[u8]) -> bool {
    let line = bytes.split_inclusive(|byte| *byte == b'\n').next();
    line.is_some_and(|line| line.ends_with(b"\r\n"))
}
