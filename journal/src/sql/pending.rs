//! An append that waits for its group.

use std::collections::HashMap;

use keyledger_domain::{EventId, KeyId, Position, RecordedEvent, Revision, StoredForm, encode};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::MOST_EVENTS;
use crate::{Append, AppendError, Appended, Cause, NewEvent};

/// Finds the events at the revisions at which an append wanted to write: `$1` stream, `$2` first
/// revision, `$3` number of events.
pub(crate) const RESENT: &str = "
    SELECT position, revision, id FROM events
    WHERE stream = $1 AND revision >= $2 ORDER BY revision LIMIT $3";

/// A row of [`RESENT`]: position, revision, id.
pub(crate) type ResentRow = (i64, i64, Uuid);

/// An append that has been checked and encoded, and waits to be committed.
pub(crate) struct PendingAppend {
    pub(crate) key_id: KeyId,
    /// The revision of the first event.
    pub(crate) first: Revision,
    /// 1 to [`MOST_EVENTS`] events, with the form in which they are stored.
    pub(crate) events: Vec<(NewEvent, StoredForm)>,
    reply: oneshot::Sender<Result<Appended, AppendError>>,
}

impl PendingAppend {
    /// Checks and encodes an append. The outcome will arrive at the receiver.
    ///
    /// # Errors
    /// [`AppendError::Invalid`].
    pub(crate) fn new(
        append: Append,
    ) -> Result<(Self, oneshot::Receiver<Result<Appended, AppendError>>), AppendError> {
        let invalid = |cause: &str| AppendError::Invalid(cause.into());
        let first = append.expected.next().ok_or_else(|| invalid("the stream is full"))?;
        let count = append.events.len();
        if count == 0 || count > MOST_EVENTS {
            return Err(invalid("an append has 1 to 256 events"));
        }
        if u32::try_from(count).ok().and_then(|count| first.as_u32().checked_add(count)).is_none() {
            return Err(invalid("the stream is full"));
        }
        let with_form = |new: NewEvent| encode(&new.event, &new.metadata).map(|form| (new, form));
        let events = append.events.into_iter().map(with_form).collect::<Result<Vec<_>, _>>();
        let events = events.map_err(|error| AppendError::Invalid(error.into()))?;
        let (reply, outcome) = oneshot::channel();
        Ok((Self { key_id: append.key_id, first, events, reply }, outcome))
    }

    pub(super) fn finish(self, outcome: Result<Appended, AppendError>) {
        // The caller may have stopped waiting; that does not change what was written.
        let _ = self.reply.send(outcome);
    }

    /// The append's events as recorded at these positions; empty if the append was refused.
    pub(crate) fn recorded(&self, positions: &HashMap<EventId, Position>) -> Vec<RecordedEvent> {
        let revisions = std::iter::successors(Some(self.first), |revision| revision.next());
        let recorded = self.events.iter().zip(revisions).map(|((new, _), revision)| {
            let position = *positions.get(&new.id)?;
            let (id, event, metadata) = (new.id, new.event.clone(), new.metadata.clone());
            Some(RecordedEvent { position, revision, id, event, metadata })
        });
        recorded.collect::<Option<_>>().unwrap_or_default()
    }

    /// The first outcome of an append that was sent before: `rows`, from [`RESENT`], are then its own
    /// events. Otherwise another append has written there, which is a conflict.
    pub(crate) fn resent(&self, rows: &[ResentRow]) -> Result<Appended, AppendError> {
        let sent = self.events.iter().map(|(new, _)| new.id.as_uuid());
        let Some((position, revision, _)) = rows.last() else {
            return Err(AppendError::Conflict);
        };
        if !rows.iter().map(|(_, _, id)| *id).eq(sent) {
            return Err(AppendError::Conflict);
        }
        let invalid = |error: Cause| AppendError::Invalid(error);
        Ok(Appended {
            position: Position::try_from(*position).map_err(|e| invalid(e.into()))?,
            revision: Revision::try_from(*revision).map_err(|e| invalid(e.into()))?,
        })
    }
}
