//! The findings of a check.

use std::fmt;

use super::LIMIT;
use super::event::Event;
use crate::{CheckpointError, Mangling, NoteError};

/// A way in which an export differs from what was written or signed.
///
/// Indexes are leaf indexes, from 0; lines are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are what the sentence of the variant names")]
pub enum Finding {
    /// The file is not an export of a known version.
    NotAnExport,
    /// The file, or the file of earlier checkpoints at `place`, was changed on its way.
    MangledFile { place: Option<String>, how: Mangling },
    /// This part of the first line was altered.
    AlteredHeader { part: &'static str },
    /// The checkpoint is not valid, for this reason.
    AlteredCheckpoint { reason: String },
    /// The signature of a trusted key is wrong.
    BadSignature { key: String },
    /// No trusted key has signed the checkpoint.
    UnknownKey { keys: String },
    /// The line cannot be parsed.
    UnreadableLine { line: u64 },
    /// The event does not match its leaf hash.
    AlteredEvent { index: u64, stream: String, revision: u32 },
    /// The leaf hash in the event's line was altered; the event was not.
    AlteredLeaf { index: u64 },
    /// Some of these events were altered together with their leaf hashes.
    AlteredRange { from: u64, to: u64 },
    /// The line with the hash over a range of events was altered and the events were not; or the
    /// line is out of place.
    AlteredRangeLine { range: u64 },
    /// The lines with the hashes over these ranges of events are missing.
    MissingRangeLines { from: u64, to: u64 },
    /// The events are missing.
    MissingEvents { from: u64, to: u64 },
    /// The event is out of order.
    ReorderedEvent { index: u64, line: u64 },
    /// The event occurs twice.
    DuplicatedEvent { index: u64, line: u64 },
    /// The event has the index of another event, or an index beyond the tree's size.
    AddedEvent { index: u64, line: u64 },
    /// The event's time is before that of the previous event of its stream.
    RedatedEvent { index: u64, stream: String, revision: u32 },
    /// The event's revision does not follow the previous one of its stream.
    RevisionGap { index: u64, stream: String, expected: u32, found: u32 },
    /// The event's proof does not lead to the checkpoint's root.
    WrongProof { index: u64, stream: String, revision: u32 },
    /// The event does not meet the conditions of the subset.
    NotInSubset { index: u64, stream: String, revision: u32 },
    /// The events do not lead to the checkpoint's root.
    RootDiffers,
    /// The first line states another number of events than the file holds.
    CountDiffers { announced: u64, found: u64 },
    /// The last line was altered.
    AlteredTrailer,
    /// The checksum of the file's bytes differs from the one in the last line.
    ChecksumDiffers,
    /// The file ends before the end of its last line.
    TruncatedFile,
    /// There is a line after the last line of the export.
    AfterTrailer { line: u64 },
    /// The tree does not continue an earlier checkpoint.
    RewrittenHistory { size: u64 },
    /// An earlier checkpoint has more events than this one.
    ShortenedHistory { size: u64 },
    /// The export does not suffice to compare the tree with an earlier checkpoint.
    UncomparedCheckpoint { size: u64 },
    /// An earlier checkpoint has no valid signature of a trusted key.
    UnbelievedCheckpoint { place: String, reason: String },
}

impl From<CheckpointError> for Finding {
    fn from(error: CheckpointError) -> Self {
        let altered = |reason: &str| Self::AlteredCheckpoint { reason: reason.to_owned() };
        match error {
            CheckpointError::Note(NoteError::BadSignature(key)) => Self::BadSignature { key },
            CheckpointError::Note(NoteError::UnknownKey(keys)) => Self::UnknownKey { keys },
            CheckpointError::OtherLog { .. } => altered("signed by the key of another log"),
            CheckpointError::Note(_) => altered("not a signed note"),
            CheckpointError::Form(_) => altered("not of the form of one"),
        }
    }
}

impl Finding {
    /// The finding for an earlier checkpoint that cannot be verified. `place` names its file and
    /// its number in it.
    #[must_use]
    pub fn unbelieved(place: String, error: CheckpointError) -> Self {
        Self::UnbelievedCheckpoint { place, reason: Self::from(error).to_string() }
    }

    /// Whether the finding is about a file of earlier checkpoints, not about the export.
    pub(super) fn is_of_kept_checkpoint(&self) -> bool {
        matches!(self, Self::UnbelievedCheckpoint { .. } | Self::MangledFile { place: Some(_), .. })
    }

    pub(super) fn altered(event: &Event) -> Self {
        let (index, revision) = (event.index, event.revision);
        Self::AlteredEvent { index, stream: event.stream.name(), revision }
    }

    pub(super) fn redated(event: &Event) -> Self {
        let (index, revision) = (event.index, event.revision);
        Self::RedatedEvent { index, stream: event.stream.name(), revision }
    }

    pub(super) fn wrong_proof(event: &Event) -> Self {
        let (index, revision) = (event.index, event.revision);
        Self::WrongProof { index, stream: event.stream.name(), revision }
    }

    pub(super) fn not_in_subset(event: &Event) -> Self {
        let (index, revision) = (event.index, event.revision);
        Self::NotInSubset { index, stream: event.stream.name(), revision }
    }

