//! Copies one journal into another: the same events, in the same order, with the same ids and
//! revisions. Positions are the new journal's own.

use futures::StreamExt;
use futures::future::join_all;
use keyledger_domain::Delivery;
use keyledger_domain::{Position, RecordedEvent, encode};
use sha2::{Digest, Sha256};

use super::{
    Append, AppendError, Cause, Expected, Journal, JournalReader, NewEvent, ReadError, Subscription,
};

/// How many events are appended at once where that keeps their order.
const TOGETHER: usize = 256;
/// How often an append is sent again whose outcome is unknown.
const RESENDS: u32 = 20;

/// What a journal holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// How many events.
    pub events: u64,
    /// The SHA-256 of all of them, in order: of each one's stream, revision, id, type, data and
    /// metadata.
    pub hash: [u8; 32],
}

/// Why a journal is not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// One of them cannot be read.
    #[error("the events cannot be read")]
    Read(#[from] ReadError),
    /// One of them ended.
    #[error("the events ended")]
    Ended,
    /// An event cannot be appended.
    #[error("event {number} cannot be appended")]
    Append {
        /// Which, from 1.
        number: u64,
        /// Why.
        #[source]
        source: AppendError,
    },
    /// The target holds something else than what the source begins with.
    #[error("event {0} of the target is not event {0} of the source: copy into an empty journal")]
    Differs(u64),
    /// An event has no stored form.
    #[error("an event cannot be encoded")]
    Encode(#[source] Cause),
}

/// Copies what the target does not hold yet; tells the number of each event that it holds now, and
/// in the end what it holds.
///
/// # Errors
/// Every variant of [`CopyError`]. What was copied by then stays, and another try goes on from there.
pub async fn copy(
    source: &dyn JournalReader,
    target: &dyn Journal,
    keeps_order: bool,
    mut copied: impl FnMut(u64),
) -> Result<Contents, CopyError> {
    let mut events = source.subscribe(Position::START);
    let mut number = 0;
    let mut there = target.subscribe(Position::START);
    while let Some(known) = next(&mut there).await? {
        number += 1;
        match next(&mut events).await? {
            Some(event) if is_same(&event, &known) => copied(number),
            Some(_) | None => return Err(CopyError::Differs(number)),
        }
    }
    drop(there);
    let most = if keeps_order { TOGETHER } else { 1 };
    let mut waiting: Vec<RecordedEvent> = Vec::new();
    loop {
        let event = next(&mut events).await?;
        // Two events of one key are not appended at once.
        let meets = |event: &RecordedEvent| {
            waiting.iter().any(|one| one.event.key_id() == event.event.key_id())
        };
        let is_full = waiting.len() == most || event.as_ref().is_none_or(meets);
        if is_full && !waiting.is_empty() {
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

/// What there is up to the first caught-up mark.
///
/// # Errors
/// Every variant of [`CopyError`] but those of the target.
pub async fn contents(mut events: Subscription) -> Result<Contents, CopyError> {
    let mut hash = Sha256::new();
    let mut count = 0;
    while let Some(event) = next(&mut events).await? {
        count += 1;
        let form = encode(&event.event, &event.metadata).map_err(encoding)?;
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

fn encoding(error: impl Into<Cause>) -> CopyError {
    CopyError::Encode(error.into())
}

/// The next event; `None` once all that were there have come.
async fn next(events: &mut Subscription) -> Result<Option<RecordedEvent>, CopyError> {
    match events.next().await.ok_or(CopyError::Ended)?? {
        Delivery::Event(event) => Ok(Some(event)),
        Delivery::CaughtUp(_) => Ok(None),
    }
}

/// Whether they are the same but for their positions.
fn is_same(one: &RecordedEvent, other: &RecordedEvent) -> bool {
    one == &RecordedEvent { position: one.position, ..other.clone() }
}

async fn append(target: &dyn Journal, recorded: RecordedEvent) -> Result<(), AppendError> {
    let RecordedEvent { revision, id, event, metadata, .. } = recorded;
    let expected = match revision.as_u32().checked_sub(1) {
        None => Expected::NoStream,
        Some(before) => Expected::Revision(keyledger_domain::Revision::new(before)),
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
