//! Copies one journal into another: the same events in the same order, with the same ids and
//! revisions. The target assigns its own positions.

use std::fmt;

use futures::StreamExt;
use keyledger_domain::{Delivery, Place, Position, RecordedEvent, Revision, encode};
use sha2::{Digest, Sha256};

use crate::{
    Append, AppendError, Cause, Expected, Journal, JournalReader, NewEvent, ReadError, Subscription,
};

/// The most events that are appended together.
const TOGETHER: usize = 256;
/// How many times appends are sent again if their outcome is unknown.
const RESENDS: u32 = 20;

/// What a journal contains, to compare two of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The number of events.
    pub events: u64,
    /// The SHA-256 of all events in order: of stream, type, data, metadata, revision and id of each.
    pub hash: [u8; 32],
}

/// Why a journal cannot be copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The source or the target cannot be read.
    #[error("the events cannot be read")]
    Read(#[from] ReadError),
    /// A subscription to the source or the target ended too early.
    #[error("the events ended")]
    Ended,
    /// Events cannot be appended to the target. It may contain some of them, and then all before these.
    #[error("the events from number {number} on cannot be appended")]
    Append {
        /// The number of the first of them, from 1.
        number: u64,
        /// The reason.
        #[source]
        source: AppendError,
    },
    /// The target contains an event that the source does not have at this place in the order.
    #[error(
        "event {number} of the target is not event {number} of the source: {how}; copy into an empty \
         journal"
    )]
    Differs {
        /// The number of the event, from 1.
        number: u64,
        /// In what they differ.
        how: Difference,
    },
    /// A journal does not have the last event any more that was copied: it was set back, or another
    /// server has taken its place, which was behind.
    #[error("the history of the {journal} has changed during the copy: it no longer has {place}")]
    HistoryChanged {
        /// Which of the two journals.
        journal: Side,
        /// The event.
        place: Place,
    },
    /// An event cannot be encoded, so it cannot be hashed.
    #[error("an event cannot be encoded")]
    Encode(#[source] Cause),
}

impl CopyError {
    /// Whether another call may succeed without anything being repaired. It continues the copy.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Read(error) => error.is_passing(),
            Self::Append { source, .. } => source.is_passing(),
            Self::Ended | Self::HistoryChanged { .. } => true,
            Self::Differs { .. } | Self::Encode(_) => false,
        }
    }
}

/// In what an event of the target differs from the event of the source with the same number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    /// The source has no event with this number.
    #[error("the target has {0}, and the source ends before it")]
    Beyond(Place),
    /// They have different ids.
    #[error("the target has {target}, and the source has {origin}")]
    Event {
        /// The target's event.
        target: Place,
        /// The source's event.
        origin: Place,
    },
    /// They have the same id, but this part of them is not the same.
    #[error("the target has {target} with another {part} than the source")]
    Part {
        /// The target's event.
        target: Place,
        /// What is not the same: revision, data or metadata.
        part: &'static str,
    },
}

/// One of the two journals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The journal that is copied.
    Source,
    /// The journal that is copied to.
    Target,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Target => "target",
        })
    }
}

/// Copies the events that the target does not contain yet, and returns what it contains then. Calls
/// `copied` with the number of each event, from 1, that the target is known to contain.
///
/// # Errors
/// Every variant of [`CopyError`]. The events that were copied until then stay, and another call
/// continues after them.
pub async fn copy(
    source: &dyn JournalReader,
    target: &dyn Journal,
    mut copied: impl FnMut(u64),
) -> Result<Contents, CopyError> {
    let mut copy = Copying { source, target, number: 0, last: None };
    let mut events = source.subscribe(Position::START);
    let mut existing = target.subscribe(Position::START);
    while let Some(known) = next(&mut existing).await? {
        let event = next(&mut events).await?;
        copy.compare(event.as_ref(), &known)?;
        copied(copy.number);
    }
    drop(existing);
    let mut group: Vec<RecordedEvent> = Vec::new();
    loop {
        let event = next(&mut events).await?;
        // Two events of one key are not appended together: each expects the one before it.
        let has_key_of = |event: &RecordedEvent| {
            group.iter().any(|one| one.event.key_id() == event.event.key_id())
        };
        let is_complete = group.len() == TOGETHER || event.as_ref().is_none_or(has_key_of);
        if is_complete && !group.is_empty() {
            copy.append(std::mem::take(&mut group)).await?;
            copied(copy.number);
        }
        match event {
            Some(event) => group.push(event),
            None => break,
        }
    }
    contents(target.subscribe(Position::START)).await
}

/// A copy that is made.
struct Copying<'a> {
    source: &'a dyn JournalReader,
    target: &'a dyn Journal,
    /// How many events the target contains.
    number: u64,
    /// The places of the last of them.
    last: Option<Places>,
}

