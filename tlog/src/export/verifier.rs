//! The check of an export from its first byte to its last.

use crc32fast::Hasher;

use super::block::{Block, Cutter, Line};
use super::finding::{Finding, Findings};
use super::header::Header;
use super::proven::Proven;
use super::whole::Whole;
use super::{TRAILER, take_number, trailer};
use crate::{Checkpoint, CheckpointError, Mangling, Note, NoteError, NoteVerifyingKey};

/// Checks an export that is passed to it piece by piece.
#[derive(Debug)]
pub struct ExportVerifier {
    trusted: Vec<NoteVerifyingKey>,
    earlier: Vec<Checkpoint>,
    cutter: Cutter,
    line: u64,
    crc32: Hasher,
    header: Option<Header>,
    checkpoint: Option<Checkpoint>,
    body: Body,
    events: u64,
    findings: Findings,
}

#[derive(Debug)]
enum Body {
    /// The first line is expected next.
    Header,
    /// The first line does not hold what is needed to check the events.
    Unknown,
    Whole(Box<Whole>),
    Proven(Box<Proven>),
    /// The last line has been read.
    Over,
}

/// The result of a check.
#[derive(Clone, Debug)]
pub struct Report {
    /// The content of the first line, if it could be parsed.
    pub header: Option<Header>,
    /// The checkpoint that the events were checked against. Do not trust it if there are findings.
    pub checkpoint: Option<Checkpoint>,
    /// The number of events in the file.
    pub events: u64,
    /// The first findings, at most 1,000.
    pub findings: Vec<Finding>,
    /// The number of further findings.
    pub more: u64,
}

impl Report {
    /// Whether all findings are of files that were changed on their way, and there is one.
    #[must_use]
    pub fn is_mangled(&self) -> bool {
        let is_mangled = |finding: &Finding| matches!(finding, Finding::MangledFile { .. });
        !self.is_good() && self.findings.iter().all(is_mangled)
    }

    /// Whether there are no findings.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.findings.is_empty()
    }
}

impl ExportVerifier {
    /// Checks against these public keys, one of which must have signed. If there are none, the file
    /// is checked against the key that it names itself, which does not protect against a forged
    /// file.
    #[must_use]
    pub fn new(trusted: Vec<NoteVerifyingKey>) -> Self {
        Self {
            trusted,
            earlier: Vec::new(),
            cutter: Cutter::default(),
            line: 0,
            crc32: Hasher::new(),
            header: None,
            checkpoint: None,
            body: Body::Header,
            events: 0,
            findings: Findings::default(),
        }
    }

    /// Also checks that the tree continues these earlier checkpoints, which are trusted.
    #[must_use]
    pub fn continues(mut self, earlier: Vec<Checkpoint>) -> Self {
        self.earlier = earlier;
        self
    }

    /// Also checks that the tree continues the checkpoint in this signed note. A note without a
    /// valid signature of a trusted key becomes a finding that names `place`.
    #[must_use]
    pub fn continues_note(mut self, note: &str, place: String) -> Self {
        match Checkpoint::open(note, &self.trusted) {
            Ok(checkpoint) => self.earlier.push(checkpoint),
            Err(error) => self.findings.add(Finding::unbelieved(place, error)),
        }
        self
    }

    /// Adds a finding about a file of earlier checkpoints.
    #[must_use]
    pub fn with_finding(mut self, finding: Finding) -> Self {
        self.findings.add(finding);
        self
    }

    /// The number of events read so far.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Checks the next piece of the file, of any length.
    pub fn feed(&mut self, piece: &[u8]) {
        if let Some(block) = self.cutter.cut(piece) {
            self.take(block.examine());
        }
    }

    /// Checks the next lines.
    pub(super) fn take(&mut self, block: Block) {
        block.into_lines(|text, line| self.take_line(text, line));
    }

    fn take_line(&mut self, text: &[u8], line: Line) {
        if let Line::TooLong { ended } = line {
            self.crc32.update(text);
            if ended {
                self.line += 1;
                self.findings.add(Finding::UnreadableLine { line: self.line });
            }
            return;
        }
        self.line += 1;
        let begun = !matches!(self.body, Body::Header | Body::Over);
        if begun && matches!(line, Line::Trailer) {
            let body = std::mem::replace(&mut self.body, Body::Over);
            self.finish_body(body);
            self.read_trailer(text);
            return;
        }
        self.crc32.update(text);
        self.events += u64::from(begun && matches!(line, Line::Event(..) | Line::BadEvent));
        let (number, findings) = (self.line, &mut self.findings);
        match (&mut self.body, line) {
            (Body::Header, line) => self.read_header(text, &line),
            (Body::Over, _) => findings.add(Finding::AfterTrailer { line: number }),
            (Body::Unknown, _) => {}
            (Body::Whole(whole), Line::Event(event, None)) => whole.event(event, number, findings),
            (Body::Whole(whole), Line::Range(range, hash)) => {
                whole.range_line(range, hash, findings);
            }
            (Body::Proven(proven), Line::Event(event, Some(beside))) => {
                proven.event(&event, &beside, number, findings);
            }
            (Body::Whole(_) | Body::Proven(_), _) => {
                findings.add(Finding::UnreadableLine { line: number });
            }
        }
    }

