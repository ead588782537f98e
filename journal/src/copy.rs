//! Copies one journal into another: the same events in the same order, with the same ids and
//! revisions. The target assigns its own positions.

use futures::StreamExt;
use futures::future::join_all;
use keyledger_domain::{Delivery, Position, RecordedEvent, Revision, encode};
use sha2::{Digest, Sha256};

use crate::{
    Append, AppendError, Cause, Expected, Journal, JournalReader, NewEvent, ReadError, Subscription,
};

/// How many events are appended at once to a target that keeps the order of appends.
const TOGETHER: usize = 256;
/// How many times an append is sent again if its outcome is unknown.
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
    /// An event cannot be appended to the target.
    #[error("event {number} cannot be appended")]
    Append {
        /// The number of the event, from 1.
        number: u64,
        /// The reason.
        #[source]
        source: AppendError,
    },
    /// The target contains events that the source does not begin with.
    #[error("event {0} of the target is not event {0} of the source: copy into an empty journal")]
    Differs(u64),
    /// An event cannot be encoded, so it cannot be hashed.
    #[error("an event cannot be encoded")]
    Encode(#[source] Cause),
}

/// Copies the events that the target does not contain yet, and returns what it contains then. Calls
/// `copied` with the number of each event, from 1, that the target is known to contain. With
/// `keeps_order`, many events are appended at once (see [`keeps_order`](crate::keeps_order)).
///
/// # Errors
/// Every variant of [`CopyError`]. The events that were copied until then stay, and another call
/// continues after them.
pub async fn copy(
    source: &dyn JournalReader,
    target: &dyn Journal,
    keeps_order: bool,
    mut copied: impl FnMut(u64),
) -> Result<Contents, CopyError> {
    let mut events = source.subscribe(Position::START);
    let mut number = 0;
    let mut existing = target.subscribe(Position::START);
    while let Some(known) = next(&mut existing).await? {
        number += 1;
        match next(&mut events).await? {
            Some(event) if is_same(&event, &known) => copied(number),
            Some(_) | None => return Err(CopyError::Differs(number)),
        }
    }
    drop(existing);
    let most = if keeps_order { TOGETHER } else { 1 };
    let mut waiting: Vec<RecordedEvent> = Vec::new();
    loop {
        let event = next(&mut events).await?;
        // Two events of one key must not be appended at once: each expects the one before it.
        let has_key_of = |event: &RecordedEvent| {
            waiting.iter().any(|one| one.event.key_id() == event.event.key_id())
        };
        let is_complete = waiting.len() == most || event.as_ref().is_none_or(has_key_of);
        if is_complete && !waiting.is_empty() {
            let appends = waiting.drain(..).map(|event| append(target, event));
            for outcome in join_all(appends).await {
                number += 1;
                outcome.map_err(|source| CopyError::Append { number, source })?;
                copied(number);
            }
        }
        match event {
            Some(event) => waiting.push(event),
            None => break,
        }
    }
    contents(target.subscribe(Position::START)).await
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

/// Whether two events are the same except for their positions.
fn is_same(one: &RecordedEvent, other: &RecordedEvent) -> bool {
    one == &RecordedEvent { position: one.position, ..other.clone() }
}

async fn append(target: &dyn Journal, recorded: RecordedEvent) -> Result<(), AppendError> {
    let RecordedEvent { revision, id, event, metadata, .. } = recorded;
    let expected = match revision.as_u32().checked_sub(1) {
        None => Expected::NoStream,
        Some(before) => Expected::Revision(Revision::new(before)),
    };
    let key_id = event.key_id();
    let append = Append { key_id, expected, events: vec![NewEvent { id, event, metadata }] };
    let mut resends = 0;
    loop {
        match target.append(append.clone()).await {
            Ok(_) => return Ok(()),
            Err(AppendError::Ambiguous(_)) if resends < RESENDS => resends += 1,
            Err(error) => return Err(error),
        }
    }
}