/// Where both journals have an event.
#[derive(Clone, Copy)]
struct Places {
    source: Place,
    target: Place,
}

impl Copying<'_> {
    /// Notes that the target contains the next event, if it is that of the source.
    fn compare(
        &mut self,
        event: Option<&RecordedEvent>,
        known: &RecordedEvent,
    ) -> Result<(), CopyError> {
        self.number += 1;
        let target = known.place();
        let how = match event {
            None => Difference::Beyond(target),
            Some(event) if event.id != known.id => {
                Difference::Event { target, origin: event.place() }
            }
            Some(event) => match different_part(event, known) {
                Some(part) => Difference::Part { target, part },
                None => {
                    self.last = Some(Places { source: event.place(), target });
                    return Ok(());
                }
            },
        };
        Err(CopyError::Differs { number: self.number, how })
    }

    /// Appends the next events, if both journals still have the last one.
    async fn append(&mut self, group: Vec<RecordedEvent>) -> Result<(), CopyError> {
        let number = self.number + 1;
        let places: Vec<_> = group.iter().map(RecordedEvent::place).collect();
        let appends: Vec<_> = group.into_iter().map(append_of).collect();
        let mut resends = 0;
        let appended = loop {
            // Before each attempt: the target may be another server than that of the one before.
            self.check().await?;
            match self.target.append_in_order(appends.clone()).await {
                Ok(appended) => break appended,
                Err(AppendError::Ambiguous(_)) if resends < RESENDS => resends += 1,
                Err(source) => return Err(CopyError::Append { number, source }),
            }
        };
        let before = self.last.map(|last| last.target.position);
        if appended.first().is_some_and(|first| before.is_some_and(|it| first.position <= it)) {
            self.check().await?;
        }
        if let (Some(source), Some(at)) = (places.last().copied(), appended.last()) {
            let target = Place { position: at.position, event_id: source.event_id };
            self.last = Some(Places { source, target });
        }
        self.number += u64::try_from(places.len()).unwrap_or(u64::MAX);
        Ok(())
    }

    /// Checks that both journals have the last event that they both contain.
    async fn check(&self) -> Result<(), CopyError> {
        let Some(Places { source, target }) = self.last else { return Ok(()) };
        if self.source.holds(source).await? == Some(false) {
            return Err(CopyError::HistoryChanged { journal: Side::Source, place: source });
        }
        if self.target.holds(target).await? == Some(false) {
            return Err(CopyError::HistoryChanged { journal: Side::Target, place: target });
        }
        Ok(())
    }
}

/// Counts and hashes the events of a subscription up to the first [`Delivery::CaughtUp`].
///
/// # Errors
/// [`CopyError::Read`], [`CopyError::Ended`] and [`CopyError::Encode`].
pub async fn contents(mut events: Subscription) -> Result<Contents, CopyError> {
    let mut hash = Sha256::new();
    let mut count = 0;
    while let Some(event) = next(&mut events).await? {
        count += 1;
        let form = encode(&event.event, &event.metadata)
            .map_err(|error| CopyError::Encode(error.into()))?;
        let stream = event.event.key_id().stream();
        for part in [
            stream.as_bytes(),
            form.event_type.as_bytes(),
            form.data.as_bytes(),
            form.metadata.as_bytes(),
        ] {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        hash.update(event.revision.as_u32().to_be_bytes());
        hash.update(event.id.as_uuid().as_bytes());
    }
    Ok(Contents { events: count, hash: hash.finalize().into() })
}

/// The next event; `None` when the subscription has caught up.
async fn next(events: &mut Subscription) -> Result<Option<RecordedEvent>, CopyError> {
    match events.next().await.ok_or(CopyError::Ended)?? {
        Delivery::Event(event) => Ok(Some(event)),
        Delivery::CaughtUp(_) => Ok(None),
    }
}

/// What is not the same of two events with the same id; their positions may differ.
fn different_part(one: &RecordedEvent, other: &RecordedEvent) -> Option<&'static str> {
    if one.revision != other.revision {
        Some("revision")
    } else if one.event != other.event {
        Some("data")
    } else if one.metadata != other.metadata {
        Some("metadata")
    } else {
        None
    }
}

fn append_of(recorded: RecordedEvent) -> Append {
    let RecordedEvent { revision, id, event, metadata, .. } = recorded;
    let expected = match revision.as_u32().checked_sub(1) {
        None => Expected::NoStream,
        Some(before) => Expected::Revision(Revision::new(before)),
    };
    Append { key_id: event.key_id(), expected, events: vec![NewEvent { id, event, metadata }] }
}
