//! Keys that are closed: the journal cannot tell their state any more.

use std::borrow::Cow;
use std::collections::HashMap;

use keyledger_domain::{ClosedKey, KeyId, Position, RecordedEvent};
use uuid::Uuid;

/// A row of the table of closed keys: key id, position, closure.
pub(crate) type ClosedRow = (Uuid, i64, String);

/// Which events of closed keys count.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClosedKeys(HashMap<KeyId, Position>);

impl ClosedKeys {
    /// The keys in these rows. A position out of range closes the whole key.
    pub(crate) fn of(rows: &[ClosedRow]) -> Self {
        let closed = rows.iter().map(|(key_id, position, _)| {
            (KeyId::from_uuid(*key_id), Position::try_from(*position).unwrap_or_default())
        });
        Self(closed.collect())
    }

    /// Adds keys. Of a key that is closed several times, the first time counts.
    pub(crate) fn add(&mut self, closed: &[ClosedKey]) {
        for ClosedKey { key_id, position, .. } in closed {
            let first = self.0.entry(*key_id).or_insert(*position);
            *first = (*first).min(*position);
        }
    }

    /// How many keys are closed.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the event counts: its key is not closed, or was closed later.
    pub(crate) fn counts(&self, event: &RecordedEvent) -> bool {
        let closed = self.0.get(&event.event.key_id());
        closed.is_none_or(|position| event.position < *position)
    }

    /// The events that count.
    pub(crate) fn counting<'a>(&self, events: &'a [RecordedEvent]) -> Cow<'a, [RecordedEvent]> {
        if events.iter().all(|event| self.counts(event)) {
            return Cow::Borrowed(events);
        }
        Cow::Owned(events.iter().filter(|event| self.counts(event)).cloned().collect())
    }
}
