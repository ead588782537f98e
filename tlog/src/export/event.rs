//! The line of an event.
//!
//! It is JSON of a fixed form, which is parsed by searching for the names of its members. This is
//! several times as fast as a JSON parser, and leaves only one way to read a line. Quotes in JSON
//! strings are escaped, so a member's name with its quotes cannot occur inside a string.

use std::io::Write;

use keyledger_domain::KeyId;
use memchr::memmem::Finder;
use uuid::Uuid;

use super::super::entry::Fields;
use super::super::{Entry, TreeHash};
use super::{EVENT, take_number};

const STREAM: &[u8] = b",\"stream\":\"";
const REVISION: &[u8] = b"\",\"revision\":";
const EVENT_ID: &[u8] = b",\"event_id\":\"";
const TYPE: &[u8] = b"\",\"type\":\"";
const DATA: &[u8] = b"\",\"data\":";
const METADATA: &[u8] = b",\"metadata\":";
const LEAF: &[u8] = b",\"leaf\":\"";
const PROOF: &[u8] = b"\",\"proof\":[";
const END: &[u8] = b"\"}\n";
const PROOF_END: &[u8] = b"]}\n";
const OCCURRED_AT: &[u8] = b"\"occurred_at\":\"";
/// The length of a time, in characters.
const TIME_LENGTH: usize = 27;
/// The length of a hash in base64, in characters.
const HASH_LENGTH: usize = 44;

/// Writes the line of an event; returns whether the line parses back to the same entry.
pub(super) fn write(
    index: u64,
    entry: &Entry,
    leaf: TreeHash,
    proof: Option<&[TreeHash]>,
    out: &mut Vec<u8>,
) -> bool {
    let Entry { stream, revision, event_id, event_type, data, metadata } = entry;
    let from = out.len();
    // Writing to memory cannot fail.
    let _ = write!(
        out,
        "{{\"index\":{index},\"stream\":\"{stream}\",\"revision\":{revision},\
         \"event_id\":\"{event_id}\",\"type\":\"{event_type}\",\"data\":{data},\
         \"metadata\":{metadata},\"leaf\":\"{leaf}\""
    );
    if let Some(proof) = proof {
        let hashes: Vec<_> = proof.iter().map(|hash| format!("\"{hash}\"")).collect();
        let _ = write!(out, ",\"proof\":[{}]", hashes.join(","));
    }
    out.extend_from_slice(b"}\n");
    let line = out.get(from..).unwrap_or_default();
    // A verifier would report a line that parses differently as altered.
    let once = memchr::memchr_iter(b'\n', line).count() == 1;
    let read = Reader::new().read(line);
    once && read.is_some_and(|(event, _)| event.computed == entry.hash())
}

/// The content of an event's line that a check needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) index: u64,
    pub(super) stream: Stream,
    pub(super) revision: u32,
    pub(super) at: Moment,
    /// The leaf hash computed from the event in the line.
    pub(super) computed: TreeHash,
    /// The leaf hash that the line states.
    pub(super) declared: TreeHash,
}

/// The parts of a line that only the check of a subset needs.
#[derive(Debug)]
pub(super) struct Beside {
    pub(super) data: Vec<u8>,
    pub(super) proof: Vec<TreeHash>,
}