    /// The name of the finding, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAnExport => "not-an-export",
            Self::MangledFile { .. } => "mangled-file",
            Self::AlteredHeader { .. } => "altered-header",
            Self::AlteredCheckpoint { .. } => "altered-checkpoint",
            Self::BadSignature { .. } => "bad-signature",
            Self::UnknownKey { .. } => "unknown-key",
            Self::UnreadableLine { .. } => "unreadable-line",
            Self::AlteredEvent { .. } => "altered-event",
            Self::AlteredLeaf { .. } => "altered-leaf",
            Self::AlteredRange { .. } => "altered-range",
            Self::AlteredRangeLine { .. } => "altered-range-line",
            Self::MissingRangeLines { .. } => "missing-range-lines",
            Self::MissingEvents { .. } => "missing-events",
            Self::ReorderedEvent { .. } => "reordered-event",
            Self::DuplicatedEvent { .. } => "duplicated-event",
            Self::AddedEvent { .. } => "added-event",
            Self::RedatedEvent { .. } => "redated-event",
            Self::RevisionGap { .. } => "revision-gap",
            Self::WrongProof { .. } => "wrong-proof",
            Self::NotInSubset { .. } => "not-in-subset",
            Self::RootDiffers => "root-differs",
            Self::CountDiffers { .. } => "count-differs",
            Self::AlteredTrailer => "altered-trailer",
            Self::ChecksumDiffers => "checksum-differs",
            Self::TruncatedFile => "truncated-file",
            Self::AfterTrailer { .. } => "after-trailer",
            Self::RewrittenHistory { .. } => "rewritten-history",
            Self::ShortenedHistory { .. } => "shortened-history",
            Self::UncomparedCheckpoint { .. } => "uncompared-checkpoint",
            Self::UnbelievedCheckpoint { .. } => "unbelieved-checkpoint",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.code())?;
        match self {
            Self::NotAnExport => write!(f, "the file is no export of a version that is known"),
            Self::MangledFile { place: Some(place), how } => write!(f, "{place}: {how}"),
            Self::MangledFile { place: None, how } => write!(f, "{how}"),
            Self::AlteredHeader { part } => write!(f, "{part} of the first line was altered"),
            Self::AlteredCheckpoint { reason } => write!(f, "the checkpoint is {reason}"),
            Self::BadSignature { key } => write!(f, "the signature of {key} is wrong"),
            Self::UnknownKey { keys } => write!(f, "signed by {keys}, none of which is trusted"),
            Self::UnreadableLine { line } => write!(f, "line {line} cannot be read"),
            Self::AlteredEvent { index, stream, revision } => {
                write!(f, "event {index} ({stream}, revision {revision}) was altered")
            }
            Self::AlteredLeaf { index } => {
                write!(f, "the leaf hash of event {index} was altered, the event was not")
            }
            Self::AlteredRange { from, to } => {
                write!(f, "among events {from} to {to} some were altered with their leaf hashes")
            }
            Self::AlteredRangeLine { range } => {
                write!(f, "the line of range {range} was altered or does not belong there")
            }
            Self::MissingRangeLines { from, to } if from == to => {
                write!(f, "the line of range {from} is missing")
            }
            Self::MissingRangeLines { from, to } => {
                write!(f, "the lines of ranges {from} to {to} are missing")
            }
            Self::MissingEvents { from, to } if from == to => {
                write!(f, "event {from} is missing")
            }
            Self::MissingEvents { from, to } => write!(f, "events {from} to {to} are missing"),
            Self::ReorderedEvent { index, line } => {
                write!(f, "event {index} stands out of order, on line {line}")
            }
            Self::DuplicatedEvent { index, line } => {
                write!(f, "event {index} stands there again, on line {line}")
            }
            Self::AddedEvent { index, line } => {
                write!(f, "line {line} is not of the tree: it was added as event {index}")
            }
            Self::RedatedEvent { index, stream, revision } => {
                write!(f, "event {index} ({stream}, revision {revision}) ")?;
                write!(f, "is dated before its predecessor")
            }
            Self::RevisionGap { index, stream, expected, found } => {
                write!(f, "event {index} of {stream} has revision {found}, not {expected}")
            }
            Self::WrongProof { index, stream, revision } => {
                write!(f, "event {index} ({stream}, revision {revision}) is not proven: ")?;
                write!(f, "its proof was altered, or the event with its leaf hash")
            }
            Self::NotInSubset { index, stream, revision } => {
                write!(f, "event {index} ({stream}, revision {revision}) is none of the subset's")
            }
            Self::RootDiffers => write!(f, "the events do not lead to the checkpoint's root"),
            Self::CountDiffers { announced, found } => {
                write!(f, "{announced} events are announced, {found} are there")
            }
            Self::AlteredTrailer => write!(f, "the last line was altered"),
            Self::ChecksumDiffers => write!(f, "the file's bytes are not those that were written"),
            Self::TruncatedFile => write!(f, "the file ends before its last line does"),
            Self::AfterTrailer { line } => write!(f, "line {line} comes after the last"),
            Self::RewrittenHistory { size } => {
                write!(f, "the first {size} events are not those of the earlier checkpoint")
            }
            Self::ShortenedHistory { size } => {
                write!(f, "an earlier checkpoint has {size} events, more than this one")
            }
            Self::UncomparedCheckpoint { size } => {
                write!(f, "the earlier checkpoint of {size} events cannot be compared")
            }
            Self::UnbelievedCheckpoint { place, reason } => write!(f, "{place}: {reason}"),
        }
    }
}

/// The findings so far. Only the first [`LIMIT`] are kept, to bound the memory.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) first: Vec<Finding>,
    pub(super) more: u64,
}

impl Findings {
    pub(super) fn add(&mut self, finding: Finding) {
        if self.first.len() < LIMIT {
            self.first.push(finding);
        } else {
            self.more = self.more.saturating_add(1);
        }
    }
}
