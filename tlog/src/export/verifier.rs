//! Checks an export from its first byte to its last.

use crc32fast::Hasher;

use super::block::{Block, Cutter, Line};
use super::finding::{Finding, Findings};
use super::header::Header;
use super::proven::Proven;
use super::whole::Whole;
use super::{TRAILER, take_number, trailer};
use crate::{Checkpoint, CheckpointError, Note, NoteError, VerifyingKey};

/// Checks an export that is handed to it piece by piece.
#[derive(Debug)]
pub struct Verifier {
    trusted: Vec<VerifyingKey>,
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
    /// The first line is yet to come.
    Header,
    /// The first line says too little to check the events by.
    Unknown,
    Whole(Box<Whole>),
    Proven(Box<Proven>),
    /// The last line has come.
    Over,
}

/// What came of a check.
#[derive(Clone, Debug)]
pub struct Report {
    /// The first line, if it could be read.
    pub header: Option<Header>,
    /// The checkpoint that the events were checked against. It is to be believed only if there
    /// are no findings.
    pub checkpoint: Option<Checkpoint>,
    /// How many events the file holds.
    pub events: u64,
    /// The first thousand findings.
    pub findings: Vec<Finding>,
    /// How many findings there are beyond these.
    pub more: u64,
}

impl Report {
    /// Whether everything is as it was signed.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.findings.is_empty()
    }
}

impl Verifier {
    /// Checks against these public keys, of which one must have signed. Without any, the file is
    /// checked against the key that it names itself, which proves nothing against whoever made it.
    #[must_use]
    pub fn new(trusted: Vec<VerifyingKey>) -> Self {
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

    /// Also checks that the tree continues these, which were kept from earlier and are believed.
    #[must_use]
    pub fn continues(mut self, earlier: Vec<Checkpoint>) -> Self {
        self.earlier = earlier;
        self
    }

    /// The same with a signed note. One that no trusted key has signed as it is, is a finding, in
    /// which `place` tells where the note stands.
    #[must_use]
    pub fn continues_note(mut self, note: &str, place: String) -> Self {
        match Checkpoint::open(note, &self.trusted) {
            Ok(checkpoint) => self.earlier.push(checkpoint),
            Err(error) => self.findings.add(Finding::unbelieved(place, error)),
        }
        self
    }

    /// How many events were read so far.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Takes the next piece of the file, of any length.
    pub fn feed(&mut self, piece: &[u8]) {
        if let Some(block) = self.cutter.cut(piece) {
            self.take(block.examine());
        }
    }

    /// Takes the next lines.
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
        let own: Option<VerifyingKey> = header.public_key.parse().ok();
        if self.trusted.is_empty() {
            self.trusted.extend(own.clone());
        } else if own.is_none_or(|own| did_not_sign(&own, &header.checkpoint)) {
            self.findings.add(Finding::AlteredHeader { part: "the public key" });
        }
        // What was signed by nobody is still worth comparing with the events.
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

    /// Ends the check: this was the whole file.
    #[must_use]
    pub fn finish(self) -> Report {
        let within_line = self.cutter.is_within_line();
        self.end(within_line)
    }

    pub(super) fn end(mut self, within_line: bool) -> Report {
        let body = std::mem::replace(&mut self.body, Body::Over);
        match body {
            Body::Over if !within_line => {}
            Body::Over => self.findings.add(Finding::AfterTrailer { line: self.line + 1 }),
            Body::Header => self.findings.add(Finding::NotAnExport),
            body @ (Body::Unknown | Body::Whole(_) | Body::Proven(_)) => {
                self.finish_body(body);
                self.findings.add(Finding::TruncatedFile);
            }
        }
        Report {
            header: self.header,
            checkpoint: self.checkpoint,
            events: self.events,
            findings: self.findings.first,
            more: self.findings.more,
        }
    }
}

/// Whether a note has no signature of this key, be it right or wrong.
fn did_not_sign(key: &VerifyingKey, note: &str) -> bool {
    let opened = Checkpoint::open(note, std::slice::from_ref(key));
    matches!(
        opened,
        Err(CheckpointError::Note(NoteError::UnknownKey(_)) | CheckpointError::OtherLog { .. })
    )
}

/// The number of events and the hex digits of the checksum.
fn parse_trailer(line: &[u8]) -> Option<(u64, &[u8])> {
    let (events, rest) = take_number(line.strip_prefix(TRAILER)?)?;
    let (crc32, rest) = rest.strip_prefix(b",\"crc32\":\"")?.split_at_checked(8)?;
    (rest == b"\"}\n").then_some((events, crc32))
}
