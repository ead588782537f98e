//! What a key was at a moment.

use futures::StreamExt;
use keyledger_domain::Delivery;
use keyledger_domain::key::{Corrupt, KeyThen, Moment, Reasoning};
use keyledger_domain::{KeyId, Position, RecordedEvent, Timestamp};

use super::broken_off;
use keyledger_journal::{JournalReader, ReadError};

/// Why nothing can be said of a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyAtError {
    /// The journal.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The key's events.
    #[error("the events of the key contradict each other")]
    Corrupt(#[from] Corrupt),
}

/// What a key was at a moment, or is now; `None` for a key that never was.
///
/// # Errors
/// Every variant of [`KeyAtError`].
pub async fn key_at(
    journal: &dyn JournalReader,
    key_id: KeyId,
    moment: Option<Moment>,
    now: Timestamp,
) -> Result<Option<KeyThen>, KeyAtError> {
    let history = journal.read(key_id).await?;
    if history.is_empty() {
        return Ok(None);
    }
    let position = match moment {
        // Whatever a clock says, what has been written has happened.
        None => return Ok(Some(KeyThen::new((&history, &[]), now)?)),
        Some(Moment::Time(time)) => {
            return Ok(Some(KeyThen::new(Moment::Time(time).divide(&history), time)?));
        }
        Some(Moment::Position(position)) => position,
    };
    let (past, future) = Moment::Position(position).divide(&history);
    let last = past.last().map_or(now, |last| last.event.occurred_at());
    let then = KeyThen::new((past, future), last)?;
    if let (Reasoning::InUse { until: Some(expiry), .. }, Some(last)) = (then.reason, past.last()) {
        let time = time_at(journal, last, position, expiry).await?;
        return Ok(Some(KeyThen::new((past, future), time)?));
    }
    Ok(Some(then))
}

/// When it is at a position: the latest time among the events up to it, from this one on. What is
/// past `enough` makes no difference.
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
