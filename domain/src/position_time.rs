//! The time for which a position of the journal stands, by which a key's expiry is judged there.

use crate::key::KeyEvent;
use crate::{Position, RecordedEvent, Timestamp};

impl RecordedEvent {
    /// When the event was recorded, by the clock of the node that recorded it. The creation of an
    /// imported key occurred before, in the former service: the id of its import has the time, or
    /// `None` if an earlier version imported it.
    #[must_use]
    pub fn recorded_at(&self) -> Option<Timestamp> {
        match &self.event {
            KeyEvent::Created(created) if created.is_imported() => self.metadata.commanded_at(),
            KeyEvent::Created(_)
            | KeyEvent::Revoked(_)
            | KeyEvent::Deleted(_)
            | KeyEvent::OwnerEmailChanged(_) => Some(self.event.occurred_at()),
        }
    }
}

/// Finds the time for which a position stands: the latest time at which an event up to the position
/// was recorded.
///
/// If the key's last event is an import that does not say when it was made, it was made no later
/// than the next event that says when it was recorded, even if that event is after the position.
#[derive(Debug)]
pub struct PositionTime {
    position: Position,
    /// The position of the key's last event.
    last: Position,
    /// Whether it is known when that event, or a later one, was recorded.
    is_dated: bool,
    latest: Option<Timestamp>,
    enough: Timestamp,
}

impl PositionTime {
    /// The time for which `position` stands, for a key whose last event up to there is `last`. Times
    /// from `enough` on are not told apart.
    #[must_use]
    pub fn new(last: &RecordedEvent, position: Position, enough: Timestamp) -> Self {
        let latest = last.recorded_at();
        Self { position, last: last.position, is_dated: latest.is_some(), latest, enough }
    }

    /// The position after which events must be taken, in their order.
    #[must_use]
    pub fn reads_after(&self) -> Position {
        if self.is_dated { self.last } else { Position::START }
    }

    /// Takes the next event. Returns the time once no later event can change it.
    pub fn take(&mut self, event: &RecordedEvent) -> Option<Timestamp> {
        let time = event.recorded_at();
        if event.position > self.position {
            let is_known = self.is_dated || time.is_some();
            let latest = if self.is_dated { self.latest } else { self.latest.max(time) };
            return latest.filter(|_| is_known);
        }
        self.latest = self.latest.max(time);
        self.is_dated |= event.position > self.last && time.is_some();
        self.latest.filter(|latest| *latest >= self.enough)
    }

    /// The time, if the journal has no further event at this time.
    #[must_use]
    pub fn end(self, now: Timestamp) -> Timestamp {
        match self.latest {
            Some(latest) if self.is_dated => latest,
            Some(latest) => latest.max(now),
            None => now,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::key::{ImportKey, KeyCreated, KeyDetails};
    use crate::testing::{at, created, details, position, recorded};
    use crate::{CommandId, KeyAsOf, Moment, Revision};

    const EXPIRY: i64 = 10;

    /// The creation of a key at second 0 that expires at second 10.
    fn expiring(is_imported: bool) -> KeyEvent {
        let details = KeyDetails { expires_at: Some(at(EXPIRY)), ..details(7) };
        let import = ImportKey {
            details: details.clone(),
            created_at: at(0),
            revoked: false,
            known_as: None,
        };
        let key_id = if is_imported { import.key_id() } else { crate::testing::key_id(7) };
        KeyEvent::Created(KeyCreated { key_id, details, occurred_at: at(0) })
    }

    /// An import at position 5; at this second, or by a version that did not say when.
    fn imported(second: Option<i64>) -> RecordedEvent {
        let mut event = recorded(5, Revision::FIRST, expiring(true));
        if let Some(second) = second {
            let id = CommandId::at(at(second), &mut StdRng::seed_from_u64(1));
            event.metadata.causation_id = id.as_uuid();
        }
        event
    }

    /// The creation of another key at this position and second.
    fn other(place: u64, second: i64) -> RecordedEvent {
        let KeyEvent::Created(other) = created(1) else { panic!("it is created") };
        let event = KeyEvent::Created(KeyCreated { occurred_at: at(second), ..other });
        recorded(place, Revision::FIRST, event)
    }

    /// The verdict on a key at a position, in a journal of these events besides, at second 100.
    fn verdict(of: &RecordedEvent, place: u64, others: &[RecordedEvent]) -> &'static str {
        let mut journal = [others, std::slice::from_ref(of)].concat();
        journal.sort_by_key(|event| event.position);
        let mut time = PositionTime::new(of, position(place), at(EXPIRY));
        let after = time.reads_after();
        let mut later = journal.iter().filter(|event| event.position > after);
        let found = later.try_for_each(|event| match time.take(event) {
            Some(time) => ControlFlow::Break(time),
            None => ControlFlow::Continue(()),
        });
        let time = found.break_value().unwrap_or_else(|| time.end(at(100)));
        let history = std::slice::from_ref(of);
        KeyAsOf::new(Moment::Position(position(place)).divide(history), time)
            .unwrap()
            .verdict
            .code()
    }

    #[test]
    fn a_key_that_expired_before_its_import_was_never_valid() {
        for place in [5, 6, 99] {
            assert_eq!(verdict(&imported(Some(10)), place, &[other(6, 20)]), "EXPIRED", "{place}");
        }
        assert_eq!(verdict(&imported(Some(9)), 5, &[other(6, 20)]), "VALID");
        assert_eq!(verdict(&imported(Some(9)), 6, &[other(6, 20)]), "EXPIRED");
    }

    #[test]
    fn an_import_that_does_not_say_when_is_dated_by_the_events_around_it() {
        let key = imported(None);
        for (others, place, expected, why) in [
            (vec![other(4, 11)], 5, "EXPIRED", "an earlier event shows that it had expired"),
            (vec![other(4, 2), other(6, 9)], 5, "VALID", "a later event shows that it had not"),
            (vec![other(4, 2), other(6, 9)], 6, "VALID", "the same from there"),
            (vec![other(6, 9), other(7, 12)], 7, "EXPIRED", "it expired after its import"),
            (vec![other(4, 2), other(6, 12)], 5, "EXPIRED", "nothing shows that it had not"),
            (vec![other(4, 2)], 5, "EXPIRED", "now it has expired"),
        ] {
            assert_eq!(verdict(&key, place, &others), expected, "{why}");
        }
    }

    #[test]
    fn an_imported_past_is_not_the_time_of_a_position() {
        let key = recorded(3, Revision::FIRST, expiring(false));
        // The other key was created at second 0 of the former service, and imported at second 11.
        assert_eq!(verdict(&key, 5, &[imported(Some(11))]), "EXPIRED");
        assert_eq!(verdict(&key, 5, &[imported(Some(9))]), "VALID");
        assert_eq!(verdict(&key, 4, &[imported(Some(11))]), "VALID");
        assert_eq!(verdict(&key, 5, &[imported(None), other(6, 11)]), "VALID");
    }
}
