//! The line of an event.

use std::borrow::Cow;

use keyledger_domain::KeyId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::leaf::Fields;
use super::super::{Entry, TreeHash};

/// A line as it is written.
#[derive(Serialize)]
pub(super) struct EventLine<'a> {
    pub(super) index: u64,
    #[serde(flatten)]
    pub(super) entry: &'a Entry,
    pub(super) leaf: TreeHash,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) proof: Option<&'a [TreeHash]>,
}

/// A line as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    index: u64,
    #[serde(borrow)]
    stream: Cow<'a, str>,
    revision: u32,
    #[serde(borrow)]
    event_id: Cow<'a, str>,
    #[serde(rename = "type", borrow)]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    data: Cow<'a, str>,
    #[serde(borrow)]
    metadata: Cow<'a, str>,
    leaf: TreeHash,
    proof: Option<Vec<TreeHash>>,
}

/// What the checks need of an event's data.
#[derive(Deserialize)]
struct Told<'a> {
    #[serde(borrow)]
    user_id: Cow<'a, str>,
    #[serde(borrow)]
    occurred_at: Cow<'a, str>,
}

/// What an event's line says, and what it should say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) index: u64,
    pub(super) stream: Stream,
    pub(super) revision: u32,
    pub(super) at: Moment,
    /// The hash of the event that the line holds.
    pub(super) computed: TreeHash,
    /// The hash that the line says is the event's.
    pub(super) declared: TreeHash,
}

/// What the line of a subset holds beside the event.
#[derive(Debug)]
pub(super) struct Beside {
    pub(super) user_id: String,
    pub(super) proof: Vec<TreeHash>,
}

/// A key's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Stream(pub(super) [u8; 16]);

impl Stream {
    fn parse(name: &str) -> Option<Self> {
        let key = KeyId::from_stream(name)?;
        // A UUID has other text forms, which name no stream.
        let mut canonical = Uuid::encode_buffer();
        let written = key.as_uuid().hyphenated().encode_lower(&mut canonical);
        name.ends_with(&*written).then(|| Self(key.as_uuid().into_bytes()))
    }

    pub(super) fn name(self) -> String {
        KeyId::from_uuid(Uuid::from_bytes(self.0)).stream()
    }
}

/// A time in its one text form, as digits: they sort as times do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    seconds: u64,
    micros: u32,
}

impl Moment {
    /// Whether such a day exists is not asked: that the text was not altered is proven otherwise.
    pub(super) fn parse(text: &str) -> Option<Self> {
        const FORM: &[u8; 27] = b"dddd-dd-ddTdd:dd:dd.ddddddZ";
        let text: &[u8; 27] = text.as_bytes().try_into().ok()?;
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

/// Reads the line of an event, and what proves it if that is there; `None` if it cannot be read.
/// `scratch` is what an earlier call has left.
pub(super) fn read(line: &[u8], scratch: &mut Vec<u8>) -> Option<(Event, Option<Box<Beside>>)> {
    let line: Line<'_> = serde_json::from_slice(line).ok()?;
    let told: Told<'_> = serde_json::from_str(&line.data).ok()?;
    let fields = Fields {
        stream: &line.stream,
        revision: line.revision,
        event_id: &line.event_id,
        event_type: &line.event_type,
        data: &line.data,
        metadata: &line.metadata,
    };
    let event = Event {
        index: line.index,
        stream: Stream::parse(&line.stream)?,
        revision: line.revision,
        at: Moment::parse(&told.occurred_at)?,
        computed: fields.hash(scratch),
        declared: line.leaf,
    };
    let beside = |proof| Box::new(Beside { user_id: told.user_id.into_owned(), proof });
    Some((event, line.proof.map(beside)))
}