/// Parses the lines of events.
pub(super) struct Reader {
    /// A buffer that is reused for each event.
    entry: Vec<u8>,
    metadata: Finder<'static>,
    leaf: Finder<'static>,
    occurred_at: Finder<'static>,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self {
            entry: Vec::new(),
            metadata: Finder::new(METADATA),
            leaf: Finder::new(LEAF),
            occurred_at: Finder::new(OCCURRED_AT),
        }
    }

    /// Parses the line of an event, with its data and proof if it has a proof; `None` if the line
    /// is not of the expected form.
    pub(super) fn read(&mut self, line: &[u8]) -> Option<(Event, Option<Box<Beside>>)> {
        let (index, rest) = take_number(line.strip_prefix(EVENT)?)?;
        let (stream, rest) = take_plain(rest.strip_prefix(STREAM)?)?;
        let (revision, rest) = take_number(rest.strip_prefix(REVISION)?)?;
        let (event_id, rest) = take_plain(rest.strip_prefix(EVENT_ID)?)?;
        let (event_type, rest) = take_plain(rest.strip_prefix(TYPE)?)?;
        let (data, rest) = take_object(rest.strip_prefix(DATA)?, &self.metadata)?;
        let (metadata, rest) = take_object(rest, &self.leaf)?;
        let (leaf, rest) = rest.split_at_checked(HASH_LENGTH)?;
        let proof = match rest.strip_prefix(PROOF) {
            Some(hashes) => Some(proof(hashes)?),
            None if rest == END => None,
            None => return None,
        };
        let revision = u32::try_from(revision).ok()?;
        let event = Event {
            index,
            stream: Stream::parse(stream)?,
            revision,
            at: self.moment(data)?,
            declared: hash(leaf)?,
            computed: Fields { stream, revision, event_id, event_type, data, metadata }
                .hash(&mut self.entry),
        };
        let beside = |proof| Box::new(Beside { data: data.to_vec(), proof });
        Some((event, proof.map(beside)))
    }

    /// The time at which the event with this data occurred.
    fn moment(&self, data: &[u8]) -> Option<Moment> {
        let at = self.occurred_at.find(data)?.checked_add(OCCURRED_AT.len())?;
        let text = data.get(at..at.checked_add(TIME_LENGTH)?)?;
        Moment::parse(text.try_into().ok()?)
    }
}

/// Splits a string without escapes from the text at its closing quote.
fn take_plain(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (plain, rest) = text.split_at_checked(memchr::memchr(b'"', text)?)?;
    let is_plain = plain.iter().all(|byte| *byte >= b' ' && *byte != b'\\');
    is_plain.then_some((plain, rest))
}

/// Splits the text at the beginning of the next member; returns the object before it and the text
/// after it.
fn take_object<'a>(text: &'a [u8], next: &Finder<'_>) -> Option<(&'a [u8], &'a [u8])> {
    let (object, rest) = text.split_at_checked(next.find(text)?)?;
    let is_object = object.starts_with(b"{") && object.ends_with(b"}");
    is_object.then_some((object, rest.get(next.needle().len()..)?))
}

fn hash(text: &[u8]) -> Option<TreeHash> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Parses the hashes of a proof, from after its opening bracket to the end of the line.
fn proof(text: &[u8]) -> Option<Vec<TreeHash>> {
    let hashes = text.strip_suffix(PROOF_END)?;
    if hashes.is_empty() {
        return Some(Vec::new());
    }
    let quoted = |part: &[u8]| hash(part.strip_prefix(b"\"")?.strip_suffix(b"\"")?);
    hashes.split(|byte| *byte == b',').map(quoted).collect()
}

/// The stream of a key, by the bytes of the key's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Stream(pub(super) [u8; 16]);

impl Stream {
    fn parse(name: &[u8]) -> Option<Self> {
        let key = KeyId::from_stream(std::str::from_utf8(name).ok()?)?;
        // A UUID has other text forms, which are not valid in a stream's name.
        let mut canonical = Uuid::encode_buffer();
        let written = key.as_uuid().hyphenated().encode_lower(&mut canonical);
        name.ends_with(written.as_bytes()).then(|| Self(key.as_uuid().into_bytes()))
    }

    pub(super) fn name(self) -> String {
        KeyId::from_uuid(Uuid::from_bytes(self.0)).stream()
    }
}

/// A time as the digits of its text form, which sort in the order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    seconds: u64,
    micros: u32,
}

impl Moment {
    /// Parses a time. Does not check that the date exists: the hash of the event shows whether the
    /// text was altered.
    pub(super) fn parse(text: &[u8; TIME_LENGTH]) -> Option<Self> {
        const FORM: &[u8; TIME_LENGTH] = b"dddd-dd-ddTdd:dd:dd.ddddddZ";
        let (mut seconds, mut micros, mut digits) = (0_u64, 0_u32, 0);
        for (byte, form) in text.iter().zip(FORM) {
            if *form != b'd' {
                if byte != form {
                    return None;
                }
                continue;
            }
            let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
            if digits < 14 {
                seconds = seconds * 10 + u64::from(digit);
            } else {
                micros = micros * 10 + u32::from(digit);
            }
            digits += 1;
        }
        Some(Self { seconds, micros })
    }
}
