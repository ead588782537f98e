//! The state of a key at an earlier moment.

use futures::StreamExt;
use keyledger_domain::key::Corrupt;
use keyledger_domain::{Delivery, KeyAsOf, KeyId, Moment, PositionTime, Reasoning, Timestamp};
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
    let Some(last) = past.last() else {
        return Ok(Some(KeyAsOf::new((past, future), now)?));
    };
    let then = KeyAsOf::new((past, future), last.event.occurred_at())?;
    if let Reasoning::InUse { until: Some(expiry), .. } = then.reason {
        // The key may have expired before it was imported, or between its last event and the
        // position.
        let time = PositionTime::new(last, position, expiry);
        let time = time_at(journal, time, now).await?;
        return Ok(Some(KeyAsOf::new((past, future), time)?));
    }
    Ok(Some(then))
}

/// Reads the events that determine the time of a position, no more than are needed.
async fn time_at(
    journal: &dyn JournalReader,
    mut time: PositionTime,
    now: Timestamp,
) -> Result<Timestamp, ReadError> {
    let mut deliveries = journal.subscribe(time.reads_after());
    loop {
        match deliveries.next().await.ok_or_else(broken_off)?? {
            Delivery::Event(event) => {
                if let Some(time) = time.take(&event) {
                    return Ok(time);
                }
            }
            Delivery::CaughtUp(_) => return Ok(time.end(now)),
        }
    }
}