    fn read_header(&mut self, text: &[u8], line: &Line) {
        self.body = Body::Unknown;
        if !matches!(line, Line::Header) {
            return self.findings.add(Finding::NotAnExport);
        }
        let Ok(header) = serde_json::from_slice::<Header>(text) else {
            return self.findings.add(Finding::AlteredHeader { part: "the form" });
        };
        if !header.is_known() {
            return self.findings.add(Finding::NotAnExport);
        }
        self.body = self.check_header(&header);
        self.header = Some(header);
    }

    fn check_header(&mut self, header: &Header) -> Body {
        let own: Option<NoteVerifyingKey> = header.public_key.parse().ok();
        if self.trusted.is_empty() {
            self.trusted.extend(own.clone());
        } else if own.is_none_or(|own| did_not_sign(&own, &header.checkpoint)) {
            self.findings.add(Finding::AlteredHeader { part: "the public key" });
        }
        // A checkpoint without a valid signature is still compared with the events.
        if let Err(error) = Checkpoint::open(&header.checkpoint, &self.trusted) {
            self.findings.add(error.into());
        }
        let note = Note::parse(&header.checkpoint).ok();
        let Some(checkpoint) = note.and_then(|note| Checkpoint::parse(note.text()).ok()) else {
            return Body::Unknown;
        };
        self.checkpoint = Some(checkpoint.clone());
        if header.origin != checkpoint.origin {
            self.findings.add(Finding::AlteredHeader { part: "the origin" });
        }
        let earlier = std::mem::take(&mut self.earlier);
        match &header.subset {
            None => {
                if header.events != checkpoint.size {
                    self.findings.add(Finding::AlteredHeader { part: "the number of events" });
                }
                Body::Whole(Box::new(Whole::new(checkpoint.size, earlier)))
            }
            Some(subset) => Body::Proven(Box::new(Proven::new(subset, checkpoint, earlier))),
        }
    }

    fn finish_body(&mut self, body: Body) {
        let root = self.checkpoint.as_ref().map(|checkpoint| checkpoint.root);
        match (body, root) {
            (Body::Whole(whole), Some(root)) => whole.finish(root, &mut self.findings),
            (Body::Proven(proven), _) => proven.finish(&mut self.findings),
            (Body::Whole(_) | Body::Unknown | Body::Header | Body::Over, _) => {}
        }
        let announced = self.header.as_ref().map(|header| header.events);
        if let Some(announced) = announced.filter(|announced| *announced != self.events) {
            self.findings.add(Finding::CountDiffers { announced, found: self.events });
        }
    }

    fn read_trailer(&mut self, line: &[u8]) {
        let Some((events, crc32)) = parse_trailer(line) else {
            return self.findings.add(Finding::AlteredTrailer);
        };
        if events != self.events {
            self.findings.add(Finding::AlteredTrailer);
        }
        let expected = trailer(events, self.crc32.clone().finalize());
        if parse_trailer(expected.as_bytes()).is_none_or(|(_, expected)| expected != crc32) {
            self.findings.add(Finding::ChecksumDiffers);
        }
    }

    /// Ends the check at the end of the file.
    #[must_use]
    pub fn finish(mut self) -> Report {
        let cutter = std::mem::take(&mut self.cutter);
        self.end(&cutter)
    }

    pub(super) fn end(mut self, cutter: &Cutter) -> Report {
        let body = std::mem::replace(&mut self.body, Body::Over);
        match body {
            Body::Over if !cutter.is_within_line() => {}
            Body::Over => self.findings.add(Finding::AfterTrailer { line: self.line + 1 }),
            Body::Header => self.findings.add(Finding::NotAnExport),
            body @ (Body::Unknown | Body::Whole(_) | Body::Proven(_)) => {
                self.finish_body(body);
                let how = Mangling::LastLineFeed;
                self.findings.add(if self.lacks_line_feed_only(cutter.rest()) {
                    Finding::MangledFile { place: None, how }
                } else {
                    Finding::TruncatedFile
                });
            }
        }
        if let Some(how) = cutter.mangling().filter(|_| !self.findings.first.is_empty()) {
            // Of the content of the file, nothing can be said.
            self.findings.first.retain(Finding::is_of_kept_checkpoint);
            self.findings.more = 0;
            self.findings.add(Finding::MangledFile { place: None, how });
        }
        Report {
            header: self.header,
            checkpoint: self.checkpoint,
            events: self.events,
            findings: self.findings.first,
            more: self.findings.more,
        }
    }

    /// Whether the file is good but for the line feed after these last bytes.
    fn lacks_line_feed_only(&self, rest: &[u8]) -> bool {
        let line = [rest, b"\n"].concat();
        let is_good = self.findings.first.iter().all(Finding::is_of_kept_checkpoint);
        let trailer = trailer(self.events, self.crc32.clone().finalize());
        is_good && line == trailer.as_bytes()
    }
}

/// Whether a note has no signature of this key, valid or not.
fn did_not_sign(key: &NoteVerifyingKey, note: &str) -> bool {
    let opened = Checkpoint::open(note, std::slice::from_ref(key));
    matches!(
        opened,
        Err(CheckpointError::Note(NoteError::UnknownKey(_)) | CheckpointError::OtherLog { .. })
    )
}

/// Parses the last line; returns the number of events and the hex digits of the checksum.
fn parse_trailer(line: &[u8]) -> Option<(u64, &[u8])> {
    let (events, rest) = take_number(line.strip_prefix(TRAILER)?)?;
    let (crc32, rest) = rest.strip_prefix(b",\"crc32\":\"")?.split_at_checked(8)?;
    (rest == b"\"}\n").then_some((events, crc32))
}
