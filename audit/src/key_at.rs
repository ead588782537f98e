//! The state of a key at an earlier moment.

use futures::StreamExt;
use keyledger_domain::key::Corrupt;
use keyledger_domain::{Delivery, KeyId, Position, RecordedEvent, Timestamp};
use keyledger_domain::{KeyAsOf, Moment, Reasoning};
use keyledger_journal::{JournalReader, ReadError};

use crate::broken_off;

/// Why the state of a key cannot be given.
#[derive(Debug, thiserror::Error)]
pub enum KeyAtError {
    /// The journal cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The rules do not allow this sequence of events.
    #[error("the events of the key contradict each other")]
    Corrupt(#[from] Corrupt),
}

/// The state of a key at a moment, or now if there is none; `None` if the key was never created.
///
/// # Errors
/// Every variant of [`KeyAtError`].
pub async fn key_at(
    journal: &dyn JournalReader,
    key_id: KeyId,
    moment: Option<Moment>,
    now: Timestamp,
) -> Result<Option<KeyAsOf>, KeyAtError> {
    let history = journal.read(key_id).await?;
    if history.is_empty() {
        return Ok(None);
    }
    let position = match moment {
        // All recorded events count, even one that is dated later than `now` by another clock.
        None => return Ok(Some(KeyAsOf::new((&history, &[]), now)?)),
        Some(Moment::Time(time)) => {
            return Ok(Some(KeyAsOf::new(Moment::Time(time).divide(&history), time)?));
        }
        Some(Moment::Position(position)) => position,
    };
    let (past, future) = Moment::Position(position).divide(&history);
    let last = past.last().map_or(now, |last| last.event.occurred_at());
    let then = KeyAsOf::new((past, future), last)?;
    if let (Reasoning::InUse { until: Some(expiry), .. }, Some(last)) = (then.reason, past.last()) {
        // The key may have expired after its last event and before the position.
        let time = time_at(journal, last, position, expiry).await?;
        return Ok(Some(KeyAsOf::new((past, future), time)?));
    }
    Ok(Some(then))
}

/// The time at a position: the latest time among the events from `from` to there. Stops reading at a
/// time of `enough` or later, which already decides whether the key has expired.
async fn time_at(
    journal: &dyn JournalReader,
    from: &RecordedEvent,
    position: Position,
    enough: Timestamp,
) -> Result<Timestamp, ReadError> {
    let mut time = from.event.occurred_at();
    let mut deliveries = journal.subscribe(from.position);
    while time < enough {
        match deliveries.next().await.ok_or_else(broken_off)?? {
            Delivery::Event(event) if event.position <= position => {
                time = time.max(event.event.occurred_at());
            }
            Delivery::Event(_) | Delivery::CaughtUp(_) => break,
        }
    }
    Ok(time)
}
